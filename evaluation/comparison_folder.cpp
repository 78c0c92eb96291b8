#include "evaluation/comparison_folder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

#include "core/error.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

constexpr const char* kState = "comparison.json";

/// The keys of two objects whose values differ, or that only one has.
std::vector<std::string> differing_keys(const Json& a, const Json& b) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : a.items()) {
    if (!b.contains(key) || b[key] != value) keys.push_back(key);
  }
  for (const auto& [key, value] : b.items()) {
    if (!a.contains(key)) keys.push_back(key);
  }
  return keys;
}

/// A contestant's name as one that files can have.
std::string file_name(const std::string& contestant) {
  std::string name;
  for (const char c : contestant) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.';
    name += plain ? c : '_';
  }
  return name == contestant ? name : name + "-" + sha256(contestant).substr(0, 8);
}

bool holds_nothing(const fs::path& folder) {
  for (const auto& item : fs::directory_iterator(folder)) {
    if (item.path().filename() != ".lock") return false;
  }
  return true;
}

}  // namespace

ComparisonFolder::ComparisonFolder(fs::path out, const Json& asked) : out_(std::move(out)) {
  std::error_code none;
  if (fs::exists(out_, none) && !fs::is_directory(out_, none)) {
    throw UsageError(fmt::format("--out {}: that is a file; name a folder", out_.string()));
  }
  const fs::path state = out_ / kState;
  if (fs::is_directory(out_, none) && !fs::exists(state, none) && !holds_nothing(out_)) {
    throw UsageError(
        fmt::format("--out {}: the folder is not empty and holds no comparison; name another", out_.string()));
  }
  if (auto lock = FolderLock::try_lock(out_)) lock_.emplace(std::move(*lock));
  if (!lock_) throw UsageError(fmt::format("--out {}: another genzoo compares there; wait for it", out_.string()));
  if (fs::exists(state)) {
    state_ = parse_json(read_file(state), state.string());
    if (!state_.is_object() || !state_.contains("asked") || !state_.contains("decided")) {
      throw RunError(fmt::format("{}: it is damaged; name another --out", state.string()));
    }
    const auto keys = differing_keys(state_["asked"], asked);
    if (!keys.empty()) {
      throw UsageError(fmt::format("--out {}: it holds another comparison, which differs in {}; name another folder",
                                   out_.string(), fmt::join(keys, ", ")));
    }
    return;
  }
  state_ = {{"asked", asked}, {"decided", Json::object()}};
  write();
}

void ComparisonFolder::write() const { write_file_whole(out_ / kState, state_.dump(2) + "\n"); }

std::optional<int64_t> ComparisonFolder::decided(const std::string& name) const {
  const Json& all = state_["decided"];
  if (!all.contains(name)) return {};
  return all[name].get<int64_t>();
}

void ComparisonFolder::decide(const std::string& name, int64_t value) {
  state_["decided"][name] = value;
  write();
}

void ComparisonFolder::note(const std::string& name, const std::string& why) {
  state_["noted"][name] = why;
  write();
}

std::string ComparisonFolder::noted(const std::string& name) const {
  return state_.contains("noted") ? state_["noted"].value(name, "") : "";
}

fs::path ComparisonFolder::measured_file(const std::string& contestant, int64_t seed) const {
  return out_ / "evaluations" / file_name(contestant) / fmt::format("seed-{}.json", seed);
}

std::optional<ComparedRun> ComparisonFolder::measured(const std::string& contestant, int64_t seed,
                                                      const std::string& digest) const {
  const fs::path path = measured_file(contestant, seed);
  if (!fs::exists(path)) return {};
  try {
    const Json json = parse_json(read_file(path), path.string());
    if (json.at("weights") != digest) return {};
    return ComparedRun::from_json(json.at("measured"));
  } catch (const std::exception& error) {
    throw RunError(fmt::format("{}: it is damaged ({}); remove it, and what it held is measured again", path.string(),
                               error.what()));
  }
}

void ComparisonFolder::keep(const std::string& contestant, int64_t seed, const std::string& digest,
                            const ComparedRun& run) const {
  const Json json = {{"weights", digest}, {"measured", run.to_json()}};
  const fs::path path = measured_file(contestant, seed);
  fs::create_directories(path.parent_path());
  write_file_whole(path, json.dump(2) + "\n");
}

}  // namespace genzoo
