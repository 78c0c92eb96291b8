#pragma once
// Models as Hugging Face's `transformers` keeps them: what a family says of how its settings and tensors are called
// there. Files are the affair of trainers/huggingface_folder.h.

#include <torch/types.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>

#include "core/config.h"
#include "core/json.h"

namespace genzoo {

using torch::Tensor;

/// config.json and the tensors of model.safetensors.
struct HuggingFaceModel {
  Json config;
  std::map<std::string, Tensor> tensors;
};

/// What a family can read and write.
struct HuggingFaceFormat {
  std::span<const char* const> model_types;  ///< of config.json
  /// Its settings. Throws RunError for what the family has not.
  AnyConfig (*settings)(const Json& config);
  /// Their tensors as those of a model with such settings, whose own (any values) are given. Throws RunError naming
  /// what is missing, left over, or of another shape.
  std::map<std::string, Tensor> (*ours)(const Json& config, const AnyConfig& settings,
                                        const std::map<std::string, Tensor>& own, std::map<std::string, Tensor> theirs);
  /// The way back. Throws UsageError when `transformers` has no such model, saying what is in the way.
  HuggingFaceModel (*theirs)(const AnyConfig& settings, const std::map<std::string, Tensor>& own);
};

/// config.json, asked key by key. Every mistake is a RunError that begins with "config.json: ".
class ForeignConfig final {
 public:
  explicit ForeignConfig(const Json& config) : config_(config) {}

  bool has(const char* key) const;  ///< there, and not null
  /// Numbers and words that must be there, or have a default. Integers must be at least 1.
  int64_t integer(const char* key) const;
  int64_t integer(const char* key, int64_t fallback) const;
  double number(const char* key, double fallback) const;
  bool flag(const char* key, bool fallback) const;
  std::string word(const char* key, const std::string& fallback) const;
  /// The object below a key, of which mistakes say "key." first; an empty one when it is not there.
  ForeignConfig below(const char* key) const;

  /// Refuses, with the reason, a key that is there with another value than the one this program has.
  void require(const char* key, const Json& value) const;
  [[noreturn]] void refuse(const std::string& what) const;

 private:
  ForeignConfig(const Json& config, std::string prefix) : config_(config), prefix_(std::move(prefix)) {}
  const Json* find(const char* key) const;

  Json config_;
  std::string prefix_;  ///< "rope_parameters."
};

}  // namespace genzoo
