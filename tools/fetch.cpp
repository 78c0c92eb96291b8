#include "data/fetch.h"

#include <fmt/format.h>
#include <unistd.h>

#include "data/dataset.h"
#include "tools/catalog.h"
#include "tools/verb.h"

namespace genzoo {
namespace {

constexpr double kMegabyte = 1e6;

/// Progress on stderr: a line that is rewritten on a terminal; elsewhere one as a file begins and one at its end.
class Progress final {
 public:
  explicit Progress(bool terminal) : terminal_(terminal) {}

  void tell(const std::string& file, uint64_t done, uint64_t total) {
    const bool begins = file != file_, ends = total > 0 && done >= total;
    const int percent =
        total > 0 ? static_cast<int>(100.0 * static_cast<double>(done) / static_cast<double>(total)) : -1;
    if (terminal_ ? percent == percent_ && !begins && total > 0 : !begins && (!ends || ended_)) return;
    file_ = file;
    percent_ = percent;
    ended_ = ends;
    std::string line = fmt::format("{}: {:.1f} MB", file, static_cast<double>(done) / kMegabyte);
    if (total > 0) line += fmt::format(" of {:.1f} MB", static_cast<double>(total) / kMegabyte);
    std::fputs((terminal_ ? "\r\x1b[K" + line : line + "\n").c_str(), stderr);
    open_ = terminal_;
  }

  ~Progress() {
    if (open_) std::fputs("\n", stderr);
  }

 private:
  bool terminal_;
  bool open_ = false;  // a line without its newline stands on the terminal
  bool ended_ = false;
  std::string file_;
  int percent_ = -1;
};

ExitCode run(const Arguments& arguments) {
  const RemoteDataset dataset = find_entry("fetch", arguments.text("DATASET"), fetchable());
  const DataPlaces places = DataPlaces::from_environment();
  if (places.cache.empty()) {
    throw UsageError("fetch: there is no cache folder to put data in; set XDG_CACHE_HOME or HOME");
  }
  const std::filesystem::path folder = places.cache / dataset.name;
  {
    Progress progress(isatty(STDERR_FILENO) == 1);
    fetch_dataset(dataset, folder,
                  [&](const std::string& file, uint64_t done, uint64_t total) { progress.tell(file, done, total); });
  }
  if (arguments.flag("json")) {
    Json files = Json::array();
    for (const RemoteFile& file : dataset.files) files.push_back(file.name);
    print_json({{"dataset", dataset.name}, {"folder", folder.string()}, {"files", files}});
  } else {
    print(fmt::format("{}: {}\n", dataset.name, folder.string()));
  }
  return ExitCode::done;
}

}  // namespace

Verb fetch_verb() {
  return {
      "fetch",
      "downloads a data set into the data cache",
      "DATASET",
      "Checksums are checked, a download that stopped goes on. The cache is $XDG_CACHE_HOME/genzoo or ~/.cache/genzoo.",
      {{"json", Takes::nothing, "", "print JSON"}},
      run};
}

}  // namespace genzoo
