// Every ability a registered model claims, put to the test. A new family gets these for nothing: no family is named
// here.
#include "models/registry.h"

#include <ATen/CPUGeneratorImpl.h>

#include <numbers>

#include "evaluation/metric.h"
#include "tests/models/kinds_of_data.h"
#include "tests/models/small_settings.h"
#include "tests/support.h"
#include "trainers/checkpoint.h"
#include "trainers/ema.h"
#include "trainers/samples.h"
#include "trainers/step.h"

namespace genzoo {
namespace {

/// Runs a law for each family and each kind of data it can model, with the first settings that can.
void for_each_fit(const std::function<void(AnyModel&, const DataSpec&, const Choice&)>& law) {
  for (const ModelEntry& entry : models()) {
    for (const DataSpec& data : kinds_of_data()) {
      for (const auto& [choice, description] : variants_of(entry)) {
        auto model = model_if_fit(choice, data);
        if (!model) continue;
        DYNAMIC_SECTION(entry.name << " of " << data.dataset) { law(*model, data, choice); }
        break;
      }
    }
  }
}

/// Examples as the data would be stored: size, type, range.
void check_as_stored(const Tensor& x, int64_t n, const DataSpec& data) {
  std::vector<int64_t> size = data.shape;
  size.insert(size.begin(), n);
  REQUIRE(x.sizes() == at::IntArrayRef(size));
  if (data.kind == DataKind::images) {
    REQUIRE(x.scalar_type() == torch::kByte);
    CHECK(x.max().item<int64_t>() < data.levels);
  } else {
    REQUIRE(x.scalar_type() == torch::kFloat);
    CHECK(at::isfinite(x).all().item<bool>());
  }
}

StepConfig step_config(int64_t steps) {
  StepConfig config;
  config.steps = steps;
  return config;
}

bool finite(const Tensor& x) { return at::isfinite(x).all().item<bool>(); }

/// What a model that counts learns from; others learn from batches.
Examples examples_for(const DataSpec& data, const AnyModel& model) {
  if (!model.can.fit) return {};
  const Batch batch = batch_for(data, model, 0);
  return data.kind == DataKind::tokens ? Examples{batch.x.flatten()} : Examples{batch.x, batch.y};
}

std::unique_ptr<Step> step_of(AnyModel& model, const DataSpec& data, const OptimizerConfig& optimizer,
                              const StepConfig& config) {
  return make_step(model, optimizer, optimizer, optimizer, config, examples_for(data, model));
}

void train(AnyModel& model, const DataSpec& data, int64_t steps, double lr = 1e-3, int64_t rows = kRows) {
  const auto step = step_of(model, data, AdamConfig{.lr = lr}, step_config(steps));
  const BatchSource source = [&](int64_t index) { return batch_for(data, model, static_cast<uint64_t>(index), rows); };
  for (int64_t t = 0; t < steps; ++t) step->update(source, t);
}

TEST_CASE("each family models some kind of data with its default settings, made small", "[models][zoo]") {
  REQUIRE(models().size() >= 4);
  for (const ModelEntry& entry : models()) {
    INFO(entry.name);
    const auto variants = variants_of(entry);
    CHECK(variants.size() >= 1);
    CHECK(std::ranges::any_of(kinds_of_data(), [&](const DataSpec& data) {
      return model_if_fit(variants.front().choice, data).has_value();
    }));
    CHECK_FALSE(entry.doc.empty());
    CHECK(entry.paper.find_first_of("0123456789") != std::string_view::npos);  // a year at least
  }
}

TEST_CASE("what a model claims to draw, it draws", "[models][zoo]") {
  for_each_fit([](AnyModel& model, const DataSpec& data, const Choice&) {
    CHECK((model.can.sample || model.can.generate || model.can.class_logits || model.can.translate || model.can.fill));
    if (model.can.sample) {
      std::vector<SampleOptions> ways{{}};
      if (model.can.samples_have_mean) ways.push_back({.temperature = 1.0, .mean = true});
      if (model.can.samples_have_temperature) ways.push_back({.temperature = 0.5, .mean = false});
      for (const auto& options : ways) {
        const Tensor many = draw_samples(model, 70, 3, Purpose::sample, options, torch::kCPU);
        check_as_stored(many, 70, data);
        const Tensor few = draw_samples(model, 3, 3, Purpose::sample, options, torch::kCPU);
        CHECK(torch::equal(few, many.narrow(0, 0, 3)));  // sample i, whatever their number
      }
      const Tensor x = draw_samples(model, 2, 3, Purpose::sample, {}, torch::kCPU);
      CHECK_FALSE(torch::equal(x[0], x[1]));
    }
    if (model.can.generate) {
      const EvalMode eval(*model.module);
      const Tensor prompt = batch_for(data, model, 0, 2).x.slice(1, 0, 3);
      for (const bool greedy : {false, true}) {
        GenerateOptions options;
        options.tokens = 2 * model.can.context;
        options.greedy = greedy;
        Rng rng = Rng::for_rows(0, Purpose::sample, 0, 2), same = Rng::for_rows(0, Purpose::sample, 0, 2);
        const Tensor text = model.can.generate(prompt, options, rng);
        REQUIRE(text.sizes() == at::IntArrayRef({2, 3 + options.tokens}));
        CHECK(torch::equal(text.slice(1, 0, 3), prompt));
        CHECK(text.min().item<int64_t>() >= 0);
        CHECK(text.max().item<int64_t>() < data.vocabulary);
        CHECK(torch::equal(model.can.generate(prompt, options, same), text));
      }
    }
    if (model.can.translate) {
      const EvalMode eval(*model.module);
      const Tensor sources = batch_for(data, model, 0).x;
      for (const TranslateOptions& options : {TranslateOptions{}, {.tokens = 9, .beams = 3}, {.draw = true}}) {
        Rng rng = Rng::for_rows(0, Purpose::sample, 0, kRows), same = Rng::for_rows(0, Purpose::sample, 0, kRows);
        const Tensor targets = model.can.translate(sources, options, rng);
        REQUIRE(targets.sizes() == at::IntArrayRef({kRows, options.tokens > 0 ? options.tokens : data.shape[1]}));
        CHECK(targets.min().item<int64_t>() >= 0);
        CHECK(targets.max().item<int64_t>() == data.end_token);
        const Tensor ended = targets.eq(data.end_token).to(torch::kLong);
        CHECK(ended.select(1, -1).all().item<bool>());
        CHECK(ended.diff(1, 1).ge(0).all().item<bool>());  // once ended, ended
        CHECK(torch::equal(model.can.translate(sources, options, same), targets));
      }
    }
  });
}

TEST_CASE("what a model claims to know, it tells", "[models][zoo]") {
  for_each_fit([](AnyModel& model, const DataSpec& data, const Choice&) {
    const EvalMode eval(*model.module);
    const Batch batch = batch_for(data, model, 0);
    CHECK(model.can.likelihood.kind.has_value() == static_cast<bool>(model.can.log_prob));
    CHECK_FALSE(model.can.likelihood.detail.empty());
    if (model.can.log_prob) {
      for (const int64_t k : {1, 3}) {
        Rng rng = Rng::for_rows(0, Purpose::score, 0, kRows);
        const Tensor log_prob = model.can.log_prob(batch.x, k, rng);
        REQUIRE(log_prob.sizes() == at::IntArrayRef({kRows}));
        CHECK(finite(log_prob));
        if (data.kind != DataKind::vectors) CHECK(log_prob.max().item<double>() <= 0);  // of probabilities
      }
    }
    if (model.can.token_log_prob) {
      const Tensor log_prob = model.can.token_log_prob(batch.x, batch.y);
      REQUIRE(log_prob.sizes() == batch.y.sizes());
      CHECK(finite(log_prob));
      CHECK(log_prob.max().item<double>() <= 0);
    }
    if (model.can.pair_logits) {
      const Tensor logits = model.can.pair_logits(batch.x, batch.y);
      REQUIRE(logits.sizes() == at::IntArrayRef({kRows, batch.y.size(1), data.vocabulary}));
      CHECK(finite(logits));
    }
    if (model.can.decode) {
      std::vector<int64_t> latent = model.can.latent_shape;
      latent.insert(latent.begin(), kRows);
      if (model.can.encode) {
        const Tensor z = model.can.encode(batch.x);
        REQUIRE(z.sizes() == at::IntArrayRef(latent));
        CHECK(finite(z));
        check_as_stored(model.can.decode(z), kRows, data);
      }
      Rng rng = Rng::for_batch(0, Purpose::latent, 0);
      check_as_stored(model.can.decode(rng.normal(latent)), kRows, data);
    }
    if (model.can.reconstruct) check_as_stored(model.can.reconstruct(batch.x), kRows, data);
    CHECK_FALSE(model.can.names().empty());
  });
}

TEST_CASE("every parameter receives a gradient", "[models][zoo]") {
  for_each_fit([](AnyModel& model, const DataSpec& data, const Choice&) {
    if (model.can.fit) {
      CHECK(model.module->parameters().empty());  // no gradient would reach them
      return;
    }
    train(model, data, 3);  // layers that are zero at first hold back the gradients of those behind them
    // The step's optimizer is gone; its flat buffers still are the gradients. The last backward pass filled them.
    for (const auto& item : model.module->named_parameters()) {
      INFO(item.key());
      REQUIRE(item.value().grad().defined());
      CHECK(finite(item.value().grad()));
      CHECK(item.value().grad().abs().max().item<double>() > 0);
    }
  });
}

TEST_CASE("one batch is learned by heart, and every term on the way is finite", "[models][zoo]") {
  for_each_fit([](AnyModel& model, const DataSpec& data, const Choice&) {
    const Batch batch = batch_for(data, model, 0);
    const BatchSource source = [&](int64_t) { return batch; };
    // Of two players only the discriminator learns: it has to tell one batch from one generator's noise.
    const OptimizerConfig learns = AdamConfig{.lr = 5e-3}, stays = SGDConfig{.lr = 1e-30, .momentum = 0.0};
    constexpr int64_t kSteps = 100;
    const auto step = make_step(model, learns, stays, learns, step_config(kSteps), examples_for(data, model));
    const auto cost = [&] {  // of a model that counts: it knows no steps
      const EvalMode eval(*model.module);
      Rng unused = Rng::for_batch(0, Purpose::validation, 0);
      return held_out_loss(model, batch, unused).total.item<double>();
    };
    const double uncounted = model.can.fit ? cost() : 0;
    const std::string name = model.can.game ? "discriminator_loss" : "loss";
    double first = 0, last = 0;  // means of three and of ten steps: each has noise of its own
    for (int64_t t = 0; t < kSteps; ++t) {
      const Terms terms = step->update(source, t);
      for (const auto& [term, value] : terms) {
        INFO(term << " of step " << t);
        CHECK(std::isfinite(value.item<double>()));
      }
      if (t < 3) first += terms.at(name).item<double>() / 3;
      if (t >= kSteps - 10) last += terms.at(name).item<double>() / 10;
    }
    if (model.can.fit) {
      first = uncounted;
      last = cost();
    }
    INFO(name << " " << first << " at first, " << last << " at last");
    CHECK(last < first - 0.05 * std::abs(first));
  });
}

TEST_CASE("uniform noise costs at least 8 bits/dim, whatever the settings", "[models][zoo]") {
  const DataSpec data = images("images", 256);
  int tested = 0;
  for (const ModelEntry& entry : models()) {
    for (const auto& [choice, description] : variants_of(entry)) {
      auto model = model_if_fit(choice, data);
      if (!model || !model->can.log_prob) continue;
      ++tested;
      DYNAMIC_SECTION(entry.name << ": " << description) {
        for (const bool trained : {false, true}) {
          if (trained) train(*model, data, 20, 3e-3, 16);
          const EvalMode eval(*model->module);
          const Tensor x = batch_for(data, *model, 1000, 48).x;  // not among those it was trained on
          for (const int64_t k : {1, 4}) {
            Rng rng = Rng::for_rows(0, Purpose::score, 0, x.size(0));
            const Tensor log_prob = model->can.log_prob(x, k, rng).to(torch::kDouble);
            RunningMean bits;
            const Tensor costs = log_prob / (-static_cast<double>(data.dims()) * std::numbers::ln2);
            for (int64_t i = 0; i < x.size(0); ++i) bits.add(costs[i].item<double>());
            INFO((trained ? "trained" : "untrained") << ", k " << k << ": " << bits.mean() << " bits/dim");
            CHECK(bits.mean() >= 8 - 3 * *bits.standard_error() - 1e-4);
          }
        }
      }
    }
  }
  CHECK(tested >= 2);
}

/// A model, its step and its average: all that a training is.
struct Training {
  Training(const Choice& choice, const DataSpec& spec)
      : data(spec), model(make_model(choice, spec, 0)), step(step_of(model, spec, AdamWConfig{}, config())) {
    if (model.can.fit) return;  // it has no weights to average
    torch::nn::Module& averaged = model.can.game ? *model.can.game->generator : *model.module;
    ema = std::make_unique<Ema>(*step->optimizers()[0].second, averaged, 100.0);
  }

  static StepConfig config() {
    StepConfig config = step_config(10);
    config.seed = 4;
    config.clip_norm = 0.5;
    config.schedule = CosineSchedule{2, 1e-4};
    return config;
  }

  void update(int64_t from, int64_t to) {
    const BatchSource source = [&](int64_t i) { return batch_for(data, model, static_cast<uint64_t>(i)); };
    for (int64_t t = from; t < to; ++t) {
      if (ema) ema->begin_update((t + 1) * kRows, kRows);
      step->update(source, t);
      if (ema) ema->end_update();
    }
  }

  NamedTensors state() const {
    NamedTensors all;
    for (const auto& [name, tensor] : module_state(*model.module)) all["model." + name] = tensor;
    if (ema) {
      for (const auto& [name, tensor] : ema->state()) all["ema." + name] = tensor;
    }
    for (const auto& [player, optimizer] : step->optimizers()) {
      for (const auto& [name, tensor] : optimizer->state()) all["optimizer." + player + "/" + name] = tensor;
    }
    return all;
  }

  void load(const Checkpoint& checkpoint) {
    load_model_state(model, checkpoint.below("model."), "test");
    if (ema) ema->load(checkpoint.below("ema."));
    for (const auto& [player, optimizer] : step->optimizers()) {
      optimizer->load(checkpoint.below("optimizer." + player + "/"));
    }
  }

  DataSpec data;
  AnyModel model;
  std::unique_ptr<Step> step;
  std::unique_ptr<Ema> ema;
};

void check_same_bits(const NamedTensors& got, const NamedTensors& wanted) {
  REQUIRE(got.size() == wanted.size());
  for (const auto& [name, tensor] : wanted) {
    INFO(name);
    CHECK(torch::equal(got.at(name), tensor));
  }
}

/// Everything a model says of a batch.
NamedTensors outputs(const AnyModel& model, const Batch& batch) {
  const EvalMode eval(*model.module);
  const Abilities& can = model.can;
  NamedTensors said;
  Rng rng = Rng::for_rows(0, Purpose::score, 0, batch.size());
  if (can.sample) said["sample"] = can.sample(batch.size(), rng, {});
  if (can.log_prob) said["log_prob"] = can.log_prob(batch.x, 2, rng);
  if (can.token_log_prob) said["token_log_prob"] = can.token_log_prob(batch.x, batch.y);
  if (can.pair_logits) said["pair_logits"] = can.pair_logits(batch.x, batch.y);
  if (can.fill)
    said["fill"] = can.fill(batch.x.slice(1, 0, -1).index_fill(1, torch::tensor({1, 2}), can.mask_token), {}, rng);
  if (can.encode) said["encode"] = can.encode(batch.x);
  if (can.reconstruct) said["reconstruct"] = can.reconstruct(batch.x);
  if (can.class_logits) said["class_logits"] = can.class_logits(batch.x);
  return said;
}

TEST_CASE("ten updates are five, a checkpoint and five more, bit for bit", "[models][zoo]") {
  const TempDir folder;
  for_each_fit([&](AnyModel&, const DataSpec& data, const Choice& choice) {
    Training whole(choice, data), first(choice, data), second(choice, data);
    whole.update(0, 10);
    first.update(0, 5);
    const auto path = folder / "half.safetensors";
    save_checkpoint(path, {5, "", data}, 4, first.state());
    second.update(0, 1);  // whatever a fresh object holds, loading replaces it
    const Checkpoint checkpoint = read_checkpoint(path);
    CHECK(checkpoint.info.spec == data);
    second.load(checkpoint);
    const Batch batch = batch_for(data, first.model, 99);
    const NamedTensors said = outputs(first.model, batch);
    REQUIRE_FALSE(said.empty());
    check_same_bits(outputs(second.model, batch), said);
    second.update(5, 10);
    check_same_bits(second.state(), whole.state());
  });
}

TEST_CASE("nothing draws from the default generator", "[models][zoo]") {
  const auto state = [] { return at::detail::getDefaultCPUGenerator().get_state(); };
  const Tensor before = state();
  for (const ModelEntry& entry : models()) {
    DYNAMIC_SECTION(entry.name) {
      for (const auto& [choice, description] : variants_of(entry)) {
        for (const DataSpec& data : kinds_of_data()) {
          auto model = model_if_fit(choice, data);
          if (!model) continue;
          INFO(description << " of " << data.dataset);
          train(*model, data, 1, 1e-3, 4);
          const Batch batch = batch_for(data, *model, 0, 4);
          outputs(*model, batch);
          if (model->can.generate) {
            const EvalMode eval(*model->module);
            Rng rng = Rng::for_rows(0, Purpose::sample, 0, 4);
            model->can.generate(batch.x, {.tokens = 3}, rng);
          }
          if (model->can.translate) {
            Rng rng = Rng::for_rows(0, Purpose::sample, 0, 4);
            model->can.translate(batch.x, {.draw = true}, rng);
          }
          REQUIRE(torch::equal(state(), before));
        }
      }
    }
  }
}

}  // namespace
}  // namespace genzoo
