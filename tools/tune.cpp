// Into how many shards a config's batch is best split: measured here once, written in the config by a person, and
// nothing is tuned when a training runs.
#include "tools/tune.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "core/json.h"
#include "evaluation/shards_choice.h"
#include "tools/output.h"
#include "tools/table.h"
#include "tools/workloads.h"

namespace genzoo {
namespace {

constexpr int kRounds = 5;
constexpr double kBusy = 0.1;  // share of the machine that others may use before it is told

/// What is measured for a config.
struct Plan {
  std::string workload;
  int64_t batch_size, configured;  // shards as the config has them
  std::vector<int64_t> shards;     // to try
};

/// What was measured.
struct Tuned {
  std::vector<ShardsTime> times;
  double others = 0.0;  // the largest share of the machine that other processes used
  Json line;            // what bench said of one of them
};

Plan plan_for(const std::string& workload, const Arguments& arguments) {
  const ExperimentConfig config = read_workload(workload, arguments);
  if (config.train.steps == 0) {
    throw UsageError(fmt::format(
        "bench tune {}: train.steps is 0, so no batch is split into shards; wanted a config that trains", workload));
  }
  const int64_t threads = config.threads > 0 ? config.threads : std::max(1U, std::thread::hardware_concurrency());
  Plan plan{workload, config.train.batch_size, config.train.shards, {}};
  plan.shards = shards_to_try(plan.batch_size, threads);
  if (plan.shards.size() == 1) {
    throw UsageError(
        fmt::format("bench tune {}: train.batch_size is {}, which does not split into 2 equal shards, so 1 "
                    "is all there is; wanted an even one, such as --set train.batch_size={}",
                    workload, plan.batch_size, plan.batch_size + 1));
  }
  return plan;
}

/// In turn, so that a machine that grows slower or faster meanwhile favours none.
ExitCode measure(const Plan& plan, const Arguments& arguments, Tuned& tuned) {
  for (const int64_t shards : plan.shards) tuned.times.push_back({shards, {}});
  for (int round = 0; round < kRounds; ++round) {
    for (ShardsTime& time : tuned.times) {
      const Ended ended = measure_apart(plan.workload, arguments, arguments.number("seconds") / kRounds,
                                        {"--no-limits", "--set", fmt::format("train.shards={}", time.shards)});
      if (ended.code != ExitCode::done) return ended.code;  // it has said why
      tuned.line = parse_json(ended.text, "bench");
      time.rounds.windows.push_back(1e-3 * tuned.line.at("ms_per_step").get<double>());
      tuned.others = std::max(tuned.others, tuned.line.at("other_cpu").get<double>());
    }
  }
  return ExitCode::done;
}

/// What made the times doubtful is part of the line, and so of the config it is written in.
std::string line_to_write(const ShardsChoice& choice, const Tuned& tuned) {
  const std::string why = choice.shards == 1 ? "more are no faster, as far as was measured"
                                             : fmt::format("{:.2f} times as fast as 1", choice.speedup);
  const std::string doubt =
      tuned.others < kBusy ? "" : fmt::format("; doubtful, others used {:.0f} % of the machine", 100 * tuned.others);
  return fmt::format("train: {{shards: {}}}   # {}{}", choice.shards, why, doubt);
}

Json json_of(const Plan& plan, const Tuned& tuned, const ShardsChoice& choice) {
  Json json;
  for (const char* key : {"workload", "dtype", "threads", "batch", "data"}) json[key] = tuned.line.at(key);
  json["shards_in_config"] = plan.configured;
  json["times"] = Json::array();
  for (const ShardsTime& time : tuned.times) {
    Json rounds = Json::array();
    for (const double seconds : time.rounds.windows) rounds.push_back(1e3 * seconds);
    json["times"].push_back({{"shards", time.shards},
                             {"ms_per_step", 1e3 * time.rounds.median()},
                             {"ms_min", 1e3 * time.rounds.min()},
                             {"ms_max", 1e3 * time.rounds.max()},
                             {"ms_of_rounds", rounds},
                             {"speedup", tuned.times.front().rounds.median() / time.rounds.median()}});
  }
  json["other_cpu"] = tuned.others;
  json["fastest"] = choice.fastest;
  json["shards"] = choice.shards;
  json["speedup"] = choice.speedup;
  json["line"] = line_to_write(choice, tuned);
  return json;
}

std::string describe(const Plan& plan, const Tuned& tuned, const ShardsChoice& choice) {
  Table table;
  table.add({"shards", "ms/step (min to max)", "speed beside 1 shard"});
  for (const ShardsTime& time : tuned.times) {
    table.add({fmt::format("{}", time.shards),
               fmt::format("{:.4g} ({:.4g} to {:.4g})", 1e3 * time.rounds.median(), 1e3 * time.rounds.min(),
                           1e3 * time.rounds.max()),
               fmt::format("{:.2f}", tuned.times.front().rounds.median() / time.rounds.median())});
  }
  const Json& line = tuned.line;
  std::string text = fmt::format("{}: batch {}, {}, threads {}; {}\n\n{}\n", line.at("workload").get<std::string>(),
                                 plan.batch_size, line.at("dtype").get<std::string>(),
                                 line.at("threads").get<int64_t>(), line.at("data").get<std::string>(), table.text());
  if (choice.fastest != choice.shards) {
    text += fmt::format("{} shards have the least median, but not in every round: within the spread of {}.\n",
                        choice.fastest, choice.shards);
  }
  if (tuned.others >= kBusy) {
    text += fmt::format(
        "Other processes used up to {:.0f} % of the machine, which slows one shard more than several:\n"
        "measure again when it is quiet.\n",
        100 * tuned.others);
  }
  return text + fmt::format("The line to write ({}):\n\n  {}\n\n",
                            choice.shards == plan.configured ? "as the config has it"
                                                             : fmt::format("the config has {}", plan.configured),
                            line_to_write(choice, tuned));
}

}  // namespace

ExitCode tune_shards(const std::vector<std::string>& configs, const Arguments& arguments) {
  if (configs.empty()) {
    throw UsageError(
        "bench tune: CONFIG is missing, wanted: genzoo bench tune CONFIG..., as configs/bench/vae_mlp.yaml");
  }
  for (const std::string& set : arguments.all("set")) {
    if (set.starts_with("train.shards=")) {
      throw UsageError(
          fmt::format("bench tune: --set {}: the number of shards is what it measures; leave it out", set));
    }
  }
  std::vector<Plan> plans;
  for (const std::string& config : configs) plans.push_back(plan_for(config, arguments));
  for (const Plan& plan : plans) {
    Tuned tuned;
    const ExitCode code = measure(plan, arguments, tuned);
    if (code != ExitCode::done) return code;
    const ShardsChoice choice = choose_shards(tuned.times);
    print(arguments.flag("json") ? json_of(plan, tuned, choice).dump() + "\n" : describe(plan, tuned, choice));
    flush_output();
  }
  if (!arguments.flag("json")) {
    print(
        "Shards belong to the experiment: each draws its own noise and has its own batch statistics, so another "
        "number\n"
        "gives other bytes, on every machine. Nothing is tuned when a training runs.\n");
  }
  return ExitCode::done;
}

}  // namespace genzoo
