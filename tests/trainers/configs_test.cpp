// The configs that are shipped: each reads, names what there is, says what it shows; and every model has one.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "core/file.h"
#include "models/registry.h"
#include "tests/support.h"
#include "trainers/experiment.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

const fs::path kSource = GENZOO_SOURCE_DIR;

std::vector<fs::path> files_below(const fs::path& folder, const std::string& ending) {
  std::vector<fs::path> paths;
  for (const auto& item : fs::recursive_directory_iterator(folder)) {
    if (item.is_regular_file() && item.path().filename().string().ends_with(ending)) paths.push_back(item.path());
  }
  std::ranges::sort(paths);
  return paths;
}

ExperimentConfig read(const fs::path& path) { return read_config<ExperimentConfig>(ConfigSource::from_file(path)); }

TEST_CASE("every config reads, is named after its experiment, and reads back as it was resolved",
          "[trainers][config]") {
  const auto paths = files_below(kSource / "configs", ".yaml");
  REQUIRE(paths.size() >= 13);
  for (const auto& path : paths) {
    INFO(path.string());
    const ExperimentConfig config = read(path);  // throws, with every mistake in it
    CHECK(config.experiment == path.stem().string());
    const auto is_named = [](const std::string& name) { return [&](const auto& row) { return row.name == name; }; };
    CHECK(std::ranges::any_of(models(), is_named(config.model.name)));
    CHECK(std::ranges::any_of(datasets(), is_named(config.data.name)));
    const std::string resolved = write_config(config);
    CHECK(write_config(read_config<ExperimentConfig>(ConfigSource::from_text(resolved, "resolved"))) == resolved);
  }
}

TEST_CASE("every config says at its head what it shows, how to run it and what to expect", "[trainers][config]") {
  for (const auto& path : files_below(kSource / "configs", ".yaml")) {
    INFO(path.string());
    std::ifstream in(path);
    std::string head;
    for (std::string line; std::getline(in, line) && line.starts_with('#');) head += line + "\n";
    CHECK(head.size() > 100);
    const fs::path name = fs::relative(path, kSource / "configs");
    const bool is_benchmark = name.parent_path() == "bench";
    CHECK(head.find(is_benchmark ? "genzoo bench " + path.stem().string() : "train configs/" + name.string()) !=
          std::string::npos);
    CHECK(std::regex_search(head, std::regex("Expect|[Nn]ot measured")));
  }
}

TEST_CASE("every model has a config and tests of its own", "[trainers][config]") {
  std::set<std::string> with_config;
  for (const auto& path : files_below(kSource / "configs", ".yaml")) with_config.insert(read(path).model.name);
  std::string tests;
  for (const auto& path : files_below(kSource / "tests/models", "_test.cpp")) tests += read_file(path);
  for (const ModelEntry& entry : models()) {
    INFO(entry.name);
    CHECK(with_config.contains(std::string(entry.name)));
    CHECK(tests.find(fmt::format("[{}]", entry.name)) != std::string::npos);
  }
}

TEST_CASE("the README's table and the registry name the same models", "[trainers][config]") {
  if (!fs::exists(kSource / "README.md")) SKIP("there is no README.md");
  std::istringstream in(read_file(kSource / "README.md"));
  const std::regex row("^\\|[ *]*`([a-z0-9_]+)`.*");
  std::set<std::string> named, registered;
  for (const ModelEntry& entry : models()) registered.insert(std::string(entry.name));
  // The table of models is the one whose head says so; other tables are not its affair.
  bool in_table = false;
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with('|')) in_table = false;
    if (line.starts_with("| model")) in_table = true;
    std::smatch match;
    if (in_table && std::regex_match(line, match, row)) named.insert(match[1]);
  }
  CHECK(named == registered);
}

}  // namespace
}  // namespace genzoo
