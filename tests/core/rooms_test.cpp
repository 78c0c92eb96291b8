// The house keeps its rules (docs of the layout: README): includes point only to rooms below, third-party names stand
// in their one place, files have names that say something and a size one can read.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <string>
#include <vector>

#include "tests/support.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

constexpr size_t kLongestFile = 450;

const std::vector<std::string> kRooms = {"core", "data", "models", "trainers", "evaluation", "tools"};  // lowest first

struct Include {
  std::string path;  // of the included file, as written
  int line;
};

struct Source {
  std::string path;  // from the root: "data/idx.cpp"
  std::vector<std::string> lines;
  std::vector<Include> includes;

  std::string room() const { return path.substr(0, path.find('/')); }
};

Source parse(const std::string& path, std::istream& text) {
  static const std::regex include(R"re(^\s*#\s*include\s*[<"]([^>"]+)[>"])re");
  Source source{path, {}, {}};
  std::smatch match;
  for (std::string line; std::getline(text, line);) {
    source.lines.push_back(line);
    if (std::regex_search(line, match, include)) source.includes.push_back({match[1], int(source.lines.size())});
  }
  return source;
}

/// All C++ of the rooms and the tests.
std::vector<Source> read_sources() {
  std::vector<Source> sources;
  std::vector<std::string> folders = kRooms;
  folders.push_back("tests");
  for (const auto& folder : folders) {
    const fs::path root = fs::path(GENZOO_SOURCE_DIR) / folder;
    if (!fs::is_directory(root)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root)) {
      const auto extension = entry.path().extension();
      if (extension != ".cpp" && extension != ".h") continue;
      std::ifstream file(entry.path());
      sources.push_back(parse(fs::relative(entry.path(), GENZOO_SOURCE_DIR).generic_string(), file));
    }
  }
  return sources;
}

size_t level(const std::string& room) {
  return std::find(kRooms.begin(), kRooms.end(), room) - kRooms.begin();  // tests: above all
}

std::string at(const Source& source, const Include& include) {
  return source.path + ":" + std::to_string(include.line) + " includes " + include.path;
}

/// Includes of a room that is not below; includes of a family's own files by others are the registry's business alone.
std::vector<std::string> upward_includes(const Source& source) {
  std::vector<std::string> mistakes;
  for (const auto& include : source.includes) {
    const std::string room = include.path.substr(0, include.path.find('/'));
    const bool ours = room == "tests" || level(room) < kRooms.size();
    const size_t from = level(source.room());
    const size_t to = level(room);
    if (ours && to > from) mistakes.push_back(at(source, include) + ", which lies above it");
  }
  return mistakes;
}

/// models/<family>/x includes only its own family; all others in models and above reach families by models/registry.
std::vector<std::string> family_includes(const Source& source) {
  static const std::regex of_family(R"(^models/([a-z0-9_]+)/.*)");
  std::vector<std::string> mistakes;
  std::smatch own, theirs;
  const bool in_family = std::regex_match(source.path, own, of_family);
  const std::string family = in_family ? own[1].str() : "";
  for (const auto& include : source.includes) {
    if (!std::regex_match(include.path, theirs, of_family)) continue;
    const bool allowed = theirs[1].str() == family || source.path == "models/registry.cpp" || source.room() == "tests";
    if (!allowed) mistakes.push_back(at(source, include) + ", which is another family's");
  }
  return mistakes;
}

/// Where each third-party header may be included: by its path as written, the files (from the root) that may.
const std::vector<std::pair<std::regex, std::regex>> kPlaces = {
    {std::regex("^yaml-cpp/.*"), std::regex("^core/config.*")},
    {std::regex("^opencv2/.*"), std::regex("^(data/.*|core/(image|animation).*)")},
    {std::regex("^webp/.*"), std::regex("^core/.*")},
    {std::regex("^openssl/.*"), std::regex("^core/.*")},
    {std::regex("^nlohmann/.*"), std::regex("^core/.*")},
    {std::regex("^boost/.*"), std::regex("^tools/.*")},
    {std::regex("^zlib\\.h$"), std::regex("^(data|core)/.*")},
    {std::regex("^curl/.*"), std::regex("^data/.*")},
    {std::regex("^pcre2\\.h$"), std::regex("^data/tokenizer.*")},
    {std::regex("^utf8proc\\.h$"), std::regex("^data/tokenizers/unicode\\.cpp$")},
    {std::regex("^catch2/.*"), std::regex("^tests/support\\.h$")},
    {std::regex("^fmt/.*"), std::regex(".*")},
    {std::regex("^(torch|ATen|c10|caffe2)/.*"), std::regex("^(?!tools/).*")},
    {std::regex("^(cuda|nccl|cublas|cudnn)[a-z_]*\\.h$"), std::regex("^(core|models|trainers)/.*")},
};

std::vector<std::string> misplaced_libraries(const Source& source) {
  std::vector<std::string> mistakes;
  for (const auto& include : source.includes) {
    for (const auto& [header, place] : kPlaces) {
      if (std::regex_match(include.path, header) && !std::regex_match(source.path, place)) {
        mistakes.push_back(at(source, include) + ", a library that has its place elsewhere");
      }
    }
  }
  return mistakes;
}

/// Names that say nothing of what is inside.
std::vector<std::string> empty_names(const Source& source) {
  static const std::regex empty("(^|.*[/_])(utils?|helpers?|common|misc|managers?)([/_.].*|$)");
  if (!std::regex_match(source.path, empty)) return {};
  return {source.path + ": the name says nothing of what is inside"};
}

std::vector<std::string> long_files(const Source& source) {
  if (source.lines.size() <= kLongestFile) return {};
  return {source.path + ": " + std::to_string(source.lines.size()) + " lines, more than " +
          std::to_string(kLongestFile)};
}

using Rule = std::vector<std::string> (*)(const Source&);
const std::map<std::string, Rule> kRules = {{"upward include", upward_includes},
                                            {"another family's header", family_includes},
                                            {"third-party header out of place", misplaced_libraries},
                                            {"empty name", empty_names},
                                            {"long file", long_files}};

/// The names of the rules that a file of this path and text breaks.
std::vector<std::string> broken(const std::string& path, const std::string& text) {
  std::istringstream stream(text);
  const Source source = parse(path, stream);
  std::vector<std::string> names;
  for (const auto& [name, rule] : kRules) {
    if (!rule(source).empty()) names.push_back(name);
  }
  return names;
}

TEST_CASE("the source keeps the rules of the house", "[core]") {
  const auto sources = read_sources();
  REQUIRE(sources.size() > 10);
  for (const auto& [name, rule] : kRules) {
    std::string mistakes;
    for (const auto& source : sources) {
      for (const auto& mistake : rule(source)) mistakes += mistake + "\n";
    }
    INFO(name);
    CHECK(mistakes == "");
  }
}

TEST_CASE("the rules of the house notice what breaks them", "[core]") {
  using Names = std::vector<std::string>;
  CHECK(broken("models/vae/vae.cpp", "#include \"core/random.h\"\n#include \"models/vae/vae.h\"\n") == Names{});
  CHECK(broken("core/file.cpp", "  # include \"data/dataset.h\"\n") == Names{"upward include"});
  CHECK(broken("trainers/loop.h", "#include <evaluation/likelihood.h>\n") == Names{"upward include"});
  CHECK(broken("tools/train.cpp", "#include \"tests/support.h\"\n") == Names{"upward include"});
  CHECK(broken("models/gan/gan.cpp", "#include \"models/vae/vae.h\"\n") == Names{"another family's header"});
  CHECK(broken("evaluation/likelihood.cpp", "#include \"models/vae/vae.h\"\n") == Names{"another family's header"});
  CHECK(broken("models/registry.cpp", "#include \"models/vae/vae.h\"\n") == Names{});
  CHECK(broken("core/json.cpp", "#include <yaml-cpp/yaml.h>\n") == Names{"third-party header out of place"});
  CHECK(broken("tools/sample.cpp", "#include <torch/torch.h>\n") == Names{"third-party header out of place"});
  CHECK(broken("tests/core/json_test.cpp", "#include <catch2/catch.hpp>\n") ==
        Names{"third-party header out of place"});
  CHECK(broken("data/image_utils.cpp", "") == Names{"empty name"});
  CHECK(broken("core/common.h", "") == Names{"empty name"});
  CHECK(broken("core/misc/clock.h", "") == Names{"empty name"});
  CHECK(broken("core/commonplace.h", "") == Names{});
  CHECK(broken("core/long.cpp", std::string(kLongestFile + 1, '\n')) == Names{"long file"});
  CHECK(broken("core/long.cpp", std::string(kLongestFile, '\n')) == Names{});
}

}  // namespace
}  // namespace genzoo
