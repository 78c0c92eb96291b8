// A parent to begin with, and its children.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tests/support.h"
#include "tests/trainers/tiny_experiment.h"

namespace genzoo::tiny {

inline constexpr const char* kParentModel = "{transformer: {n_layer: 2, n_head: 2, n_embd: 8, block_size: 8}}";
inline constexpr const char* kOtherText = "{markov: {length: 1500, validation: 300, test: 300, data_seed: 5}}";

/// A parent in `folder`/parent, without averaged weights.
inline std::filesystem::path make_parent(const TempDir& folder) {
  train(experiment(kParentModel, kText, {"train.ema=none"}), folder / "parent");
  return folder / "parent";
}

inline ExperimentConfig child_of(const std::filesystem::path& parent, std::vector<std::string> sets = {}) {
  sets.insert(sets.begin(), {"train.ema=none", "train.init_from=" + parent.string()});
  return experiment(kParentModel, kOtherText, sets);
}

}  // namespace genzoo::tiny
