#include <fmt/format.h>

#include <chrono>
#include <ctime>

#include "core/json.h"
#include "tools/output.h"
#include "tools/table.h"
#include "tools/verb.h"
#include "trainers/run_folder.h"

namespace genzoo {
namespace {

constexpr const char* kDefaultFolder = "runs";

/// Time since an ISO 8601 moment in UTC, "3 h"; empty when it is none.
std::string age(const std::string& moment) {
  std::tm utc{};
  if (!strptime(moment.c_str(), "%Y-%m-%dT%H:%M:%SZ", &utc)) return "";
  const double seconds = std::difftime(std::time(nullptr), timegm(&utc));
  if (seconds < 60) return fmt::format("{:.0f} s", seconds);
  if (seconds < 3600) return fmt::format("{:.0f} min", seconds / 60);
  if (seconds < 2 * 86400) return fmt::format("{:.0f} h", seconds / 3600);
  return fmt::format("{:.0f} days", seconds / 86400);
}

std::string best(const RunSummary& run) {
  if (!run.best_loss) return "";
  return fmt::format("{:.4f}{}", *run.best_loss, run.best_step ? fmt::format(" (step {} kept)", *run.best_step) : "");
}

ExitCode run(const Arguments& arguments) {
  const std::filesystem::path folder = arguments.has("DIR") ? arguments.text("DIR") : kDefaultFolder;
  // Before the first training there is no such folder, which is no mistake.
  const bool none_yet = !arguments.has("DIR") && !std::filesystem::exists(folder);
  const std::vector<RunSummary> runs = none_yet ? std::vector<RunSummary>{} : list_runs(folder);
  if (arguments.flag("json")) {
    Json all = Json::array();
    for (const RunSummary& summary : runs) all.push_back(summary.to_json());
    print_json(all);
    return ExitCode::done;
  }
  if (runs.empty()) {
    print(fmt::format("no runs in {}\n", folder.string()));
    return ExitCode::done;
  }
  Table table;
  table.add({"run", "model", "data", "status", "step", "best validation loss", "age"});
  for (const RunSummary& r : runs) {
    table.add({r.folder.string(), r.model, r.dataset, r.status, fmt::format("{}/{}", r.step, r.steps), best(r),
               age(r.started)});
  }
  print(table.text());
  return ExitCode::done;
}

}  // namespace

Verb list_verb() {
  return {"list",
          "the runs there are",
          "[DIR]",
          "DIR is runs unless given. The step is that of the newest checkpoint.",
          {{"json", Takes::nothing, "", "print JSON"}},
          run};
}

}  // namespace genzoo
