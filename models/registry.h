#pragma once
// The zoo's table of contents.

#include <span>
#include <string_view>

#include "core/config.h"
#include "data/dataset.h"
#include "models/huggingface.h"
#include "models/model.h"

namespace genzoo {

/// One family of models.
struct ModelEntry {
  std::string_view name;
  std::string_view doc;    ///< one line
  std::string_view paper;  ///< "Kingma & Welling, 2014, arXiv:1312.6114"
  AnyConfig (*defaults)();
  /// Builds it on the CPU with parameters drawn from `init`. Throws UsageError when it cannot model such data.
  AnyModel (*make)(const AnyConfig& settings, const DataSpec& data, Rng& init);
  const HuggingFaceFormat* huggingface = nullptr;  ///< nullptr: `transformers` has no such models
};

std::span<const ModelEntry> models();
/// The family of that name. Throws std::logic_error when there is none.
const ModelEntry& model_entry(std::string_view name);
std::span<const ChoiceRow> model_choices();  ///< the same for the config reader

/// Parameters are a pure function of (settings, data, seed), the same on every device.
AnyModel make_model(const Choice& choice, const DataSpec& data, uint64_t seed);

}  // namespace genzoo
