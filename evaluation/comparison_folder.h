#pragma once
// A comparison's folder while it is at work: what was asked, what was decided on the way, what is measured already. So
// the same command goes on where it stopped.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "core/file.h"
#include "core/json.h"
#include "evaluation/comparison.h"

namespace genzoo {

/// <out>/comparison.json and <out>/evaluations/. Held for this process alone while it lives.
class ComparisonFolder final {
 public:
  /// `asked`: everything that decides the numbers. Makes the folder. Throws UsageError when it holds something else, a
  /// comparison of something else (naming the keys that differ), or is in use.
  ComparisonFolder(std::filesystem::path out, const Json& asked);

  const std::filesystem::path& path() const { return out_; }

  /// What was decided once, under a name: steps of a budget in seconds, the number of samples.
  std::optional<int64_t> decided(const std::string& name) const;
  void decide(const std::string& name, int64_t value);

  /// Why something was decided as it was, kept with it; empty when nothing is known.
  void note(const std::string& name, const std::string& why);
  std::string noted(const std::string& name) const;
  const Json& decisions() const { return state_["decided"]; }

  /// What was measured of a training with these weights (a digest of them and of who measured). Throws RunError, with
  /// what to do, for a damaged file.
  std::optional<ComparedRun> measured(const std::string& contestant, int64_t seed, const std::string& digest) const;
  void keep(const std::string& contestant, int64_t seed, const std::string& digest, const ComparedRun& run) const;

 private:
  std::filesystem::path measured_file(const std::string& contestant, int64_t seed) const;
  void write() const;

  std::filesystem::path out_;
  std::optional<FolderLock> lock_;
  Json state_;
};

}  // namespace genzoo
