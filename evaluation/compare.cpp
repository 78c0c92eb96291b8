#include "evaluation/compare.h"

#include <ATen/Parallel.h>
#include <fmt/ranges.h>
#include <torch/utils.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>

#include "core/version.h"
#include "evaluation/admission.h"
#include "evaluation/comparison_folder.h"
#include "evaluation/comparison_notes.h"
#include "evaluation/contestants.h"
#include "evaluation/evaluate.h"
#include "evaluation/exhibits.h"
#include "evaluation/likelihood.h"
#include "evaluation/measured_run.h"
#include "evaluation/report.h"
#include "evaluation/sample_metrics.h"
#include "evaluation/shared_data.h"
#include "evaluation/trainings.h"
#include "models/registry.h"
#include "trainers/checkpoint.h"
#include "trainers/samples.h"
#include "trainers/train_experiment.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kTimedSamples = 64;      // drawn to time a sampler
constexpr int64_t kSampleCountStep = 500;  // a lowered count is a multiple of it
constexpr int64_t kFewestSamples = 500;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// One comparison at work.
class Comparing final {
 public:
  explicit Comparing(const CompareRequest& request)
      : request_(request),
        contestants_(read_contestants(request.inputs, request.out, request.seeds)),
        data_(request.places) {
    for (Contestant& c : contestants_) {
      if (!request_.device.empty()) c.config.device = request_.device;
      c.config.threads = request_.threads;
    }
    require_comparable(request_, contestants_, data_);
    split_ = default_split(data());
    folder_ = std::make_unique<ComparisonFolder>(request_.out, what_decides(request_, contestants_, data_));
  }

  ExitCode run() {
    set_up_compute(request_.threads, /*deterministic=*/true);
    decide_steps(contestants_, data_, request_, *folder_);
    const ExitCode code = train_contestants(contestants_, request_, *folder_);
    if (code != ExitCode::done) return code;
    decide_samples();
    const Comparison comparison = everything();
    write_report(comparison, request_.out);
    return all_diverged(comparison) ? ExitCode::diverged : ExitCode::done;
  }

 private:
  const Dataset& data() { return data_.of(contestants_[0].config); }
  void tell(const std::string& what) const { request_.progress(what); }

  LoadedModel load(const Contestant& c, const Training& training) {
    return load_model(training.run, Which::newest, Weights::ema_if_any, c.config.device);
  }

  /// A training that left nothing to measure: it diverged before its first checkpoint.
  static bool is_lost(const Contestant& c, const Training& training) {
    if (!c.to_train || !RunFolder(training.run).checkpoint_steps().empty()) return false;
    const std::string status = summarize_run(training.run).status;
    if (status == "diverged") return true;
    throw RunError(
        fmt::format("{}: its training is {} and it has no checkpoints; remove the folder, and the same "
                    "command trains it anew",
                    training.run.string(), status));
  }

  /// A training with weights; nullptr when all were lost.
  static const Training* first_measurable(const Contestant& c) {
    const auto found = std::ranges::find_if(c.trainings, [&](const Training& t) { return !is_lost(c, t); });
    return found == c.trainings.end() ? nullptr : &*found;
  }

  /// One count for all: what was asked, or what the slowest sampler draws in the time allowed.
  void decide_samples() {
    if (data().spec.has_tokens() || folder_->decided("samples")) return;
    int64_t count = request_.samples;
    std::string why;
    const auto lower = [&](int64_t to, const std::string& because) {
      if (to >= count) return;
      count = to;
      why = because;
      tell(fmt::format("{}: {} samples of each model", because, count));
    };
    for (const Contestant& c : contestants_) {
      const Training* training = first_measurable(c);
      if (!training) continue;
      const LoadedModel loaded = load(c, *training);
      if (!loaded.model.can.sample) continue;
      const auto start = std::chrono::steady_clock::now();
      draw_samples(loaded.model, kTimedSamples, 0, Purpose::sample, {}, loaded.device);
      const double rate = kTimedSamples / seconds_since(start);
      const auto affordable = static_cast<int64_t>(rate * request_.sampling_seconds);
      if (affordable >= count) continue;
      lower(std::max(kFewestSamples, affordable / kSampleCountStep * kSampleCountStep),
            fmt::format("{} draws {:.0f} samples a second, for {} s", c.name, rate, request_.sampling_seconds));
    }
    for (const ExternalSource& e : request_.externals) {
      const int64_t given = read_external_samples(e, data().spec).size(0);
      lower(given, fmt::format("{} gives {} samples", e.name, given));
    }
    folder_->note("samples", why);
    folder_->decide("samples", count);
  }

  /// Samples treated like a contestant's are measured against real data treated alike; nothing for text.
  const SampleMetrics* real_for(const Contestant& c) {
    const Dataset& dataset = data_.of(c.config);
    if (dataset.spec.has_tokens()) return nullptr;
    auto& real = real_[treatment_of(dataset.spec)];
    if (!real) {
      std::vector<Features> features = features_for(c.config.data, dataset, request_.places, request_.progress,
                                                    request_.inception, resolve_device(c.config.device));
      real = std::make_unique<SampleMetrics>(dataset, split_, *folder_->decided("samples"), std::move(features));
    }
    return real.get();
  }

  /// What was measured by another program is measured again.
  static std::string measured_by(const std::string& weights) {
    static const std::string program = sha256_of_file("/proc/self/exe");  // a commit does not tell of what is not in it
    return fmt::format("{} by {}, LibTorch {}, {}", weights, program, libtorch_version(), build_description());
  }

  Protocol protocol() const {
    return {.split = split_,
            .k = request_.k,
            .examples = request_.examples,
            .samples = folder_->decided("samples").value_or(0)};
  }

  ComparedRun measure(const Contestant& c, const Training& training) {
    if (is_lost(c, training)) return lost_run(c, training);
    const LoadedModel loaded = load(c, training);
    const std::string digest = measured_by(state_digest(module_state(*loaded.model.module)));
    std::optional<ComparedRun> run = folder_->measured(c.name, training.seed, digest);
    if (!run) {
      tell(fmt::format("measuring {}, seed {}", c.name, training.seed));
      run = measure_run(loaded, data_.of(c.config), real_for(c), protocol());
      folder_->keep(c.name, training.seed, digest, *run);
    }
    std::tie(run->ending, run->stopped_by) = ending_of(c, loaded);  // no matter of weights
    return *run;
  }

  /// A training without a single checkpoint has a row all the same.
  ComparedRun lost_run(const Contestant& c, const Training& training) {
    ComparedRun run;
    run.path = training.run;
    run.seed = training.seed;
    run.ending = Ending::diverged;
    run.stopped_by = "diverged before its first checkpoint";
    run.evaluation = {.run = run.path,
                      .model = c.config.model.name,
                      .dataset = data().spec.dataset,
                      .split = "",
                      .step = 0,
                      .weights = "raw",
                      .metrics = {},
                      .notes = {run.stopped_by}};
    return run;
  }

  /// How far the training came, and why it ended there.
  std::pair<Ending, std::string> ending_of(const Contestant& c, const LoadedModel& loaded) const {
    const std::string status = loaded.run.empty() ? "" : summarize_run(loaded.run).status;
    if (status == "diverged") return {Ending::diverged, fmt::format("diverged after step {}", loaded.step)};
    const int64_t steps = loaded.config.train.steps;
    if (loaded.step < steps) {
      return {Ending::unfinished,
              fmt::format("unfinished, step {} of {}{}", loaded.step, steps, status.empty() ? "" : ": " + status)};
    }
    if (c.to_train && loaded.model.can.fit) return {Ending::complete, "its one pass over the data"};
    const bool own = !c.to_train || std::holds_alternative<OwnSteps>(request_.budget);
    return {Ending::complete, own ? "its config's steps" : "budget of " + describe(request_.budget)};
  }

  ComparedModel exhibit(const Contestant& c) {
    ComparedModel model;
    model.name = c.name;
    model.family = c.config.model.name;
    model.dataset = data().spec.dataset;
    model.given = !c.to_train;
    for (const Training& t : c.trainings) model.runs.push_back(measure(c, t));
    const Dataset& dataset = data_.of(c.config);
    // Losses that are minus a log-likelihood are counted alike by all who treat the data alike; others are their own.
    const AnyModel built = make_model(c.config.model, dataset.spec, /*seed=*/0);
    const bool is_likelihood = built.can.likelihood.kind && built.can.likelihood.is_loss;
    if (is_likelihood || built.can.pair_logits)
      model.loss_unit = dataset.spec.has_tokens() ? "nats/" + counted_in(dataset.spec)
                                                  : fmt::format("nats of {}", treatment_of(dataset.spec));
    if (dataset.spec.kind == DataKind::documents) model.loss_unit = "nats";
    for (const auto& note : model.runs[0].evaluation.notes) model.notes.push_back(note);
    if (const int64_t n = c.config.train.examples; n > 0) {
      model.notes.push_back(fmt::format("it learned from the first {} of the training examples alone", n));
    }
    for (const ComparedRun& run : model.runs) {
      if (run.ending == Ending::complete) continue;
      model.notes.push_back(fmt::format("seed {}: {}", run.seed, run.stopped_by));
    }
    const Training* shown = first_measurable(c);
    if (!shown) return model;
    const LoadedModel loaded = load(c, *shown);
    model.config = write_config(loaded.config);
    add_exhibits(loaded, dataset, split_, real_for(c), model);
    return model;
  }

  ComparedModel exhibit(const ExternalSource& source) {
    const Contestant& first = contestants_[0];
    const SampleMetrics& real = *real_for(first);
    const Dataset& dataset = data();
    const Tensor all = read_external_samples(source, dataset.spec);
    const Tensor samples = all.narrow(0, 0, *folder_->decided("samples"));
    ComparedModel model;
    model.name = source.name;
    model.family = "external";
    model.dataset = dataset.spec.dataset;
    model.external = true;
    ComparedRun run;
    run.path = source.samples;
    run.stopped_by = "somebody else";
    run.evaluation = {.run = run.path,
                      .model = "external",
                      .dataset = dataset.spec.dataset,
                      .split = kSplitNames[static_cast<int>(split_)],
                      .step = 0,
                      .weights = "",
                      .metrics = {},
                      .notes = {}};
    if (!source.log_prob.empty()) {
      run.evaluation.metrics.push_back(
          external_likelihood(source, dataset).metric("as its author computed it, not checked"));
    }
    std::ranges::move(real.of(samples, all_sample_metrics()), std::back_inserter(run.evaluation.metrics));
    model.runs.push_back(std::move(run));
    add_sample_exhibits(samples, dataset.spec, real, model);
    return model;
  }

  /// In the unit in which the models' own likelihoods stand.
  Likelihood external_likelihood(const ExternalSource& source, const Dataset& dataset) const {
    const Likelihood told = read_external_likelihood(source, dataset, split_, request_.examples);
    const DataSpec& spec = dataset.spec;
    const bool in_bits = spec.kind == DataKind::images && spec.levels > 2;
    if (in_bits && told.unit() == LikelihoodUnit::nats) return bits_per_dim(told, spec.dims());
    if (!in_bits && told.unit() == LikelihoodUnit::bits_per_dim) return nats_of_bits_per_dim(told, spec.dims());
    return told;
  }

  Comparison everything() {
    Comparison comparison;
    comparison.title = data().spec.dataset;
    comparison.spec = data().spec;
    for (const Contestant& c : contestants_) comparison.models.push_back(exhibit(c));
    for (const ExternalSource& e : request_.externals) comparison.models.push_back(exhibit(e));
    for (const auto& [treatment, real] : real_) {
      std::ranges::move(real->floor(*folder_->decided("samples"), all_sample_metrics()),
                        std::back_inserter(comparison.floors));
    }
    comparison.real = real_exhibit(data(), split_);
    comparison.protocol = told_protocol();
    comparison.notes = training_notes(comparison, request_.budget);
    const int64_t drawn = folder_->decided("samples").value_or(request_.samples);
    if (drawn < request_.samples && !data().spec.has_tokens()) {
      comparison.notes.push_back(fmt::format("sample metrics rest on {} samples of each model, not {}: {}", drawn,
                                             request_.samples, folder_->noted("samples")));
    }
    return comparison;
  }

  Json told_protocol() {
    const DataSpec& spec = data().spec;
    const int64_t held_out = data().count(split_);
    Json spaces = Json::array();
    for (const auto& [treatment, real] : real_) {
      for (const auto& space : real->feature_spaces()) spaces.push_back(space);
    }
    Json told = {{"data", spec.dataset},
                 {"data_spec", spec.describe()},
                 {"split", kSplitNames[static_cast<int>(split_)]},
                 {"trained_on", data().count(Split::train)},
                 {"evaluated_on", request_.examples > 0 ? std::min(request_.examples, held_out) : held_out},
                 {"samples", folder_->decided("samples").value_or(0)},
                 {"feature_spaces", spaces},
                 {"k", request_.k},
                 {"decided", folder_->decisions()},
                 {"genzoo", program_version()},
                 {"git_commit", git_commit()},
                 {"libtorch", libtorch_version()},
                 {"build", build_description()},
                 {"device", resolve_device(contestants_[0].config.device).str()},
                 {"threads", at::get_num_threads()},
                 {"command_line", request_.command_line}};
    if (std::ranges::any_of(contestants_, &Contestant::to_train)) {
      told["budget"] = describe(request_.budget);
      told["seeds"] = request_.seeds;
    }
    return told;
  }

  const CompareRequest& request_;
  std::vector<Contestant> contestants_;
  SharedData data_;
  Split split_ = Split::test;
  std::unique_ptr<ComparisonFolder> folder_;
  std::map<std::string, std::unique_ptr<SampleMetrics>> real_;  ///< by the treatment of the data
};

}  // namespace

ExitCode compare(const CompareRequest& request) { return Comparing(request).run(); }

}  // namespace genzoo
