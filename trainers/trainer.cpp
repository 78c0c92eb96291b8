#include "trainers/trainer.h"

#include <fmt/format.h>
#include <torch/nn/module.h>
#include <torch/utils.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>

#include "core/file.h"
#include "core/signals.h"
#include "data/pairs.h"
#include "trainers/cuda_graph.h"
#include "trainers/learner.h"
#include "trainers/monitoring.h"
#include "trainers/samples.h"
#include "trainers/text_generation.h"
#include "trainers/translations.h"

namespace genzoo {
namespace {

constexpr int64_t kGridImages = 64;
constexpr int64_t kGridColumns = 8;
constexpr int64_t kScatterPoints = 2000;
constexpr int64_t kTextTokens = 512;
constexpr int64_t kShownPairs = 8;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

AnyModel model_on(const ExperimentConfig& config, const DataSpec& spec, torch::Device device) {
  AnyModel model = make_learner(config, spec);
  model.module->to(device);
  model.module->train();
  return model;
}

StepConfig step_config(const ExperimentConfig& config) {
  const TrainConfig& t = config.train;
  return {static_cast<uint64_t>(config.seed), t.steps, t.accumulate, t.shards, t.clip_norm, t.precision, t.schedule};
}

std::string optimizer_prefix(const std::string& name) {
  return name.empty() ? "optimizer." : "optimizer." + name + ".";
}

}  // namespace

Trainer::Trainer(ExperimentConfig config, const Dataset& dataset, RunFolder run)
    : config_(std::move(config)),
      spec_(dataset.spec),
      run_(std::move(run)),
      device_(resolve_device(config_.device)),
      model_(model_on(config_, spec_, device_)),
      source_(dataset.learning_from(config_.train.examples), config_.train.batch_size, model_.can.context,
              static_cast<uint64_t>(config_.seed), device_) {
  const TrainConfig& t = config_.train;
  const Examples counted = model_.can.fit ? dataset.learning_from(t.examples).train : Examples{};
  require_settings(t, model_);
  step_ = make_step(model_, t.optimizer, player_optimizer(t.optimizers.generator, t.optimizer),
                    player_optimizer(t.optimizers.discriminator, t.optimizer), step_config(config_), counted);
  items_per_update_ = model_.can.fit
                          ? counted.x.size(0)
                          : step_->batches_per_update() * t.batch_size * std::max<int64_t>(model_.can.context, 1);
  if (t.cuda_graph && device_.is_cuda() && !model_.can.fit) {
    step_ = std::make_unique<GraphedStep>(std::move(step_), step_config(config_), model_.can.loss_settles_at,
                                          make_cuda_recorder(device_));
  }
  if (t.ema) {
    torch::nn::Module& averaged = model_.can.game ? *model_.can.game->generator : *model_.module;
    ema_ = std::make_unique<Ema>(*step_->optimizers()[0].second, averaged, t.ema->halflife_images);
    ema_prefix_ = model_.can.game ? "generator." : "";
  }
  if ((model_.can.loss || model_.can.fit) && dataset.has(Split::validation)) {
    validation_.emplace(dataset, Split::validation, t.batch_size, model_.can.context, t.validate_examples, device_);
    for (int64_t b = 0; spec_.kind == DataKind::pairs && b < validation_->batches(); ++b) {
      validation_tokens_ += up_to_end(validation_->batch(b).y, spec_.end_token).sum().item<int64_t>();
    }
  }
  if (model_.can.monitors) {
    monitored_split_ = dataset.has(Split::validation) ? Split::validation : Split::train;
    monitored_ = monitored_batch(dataset, monitored_split_, model_.can, /*limit=*/0, device_);
  }
}

void Trainer::load(const std::filesystem::path& path) {
  const Checkpoint checkpoint = read_checkpoint(path);
  if (checkpoint.info.spec != spec_) {
    throw UsageError(fmt::format("{}: it was trained on {} ({}), the config's data are {} ({})", path.string(),
                                 checkpoint.info.spec.dataset, checkpoint.info.spec.describe(), spec_.dataset,
                                 spec_.describe()));
  }
  load_model_state(model_, checkpoint.below("model."), path.string());
  for (const auto& [name, optimizer] : step_->optimizers()) {
    optimizer->load(checkpoint.below(optimizer_prefix(name)));
  }
  if (ema_) ema_->load(checkpoint.below("ema." + ema_prefix_));
  parent_ = checkpoint.info.parent;
  resumed_ = true;
  steps_done_ = last_saved_ = checkpoint.info.step;
  seconds_before_ = seconds_logged(run_, steps_done_);
}

void Trainer::start_from(const ParentWeights& parent) {
  load_parent(*model_.module, parent);
  parent_ = parent.record;
  if (ema_) ema_->restart();
}

TrainOutcome Trainer::run() {
  const SignalGuard signals;
  const auto start = std::chrono::steady_clock::now();
  const int64_t steps = config_.train.steps;
  const Every& every = config_.train.every;
  for (auto& o : observers_) o->begin(steps_done_, steps, resumed_);
  logged_step_ = steps_done_;
  logged_at_ = seconds_before_;
  if (steps_done_ == 0) sample();
  double paused = seconds_since(start);  // time that is not training's: validation, sampling, saving

  while (steps_done_ < steps && SignalGuard::received() == 0) {
    const bool logged = (steps_done_ + 1) % every.log == 0 || steps_done_ + 1 == steps;
    const Terms terms = advance(/*measured=*/logged);
    const auto seconds = [&] { return seconds_before_ + seconds_since(start) - paused; };
    if (logged) log(terms, seconds);
    const auto pause = std::chrono::steady_clock::now();
    if (every.histogram > 0 && due(every.histogram)) histograms();
    if (due(every.validate) || due(every.save)) {
      validate(seconds());
      monitor();
    }
    if (due(every.sample)) sample();
    if (due(every.save)) save();
    paused += seconds_since(pause);
  }

  if (steps == 0 && last_saved_ < 0) save();  // as it is at first

  TrainOutcome outcome{ExitCode::done, steps_done_, "finished", validation_loss_, seconds_since(start)};
  if (steps_done_ < steps) {
    const bool interrupt = SignalGuard::received() == SIGINT;
    outcome.code = interrupt ? ExitCode::interrupted : ExitCode::terminated;
    outcome.reason = interrupt ? "stopped by SIGINT" : "stopped by SIGTERM";
    if (last_saved_ != steps_done_) save();
  }
  for (auto& o : observers_) o->end(steps_done_, outcome.reason);
  return outcome;
}

Terms Trainer::advance(bool measured) {
  const int64_t examples = step_->batches_per_update() * config_.train.batch_size;
  if (ema_) ema_->begin_update((steps_done_ + 1) * examples, examples);
  const StepInputs inputs([this](int64_t index) { return source_.batch(index); });
  Terms terms = step_->update(inputs, steps_done_, measured);
  ++steps_done_;
  if (ema_) ema_->end_update();
  return terms;
}

Tensor Trainer::update() { return advance(/*measured=*/false).at("loss"); }

void Trainer::log(const Terms& terms, const std::function<double()>& clock) {
  LogLine line{.step = steps_done_, .split = Split::train, .terms = {}, .lr = {}, .items_per_s = {}, .seconds = 0};
  for (const auto& [name, term] : terms) {
    const double value = term.item<double>();
    if (!std::isfinite(value)) {
      throw DivergedError(fmt::format("step {}: {} is {}; {}; try a lower train.optimizer lr or train.clip_norm",
                                      steps_done_, name, value, last_good()));
    }
    (name == "loss" ? line.loss : line.terms[name]) = value;
  }
  const double seconds = clock();  // after the values were read: only then is a device done with the step
  line.seconds = seconds;
  line.lr = step_->learning_rate_at(steps_done_ - 1);
  line.items_per_s =
      static_cast<double>((steps_done_ - logged_step_) * items_per_update()) / std::max(seconds - logged_at_, 1e-9);
  logged_at_ = seconds;
  logged_step_ = steps_done_;
  for (auto& o : observers_) o->line(line);
}

void Trainer::validate(double seconds) {
  if (!validation_) return;
  const EvalMode eval(*model_.module);
  std::optional<Ema::Swap> averaged;
  if (ema_) averaged.emplace(*ema_);
  Terms sums;  // in double, on the device: it is waited for once, when they are read
  const auto add = [&](const std::string& name, const Tensor& term, const auto& share) {
    const Tensor part = term.detach().to(torch::kDouble) * share;
    const auto [place, is_new] = sums.try_emplace(name, part);
    if (!is_new) place->second.add_(part);
  };
  for (int64_t b = 0; b < validation_->batches(); ++b) {
    const Batch batch = validation_->batch(b);
    // The same noise every time: two validations differ by the weights alone.
    Rng rng =
        Rng::for_batch(static_cast<uint64_t>(config_.seed), Purpose::validation, static_cast<uint64_t>(b), 0, device_);
    const Autocast autocast(device_, config_.train.precision);
    const Loss loss = held_out_loss(model_, batch, rng);
    const auto add_all = [&](const auto& share) {
      add("loss", loss.total, share);
      for (const auto& [name, term] : loss.terms) {
        if (name != "loss") add(name, term, share);
      }
    };
    if (spec_.kind == DataKind::pairs) {  // a mean over targets' tokens, of which each batch has its own number
      add_all(up_to_end(batch.y, spec_.end_token).sum().to(torch::kDouble) / validation_tokens_);
    } else {
      add_all(static_cast<double>(batch.size()) / static_cast<double>(validation_->examples()));
    }
  }
  LogLine line{.step = steps_done_,
               .split = Split::validation,
               .loss = sums.at("loss").item<double>(),
               .terms = {},
               .lr = {},
               .items_per_s = {},
               .seconds = seconds};
  for (const auto& [name, sum] : sums) {
    if (name != "loss") line.terms[name] = sum.item<double>();
  }
  validation_loss_ = line.loss;
  for (auto& o : observers_) o->line(line);
}

void Trainer::monitor() {
  if (!model_.can.monitors) return;
  std::optional<Ema::Swap> averaged;
  if (ema_) averaged.emplace(*ema_);
  MonitorLine line{steps_done_, monitored_split_,
                   take_monitors(model_, monitored_, static_cast<uint64_t>(config_.seed))};
  excuse_youth(line.monitors, steps_done_, config_.train.steps);
  for (auto& o : observers_) o->monitors(line);
}

void Trainer::histograms() {
  NamedTensors tensors;
  for (const auto& [player, optimizer] : step_->optimizers()) {
    const std::string owner = player.empty() ? "" : player + ".";
    const FlatParameters& parameters = optimizer->parameters();
    for (const auto& slice : parameters.slices()) {
      const auto& group = parameters.groups()[slice.group];
      tensors["weights/" + owner + slice.name] = FlatParameters::view(group.values, slice);
      tensors["gradients/" + owner + slice.name] = FlatParameters::view(group.gradients, slice);
    }
  }
  for (auto& o : observers_) o->histograms(steps_done_, tensors);
}

void Trainer::sample() {
  std::optional<Ema::Swap> averaged;
  if (ema_) averaged.emplace(*ema_);
  const auto seed = static_cast<uint64_t>(config_.seed);
  SampleOutput output{.picture = {}, .text = {}, .note = {}};
  if (model_.can.generate) {
    TextRequest request;
    request.options.tokens = kTextTokens;
    request.seed = seed;
    request.purpose = Purpose::latent;
    output.text = generate_texts(model_, spec_, request, device_)[0];
  } else if (model_.can.translate && validation_) {
    output.text = show_translations(model_, spec_, validation_->batch(0), kShownPairs, device_);
  } else if (model_.can.sample) {
    SampleOptions options;
    options.mean = model_.can.samples_have_mean;
    if (options.mean) output.note = "the grids of samples show means of p(x|z), not draws from it";
    const int64_t n = spec_.kind == DataKind::images ? kGridImages : kScatterPoints;
    const Tensor samples = draw_samples(model_, n, seed, Purpose::latent, options, device_);
    output.picture = picture_of(samples, spec_, kGridColumns);
    const Tensor density = density_picture(model_, spec_, device_);
    if (density.defined()) output.picture = at::cat({output.picture, density}, /*dim=*/2);
  } else {
    return;
  }
  for (auto& o : observers_) o->samples(steps_done_, output);
}

NamedTensors Trainer::state() const {
  NamedTensors all;
  for (const auto& [name, tensor] : module_state(*model_.module)) all["model." + name] = tensor;
  for (const auto& [player, optimizer] : step_->optimizers()) {
    for (const auto& [name, tensor] : optimizer->state()) all[optimizer_prefix(player) + name] = tensor;
  }
  if (ema_) {
    for (const auto& [name, tensor] : ema_->state()) all["ema." + ema_prefix_ + name] = tensor;
  }
  return all;
}

std::string Trainer::last_good() const {
  return last_saved_ < 0 ? "no checkpoint was saved yet"
                         : fmt::format("the checkpoint of step {} is still good", last_saved_);
}

void Trainer::require_finite(const NamedTensors& state) const {
  std::vector<Tensor> finite;
  for (const auto& [name, tensor] : state) finite.push_back(at::isfinite(tensor).all());
  if (finite.empty() || at::stack(finite).all().item<bool>()) return;  // one wait for the device
  for (const auto& [name, tensor] : state) {
    if (at::isfinite(tensor).all().item<bool>()) continue;
    throw DivergedError(
        fmt::format("step {}: {} is not finite, so nothing is saved; {}", steps_done_, name, last_good()));
  }
}

void Trainer::save() {
  const torch::NoGradGuard no_grad;
  const NamedTensors all = state();
  require_finite(all);
  save_checkpoint(run_.checkpoint(steps_done_), {steps_done_, write_config(config_), spec_, parent_}, config_.seed,
                  all);
  last_saved_ = steps_done_;
  settle_checkpoints(run_, config_.train.keep);
}

}  // namespace genzoo
