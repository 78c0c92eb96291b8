#include "evaluation/compare.h"

#include <ATen/Parallel.h>
#include <fmt/ranges.h>
#include <torch/utils.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <map>
#include <memory>
#include <set>

#include "core/version.h"
#include "evaluation/comparison_folder.h"
#include "evaluation/contestants.h"
#include "evaluation/evaluate.h"
#include "evaluation/exhibits.h"
#include "evaluation/inception.h"
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
constexpr double kBudgetTolerance = 0.1;  // of the seconds; beyond it the report says so

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
    require_one_data_set();
    split_ = default_split(data());
    require_models();
    require_externals();
    folder_ = std::make_unique<ComparisonFolder>(request_.out, asked());
  }

  ExitCode run() {
    set_up_compute(request_.threads, /*deterministic=*/true);
    decide_steps(contestants_, data_, request_, *folder_);
    const ExitCode code = train_contestants(contestants_, request_, *folder_);
    if (code != ExitCode::done) return code;
    decide_samples();
    write_report(everything(), request_.out);
    return ExitCode::done;
  }

 private:
  const Dataset& data() { return data_.of(contestants_[0].config); }
  void tell(const std::string& what) const { request_.progress(what); }

  /// Contestants may treat the same data differently, but not learn from other data.
  void require_one_data_set() {
    const Dataset& first = data();
    for (const Contestant& c : contestants_) {
      const Dataset& other = data_.of(c.config);
      if (!request_.inception.empty()) require_inception(request_.inception, other.spec);
      if (same_data(first, other)) continue;
      throw UsageError(
          fmt::format("{} learns from {} ({}, {} to train on) and {} from {} ({}, {} to train on), which are not the "
                      "same examples; "
                      "one comparison is of one data set, split in one way",
                      contestants_[0].name, first.spec.dataset, first.spec.describe(), first.count(Split::train),
                      c.name, other.spec.dataset, other.spec.describe(), other.count(Split::train)));
    }
  }

  /// Each fits its data, and has something to compare.
  void require_models() {
    for (const Contestant& c : contestants_) {
      const AnyModel model = make_model(c.config.model, data_.of(c.config).spec, /*seed=*/0);
      if (model.can.sample || model.can.log_prob || model.can.generate) continue;
      throw UsageError(
          fmt::format("{}: {} draws no samples and has no likelihood, so there is nothing to compare; it can: {}",
                      c.name, model.family, fmt::join(model.can.names(), ", ")));
    }
  }

  /// Before hours of training.
  void require_externals() {
    std::set<std::string> names;
    for (const Contestant& c : contestants_) names.insert(c.name);
    for (const ExternalSource& e : request_.externals) {
      if (!names.insert(e.name).second) {
        throw UsageError(
            fmt::format("--external {}: there is another model of that name; give it one of its own", e.name));
      }
      read_external_samples(e, data().spec);
      if (!e.log_prob.empty()) read_external_likelihood(e, data(), split_, request_.examples);
    }
  }

  /// Everything that decides the numbers.
  Json asked() {
    Json inputs = Json::array(), externals = Json::array();
    for (const Contestant& c : contestants_) {
      Json trainings = Json::array();
      for (const Training& t : c.trainings) {
        trainings.push_back(c.to_train ? Json(t.seed) : Json(fs::weakly_canonical(t.run).string()));
      }
      inputs.push_back({{"name", c.name},
                        {"config", experiment_identity(c.config)},
                        {"trainings", trainings},
                        {"data", data_.of(c.config).digest()},
                        {"device", resolve_device(c.config.device).str()}});
    }
    for (const ExternalSource& e : request_.externals) {
      externals.push_back({{"name", e.name},
                           {"samples", sha256_of_file(e.samples)},
                           {"log_prob", e.log_prob.empty() ? "" : sha256_of_file(e.log_prob)},
                           {"unit", unit_name(e.unit)},
                           {"kind", kind_name(e.kind)}});
    }
    return {{"inputs", inputs},
            {"externals", externals},
            {"budget", describe(request_.budget)},
            {"seeds", request_.seeds},
            {"samples", request_.samples},
            {"sampling_seconds", request_.sampling_seconds},
            {"k", request_.k},
            {"examples", request_.examples},
            {"threads", request_.threads},
            {"inception", request_.inception.empty() ? "" : sha256_of_file(request_.inception)}};
  }

  LoadedModel load(const Contestant& c, const Training& training) {
    return load_model(training.run, Which::newest, Weights::ema_if_any, c.config.device);
  }

  /// A training that left nothing to measure: it diverged before its first checkpoint.
  static bool is_lost(const Contestant& c, const Training& training) {
    return c.to_train && RunFolder(training.run).checkpoint_steps().empty();
  }

  /// One count for all: what was asked, or what the slowest sampler draws in the time allowed.
  void decide_samples() {
    if (data().spec.kind == DataKind::tokens || folder_->decided("samples")) return;
    int64_t count = request_.samples;
    for (const Contestant& c : contestants_) {
      if (is_lost(c, c.trainings[0])) continue;
      const LoadedModel loaded = load(c, c.trainings[0]);
      if (!loaded.model.can.sample) continue;
      const auto start = std::chrono::steady_clock::now();
      draw_samples(loaded.model, kTimedSamples, 0, Purpose::sample, {}, loaded.device);
      const double rate = kTimedSamples / seconds_since(start);
      const auto affordable = static_cast<int64_t>(rate * request_.sampling_seconds);
      if (affordable >= count) continue;
      count = std::min(count, std::max(kFewestSamples, affordable / kSampleCountStep * kSampleCountStep));
      tell(fmt::format("{} draws {:.0f} samples a second: {} samples of each model", c.name, rate, count));
    }
    for (const ExternalSource& e : request_.externals) {
      count = std::min(count, read_external_samples(e, data().spec).size(0));
    }
    folder_->decide("samples", count);
  }

  /// Samples treated like a contestant's are measured against real data treated alike; nothing for text.
  const SampleMetrics* real_for(const Contestant& c) {
    const Dataset& dataset = data_.of(c.config);
    if (dataset.spec.kind == DataKind::tokens) return nullptr;
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
    return fmt::format("{} by {} {} {} {}", weights, program_version(), git_commit(), libtorch_version(),
                       build_description());
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
    if (auto known = folder_->measured(c.name, training.seed, digest)) return *known;
    tell(fmt::format("measuring {}, seed {}", c.name, training.seed));
    ComparedRun run = measure_run(loaded, data_.of(c.config), real_for(c), protocol());
    run.stopped_by = stopped_by(c, loaded);
    folder_->keep(c.name, training.seed, digest, run);
    return run;
  }

  /// A training without a single checkpoint has a row all the same.
  ComparedRun lost_run(const Contestant& c, const Training& training) {
    ComparedRun run;
    run.path = training.run;
    run.seed = training.seed;
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

  /// Why the training ended where it did.
  std::string stopped_by(const Contestant& c, const LoadedModel& loaded) const {
    const std::string status = loaded.run.empty() ? "" : summarize_run(loaded.run).status;
    if (status == "diverged") return fmt::format("diverged after step {}", loaded.step);
    const int64_t steps = loaded.config.train.steps;
    if (loaded.step < steps) {
      return fmt::format("unfinished, step {} of {}{}", loaded.step, steps, status.empty() ? "" : ": " + status);
    }
    if (!c.to_train) return "its config's steps";
    return std::holds_alternative<OwnSteps>(request_.budget) ? "its config's steps"
                                                             : "budget of " + describe(request_.budget);
  }

  ComparedModel exhibit(const Contestant& c) {
    ComparedModel model;
    model.name = c.name;
    model.family = c.config.model.name;
    model.dataset = data().spec.dataset;
    for (const Training& t : c.trainings) model.runs.push_back(measure(c, t));
    const Dataset& dataset = data_.of(c.config);
    // The losses of models with a likelihood are counted alike by all who treat the data alike; others are their own.
    const AnyModel built = make_model(c.config.model, dataset.spec, /*seed=*/0);
    if (built.can.likelihood.kind)
      model.loss_unit = dataset.spec.kind == DataKind::tokens ? "nats/" + dataset.spec.token_unit
                                                              : fmt::format("nats of {}", treatment_of(dataset.spec));
    for (const auto& note : model.runs[0].evaluation.notes) model.notes.push_back(note);
    for (const ComparedRun& run : model.runs) {
      if (run.stopped_by.starts_with("unfinished") || run.stopped_by.starts_with("diverged")) {
        model.notes.push_back(fmt::format("seed {}: {}", run.seed, run.stopped_by));
      }
    }
    if (is_lost(c, c.trainings[0])) return model;
    const LoadedModel loaded = load(c, c.trainings[0]);
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
    const SampleMetricNames wanted(std::begin(kSampleMetricNames), std::end(kSampleMetricNames));
    std::ranges::move(real.of(samples, wanted), std::back_inserter(run.evaluation.metrics));
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
    const SampleMetricNames all(std::begin(kSampleMetricNames), std::end(kSampleMetricNames));
    for (const auto& [treatment, real] : real_) {
      std::ranges::move(real->floor(*folder_->decided("samples"), all), std::back_inserter(comparison.floors));
    }
    comparison.real = real_exhibit(data(), split_);
    comparison.protocol = told_protocol();
    add_budget_notes(comparison);
    const int64_t drawn = folder_->decided("samples").value_or(request_.samples);
    if (drawn < request_.samples && data().spec.kind != DataKind::tokens) {
      comparison.notes.push_back(
          fmt::format("sample metrics rest on {} samples of each model, not {}: the slowest sampler takes {} s for as "
                      "many, or an external model gave no more",
                      drawn, request_.samples, request_.sampling_seconds));
    }
    return comparison;
  }

  /// A budget in seconds is kept by steps that were timed once; on a busy machine they take another time.
  void add_budget_notes(Comparison& comparison) const {
    const auto* budget = std::get_if<SecondsBudget>(&request_.budget);
    if (!budget) return;
    comparison.notes.push_back("the budget is of updates alone; validation, sampling and saving come on top of it");
    for (const ComparedModel& model : comparison.models) {
      RunningMean seconds;
      for (const ComparedRun& run : model.runs) {
        if (run.costs && run.costs->training_seconds > 0) seconds.add(run.costs->training_seconds);
      }
      if (seconds.count() == 0 || std::abs(seconds.mean() / budget->seconds - 1) < kBudgetTolerance) continue;
      comparison.notes.push_back(
          fmt::format("{} took {:.0f} s of training on average, with a budget of {} s: its steps "
                      "were timed when the machine was busier or idler",
                      model.name, seconds.mean(), budget->seconds));
    }
  }

  Json told_protocol() {
    const DataSpec& spec = data().spec;
    Json spaces = Json::array();
    for (const auto& [treatment, real] : real_) {
      for (const auto& space : real->feature_spaces()) spaces.push_back(space);
    }
    Json told = {{"data", spec.dataset},
                 {"data_spec", spec.describe()},
                 {"split", kSplitNames[static_cast<int>(split_)]},
                 {"trained_on", data().count(Split::train)},
                 {"evaluated_on", request_.examples > 0 ? request_.examples : data().count(split_)},
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
