// The speed of workloads: one line each, measured by a process of its own.
#include <fmt/format.h>

#include "evaluation/benchmark.h"
#include "evaluation/machine_limits.h"
#include "tools/output.h"
#include "tools/scaling.h"
#include "tools/table.h"
#include "tools/trained_model.h"
#include "tools/tune.h"
#include "tools/verb.h"
#include "tools/workloads.h"

namespace genzoo {
namespace {

constexpr double kLimitSeconds = 0.5;  // for each of the machine's limits

Json measure_here(const std::string& workload, const Arguments& arguments) {
  const ExperimentConfig config = read_workload(workload, arguments);
  std::optional<WeightType> weight_type;
  if (arguments.given("weight-type")) weight_type = parse_weight_type(arguments.text("weight-type"));
  const Benchmark line =
      run_benchmark(config, arguments.number("seconds"), DataPlaces::from_environment(), weight_type);
  if (arguments.flag("no-limits")) return line.to_json();
  // After the workload, for the machine as it is now, and for the workload's memory to be its own.
  return line.to_json(measure_limits(kLimitSeconds));
}

std::vector<std::string> row_of(const Json& line) {
  const auto number = [&](const char* key) { return line.at(key).get<double>(); };
  const auto percent = [&](const char* key) {
    return !line.contains(key) || line.at(key).is_null() ? std::string("-")
                                                         : fmt::format("{:.0f} %", 100 * number(key));
  };
  const std::string losses = line.at("loss_first").is_null()
                                 ? "-"
                                 : fmt::format("{:.4g} -> {:.4g}", number("loss_first"), number("loss_last"));
  return {line.at("workload").get<std::string>(),
          line.at("dtype").get<std::string>(),
          fmt::format("{:.4g} ({:.4g} to {:.4g})", number("ms_per_step"), number("ms_min"), number("ms_max")),
          fmt::format("{:.5g} {}", number("items_per_s"), line.at("unit").get<std::string>()),
          fmt::format("{:.4g}", number("gflop_per_step")),
          percent("share_of_products"),
          percent("share_of_memory"),
          fmt::format("{:.0f}", number("peak_rss_mb")),
          fmt::format("{:.2f}", number("start_to_step_s")),
          losses,
          percent("other_cpu")};
}

std::string describe_limits(const MachineLimits& limits) {
  return fmt::format(
      "matrix products  {:.0f} GFLOP/s float32, {:.0f} bfloat16\nmemory           {:.1f} GB/s read, {:.1f} GB/s "
      "x += y\n",
      1e-9 * limits.float32_flops, 1e-9 * limits.bfloat16_flops, 1e-9 * limits.read_bytes, 1e-9 * limits.update_bytes);
}

ExitCode show_limits(const Arguments& arguments) {
  set_up_compute(arguments.integer("threads"), /*deterministic=*/true);
  const MachineLimits limits = measure_limits(kLimitSeconds);
  if (arguments.flag("json")) {
    print_json(limits.to_json());
  } else {
    print(describe_limits(limits));
  }
  return ExitCode::done;
}

ExitCode run(const Arguments& arguments) {
  std::vector<std::string> workloads = arguments.all("WORKLOAD");
  const bool scaling = !workloads.empty() && workloads[0] == "scaling";
  for (const char* option : {"axis", "from", "out", "markdown"}) {
    if (!scaling && arguments.given(option)) {
      throw UsageError(fmt::format("bench: --{} is of `genzoo bench scaling WORKLOAD...`; leave it out", option));
    }
  }
  if (workloads == std::vector<std::string>{"limits"}) return show_limits(arguments);
  if (!workloads.empty() && workloads[0] == "tune") {
    workloads.erase(workloads.begin());
    return tune_shards(workloads, arguments);
  }
  if (scaling) {
    workloads.erase(workloads.begin());
    return show_scaling(workloads, arguments);
  }
  if (workloads.empty()) workloads = all_workloads();
  for (const std::string& workload : workloads) config_of(workload);  // before the first is measured
  if (arguments.flag("json") && workloads.size() == 1) {
    print(measure_here(workloads[0], arguments).dump() + "\n");
    return ExitCode::done;
  }
  std::vector<std::string> limits;
  if (arguments.flag("no-limits")) limits.emplace_back("--no-limits");
  Table table;
  table.add({"workload", "type", "ms/step (min to max)", "speed", "GFLOP", "of products", "of memory", "peak MB",
             "start s", "loss", "others"});
  for (const std::string& workload : workloads) {
    const Ended ended = measure_apart(workload, arguments, arguments.number("seconds"), limits);
    if (ended.code != ExitCode::done) return ended.code;  // it has said why
    if (arguments.flag("json")) {
      print(ended.text);
      flush_output();
    } else {
      table.add(row_of(parse_json(ended.text, "bench")));
    }
  }
  if (!arguments.flag("json")) print(table.text());
  return ExitCode::done;
}

}  // namespace

Verb bench_verb() {
  return {
      "bench",
      "measures training and decoding speed",
      "[WORKLOAD...]",
      "WORKLOAD: a config of configs/bench by its name, the path of any config, or `limits`, what the machine can do "
      "at\n"
      "best; without: all of configs/bench. Each is measured by a process of its own. The columns: milliseconds of a\n"
      "step (of decoding: of a token), median and extremes of windows of two seconds; the share of the speed of this\n"
      "machine's matrix products and of its memory; the largest resident memory; seconds from the start of the "
      "process\n"
      "to its first step; the first and the last loss; the share of the machine that other processes used meanwhile.\n"
      "\n"
      "`bench tune CONFIG...` measures a step with the batch in 1, 2, 4, ... shards, up to the number of threads, in\n"
      "turn, five rounds, each time in a process of its own, and prints the line to write in the config. More shards\n"
      "are advised if they are faster in every round. They belong to the experiment: another number gives other "
      "bytes.\n"
      "\n"
      "`bench scaling WORKLOAD...` measures how cost grows: along each --axis, a key of the config with the values it "
      "is\n"
      "to take beside the config's others; without one the batch, from a fourth to four times, and the threads. Told "
      "is\n"
      "the cost of a sample or token, whether from any value to the next it grows more than its FLOPs by over 15 %\n"
      "(a jump, if a second measurement agrees), and the powers by which cost and memory grow. --out draws it.",
      {{"precision", Takes::word, "float32|bfloat16", "overrides the config's"},
       {"weight-type", Takes::word, "float32|bfloat16|int8", "of decoding; without: by the precision"},
       {"seconds", Takes::number, "N", "measured time of each, and of each number of shards", "10", false, positive},
       {"threads", Takes::integer, "N", "0: all cores", "0", false, Range{0, 4096, false, false, "in [0, 4096]"}},
       {"device", Takes::text, "auto|cpu|cuda[:N]", "overrides the config's"},
       {"set", Takes::any_times, "KEY=VALUE", "overrides a key of the config, as train.batch_size=64"},
       {"axis", Takes::any_times, "KEY=VALUE,VALUE,...", "of scaling: as model.transformer.n_layer=2,4,8"},
       {"out", Takes::text, "FILE.svg", "of scaling: the figure to write"},
       {"from", Takes::any_times, "FILE", "of scaling: lines that --json printed, shown again instead of measured"},
       {"markdown", Takes::nothing, "", "of scaling: tables of Markdown"},
       {"no-limits", Takes::nothing, "", "without the machine's limits and the shares of them: two seconds less"},
       {"json", Takes::nothing, "", "one line of JSON a workload, of scaling an axis"}},
      run};
}

}  // namespace genzoo
