#pragma once
// Samples of a model that is not genzoo's, to stand beside those that are.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "evaluation/likelihood.h"

namespace genzoo {

/// What the command line says of one: NAME=samples.safetensors[,log_prob=FILE,unit=U,kind=K].
struct ExternalSource {
  std::string name;
  std::filesystem::path samples;   ///< the array `samples`: uint8 (N, C, H, W) or float32 (N, D)
  std::filesystem::path log_prob;  ///< the array `log_prob` (N), one for each example of the split, in its order; or ""
  LikelihoodUnit unit = LikelihoodUnit::nats;         ///< nats (log p) or bits/dim (-log2 p per dimension)
  LikelihoodKind kind = LikelihoodKind::lower_bound;  ///< as its author says

  bool operator==(const ExternalSource&) const = default;
};

/// Throws UsageError that shows the form. With log_prob, unit and kind must be said: nobody else can know them.
ExternalSource parse_external(const std::string& text);

/// The samples, checked against the data's shape, type and levels. Throws UsageError naming the file.
Tensor read_external_samples(const ExternalSource& source, const DataSpec& spec);

/// Its likelihood of the first `limit` examples of a split, 0: of all. Throws UsageError unless the file has one finite
/// number for each of the split.
Likelihood read_external_likelihood(const ExternalSource& source, const Dataset& dataset, Split split,
                                    int64_t limit = 0);

}  // namespace genzoo
