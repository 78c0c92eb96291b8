#include "evaluation/benchmark.h"

#include <fmt/format.h>
#include <torch/nn/module.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/error.h"
#include "core/memory.h"
#include "core/process.h"
#include "models/registry.h"
#include "trainers/estimate.h"
#include "trainers/timing.h"
#include "trainers/trainer.h"

namespace genzoo {
namespace {

constexpr int64_t kPromptTokens = 16, kNewTokens = 128;

struct OpenedData {
  Dataset dataset;
  std::string description;
};

OpenedData open_or_stand_in(const Choice& choice, const DataPlaces& places) {
  try {
    Dataset dataset = open_dataset(choice, places);
    std::string description = fmt::format("{}: {}", dataset.spec.dataset, dataset.spec.describe());
    return {std::move(dataset), std::move(description)};
  } catch (const DataMissing&) {
    std::optional<Dataset> other = stand_in_for(choice);
    if (!other) throw;
    std::string description =
        fmt::format("random, in place of {}, which is missing: {}", other->spec.dataset, other->spec.describe());
    return {std::move(*other), std::move(description)};
  }
}

void set_times(Benchmark& line, const Timing& timing, double items) {
  line.seconds = timing.median();
  line.seconds_min = timing.min();
  line.seconds_max = timing.max();
  line.items_per_second = items / line.seconds;
}

/// The most held so far, and what is held now: from here on the largest amount is watched anew.
void watch_memory(Benchmark& line) {
  line.peak_memory = peak_memory().value_or(0);
  start_peak_memory();
  line.start_memory = peak_memory().value_or(0);
}

void end_watch(Benchmark& line) {
  line.step_memory = peak_memory().value_or(0);
  line.peak_memory = std::max(line.peak_memory, line.step_memory);
}

void measure_training(Benchmark& line, const ExperimentConfig& config, const Dataset& dataset, double seconds) {
  Trainer trainer(config, dataset, RunFolder(std::filesystem::path()));
  line.start_to_step = seconds_since_process_start();
  watch_memory(line);
  Tensor loss = trainer.update();
  line.loss_first = loss.item<double>();
  line.start_to_first = seconds_since_process_start();
  const auto update = [&] { loss = trainer.update(); };
  const CpuSeconds before = cpu_seconds();
  const Timing timing = time_calls(update, [&] { line.loss_last = loss.item<double>(); }, seconds);
  line.others = share_of_others(before, cpu_seconds());
  end_watch(line);
  set_times(line, timing, static_cast<double>(trainer.items_per_update()));
  line.unit = trainer.model().can.context > 0 ? "tokens/s" : "samples/s";
  line.parameters = parameter_count(*trainer.model().module);
}

void measure_generation(Benchmark& line, const ExperimentConfig& config, const Dataset& dataset, double seconds,
                        std::optional<WeightType> wanted) {
  AnyModel model = make_model(config.model, dataset.spec, static_cast<uint64_t>(config.seed));
  if (!model.can.generate) {
    throw UsageError(fmt::format("bench {}: train.steps is 0, and {} generates no text, so there is nothing to measure",
                                 config.experiment, model.family));
  }
  const torch::Device device = resolve_device(config.device);
  model.module->to(device);
  const EvalMode eval(*model.module);
  GenerateOptions options;
  options.tokens = kNewTokens;
  options.greedy = true;
  // On a GPU bfloat16 is a type to compute in, on a CPU one to read weights in.
  const Precision autocasts = device.is_cpu() || wanted ? Precision::float32 : config.train.precision;
  const bool halves = device.is_cpu() && config.train.precision == Precision::bfloat16;
  options.weight_type = wanted.value_or(halves ? WeightType::bfloat16 : WeightType::float32);
  if (autocasts == Precision::float32) line.precision = kWeightTypeNames[static_cast<size_t>(options.weight_type)];
  const Tensor prompt = torch::arange(kPromptTokens, torch::kLong).remainder(dataset.spec.vocabulary).unsqueeze(0);
  Tensor text;
  const auto generate = [&] {
    Rng rng = Rng::for_rows(0, Purpose::sample, 0, 1, device);
    const Autocast autocast(device, autocasts);
    text = model.can.generate(prompt.to(device), options, rng);
  };
  const auto finish = [&] { text.to(torch::kCPU); };
  line.start_to_step = seconds_since_process_start();
  watch_memory(line);
  generate();
  finish();
  line.start_to_first = seconds_since_process_start();
  const CpuSeconds before = cpu_seconds();
  Timing timing = time_calls(generate, finish, seconds);
  for (double& window : timing.windows) window /= static_cast<double>(kNewTokens);
  line.others = share_of_others(before, cpu_seconds());
  end_watch(line);
  set_times(line, timing, 1.0);
  line.unit = "tokens/s";
  line.parameters = parameter_count(*model.module);
  line.flops = 2.0 * static_cast<double>(line.parameters);
  const double bytes_each = line.precision == "float32" ? 4 : line.precision == "bfloat16" ? 2 : 1;
  line.bytes = bytes_each * static_cast<double>(line.parameters);
}

double rounded(double value, double digits) { return std::round(value * digits) / digits; }

}  // namespace

Benchmark run_benchmark(ExperimentConfig config, double seconds, const DataPlaces& places,
                        std::optional<WeightType> weight_type) {
  if (weight_type && config.train.steps > 0) {
    throw UsageError(
        fmt::format("bench {}: it trains, so there is no type of the weights to decode with; leave out "
                    "--weight-type, or take a workload with train.steps 0, such as decode",
                    config.experiment));
  }
  config.device = resolve_device(config.device).str();
  config.threads = set_up_compute(config.threads, config.train.deterministic);
  const OpenedData data = open_or_stand_in(config.data, places);
  Benchmark line;
  line.workload = config.experiment;
  line.precision = kPrecisionNames[static_cast<size_t>(config.train.precision)];
  line.data = data.description;
  line.threads = config.threads;
  line.batch = config.train.steps > 0 ? config.train.batch_size : 1;
  if (config.train.steps > 0) {
    measure_training(line, config, data.dataset, seconds);
    line.flops = estimate_cost(config, data.dataset).flops_per_step;  // last: it needs memory of its own
  } else {
    measure_generation(line, config, data.dataset, seconds, weight_type);
  }
  return line;
}

Json Benchmark::to_json(const std::optional<MachineLimits>& limits) const {
  Json json;
  json["workload"] = workload;
  json["peer"] = "genzoo";
  json["mode"] = bytes > 0 ? "decode" : "train";
  json["dtype"] = precision == "float32" ? "fp32" : precision == "bfloat16" ? "bf16" : precision;
  json["threads"] = threads;
  json["batch"] = batch;
  json["ms_per_step"] = rounded(1e3 * seconds, 1e4);
  json["ms_min"] = rounded(1e3 * seconds_min, 1e4);
  json["ms_max"] = rounded(1e3 * seconds_max, 1e4);
  json["items_per_s"] = rounded(items_per_second, 1e2);
  json["unit"] = unit;
  json["params"] = parameters;
  json["start_to_first_step_s"] = rounded(start_to_first, 1e2);
  json["start_to_step_s"] = rounded(start_to_step, 1e2);
  json["peak_rss_mb"] = rounded(static_cast<double>(peak_memory) / (1 << 20), 1e2);
  json["step_rss_mb"] = rounded(static_cast<double>(step_memory) / (1 << 20), 1e2);
  json["start_rss_mb"] = rounded(static_cast<double>(start_memory) / (1 << 20), 1e2);
  json["loss_first"] = loss_first ? Json(*loss_first) : Json();
  json["loss_last"] = loss_last ? Json(*loss_last) : Json();
  json["gflop_per_step"] = 1e-9 * flops;
  json["gflops"] = 1e-9 * flops / seconds;
  json["gb_per_s"] = bytes > 0 ? Json(1e-9 * bytes / seconds) : Json();
  if (limits) {
    const double product = precision == "float32" ? limits->float32_flops : limits->bfloat16_flops;
    json["share_of_products"] = rounded(flops / seconds / product, 1e4);
    json["share_of_memory"] = bytes > 0 ? Json(rounded(bytes / seconds / limits->read_bytes, 1e4)) : Json();
  }
  json["other_cpu"] = rounded(others, 1e4);
  json["data"] = data;
  return json;
}

}  // namespace genzoo
