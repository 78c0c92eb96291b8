#pragma once
// A language model looked into on one text: what it expects, where it looks, what its tokens are near to.
//
// Legend: T tokens of the text, L layers, H heads, V tokens of the vocabulary, C channels.

#include <torch/types.h>

#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "trainers/checkpoint.h"

namespace genzoo {

/// A token and its probability, or its likeness to another.
struct RatedToken {
  std::string text;
  double value = 0.0;
};

/// One place of the text.
struct Expectation {
  std::string token;                  ///< what stands there
  std::optional<double> surprise;     ///< -log p of it given those before it, nats; of the first there is none
  double entropy = 0.0;               ///< of the distribution of the token after it, nats
  std::vector<RatedToken> likeliest;  ///< after it, with their probabilities
};

/// Tokens on the plane of the two directions in which their vectors vary most.
struct TokenMap {
  std::vector<std::string> tokens;
  Tensor places;              ///< (tokens, 2) float64
  double shares[2] = {0, 0};  ///< of the variance, along each direction
};

struct Inspection {
  std::vector<Expectation> text;  ///< (T)
  Tensor attention;               ///< (L, H, T, T) float32, rows are queries; undefined for models without attention
  Tensor head_effects;            ///< (L, H) float64: by how much nats/token of the text grow without a head; likewise
  std::vector<std::pair<std::string, std::vector<RatedToken>>> neighbours;  ///< of each token of the text, by cosine
  TokenMap map;  ///< of the whole vocabulary where it is small, else of the text's tokens and their neighbours

  double nats_per_token() const;  ///< mean surprise
  Json to_json() const;           ///< without the maps of attention, which are pictures
};

/// Looks into a model. Throws UsageError when it cannot be looked into, or the text has no two tokens, or more than
/// kMostInspected or the model's context.
inline constexpr int64_t kMostInspected = 128;
Inspection inspect(const LoadedModel& loaded, const std::string& text);

/// The same as one page that needs nothing else.
std::string inspection_page(const Inspection& inspection, const LoadedModel& loaded);

}  // namespace genzoo
