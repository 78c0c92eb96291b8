#include "evaluation/inspection.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/error.h"
#include "data/tokenizers/tokenizer.h"
#include "evaluation/evaluate.h"

namespace genzoo {
namespace {

constexpr int64_t kLikeliest = 5;
constexpr int64_t kNeighbours = 8;
constexpr int64_t kSmallVocabulary = 300;

/// What each token is as text. Part of a character stays as bytes.
class TokenTexts final {
 public:
  explicit TokenTexts(const std::string& tokenizer) : tokenizer_(tokenizer_from_json(tokenizer)) {}

  std::string operator()(int64_t token) const { return tokenizer_->decode(torch::full({1}, token, torch::kLong)); }

  Tensor encode(const std::string& text, int64_t context) const {
    const Tensor tokens = tokenizer_->encode(text);
    const int64_t most = std::min(context, kMostInspected);
    if (tokens.numel() < 2 || tokens.numel() > most) {
      throw UsageError(fmt::format("inspect: the text has {} tokens, wanted 2 to {}; give a {} one", tokens.numel(),
                                   most, tokens.numel() < 2 ? "longer" : "shorter"));
    }
    return tokens;
  }

 private:
  std::unique_ptr<Tokenizer> tokenizer_;
};

/// The largest of values (N), which become ratings.
std::vector<RatedToken> largest(const Tensor& values, int64_t count, const TokenTexts& texts) {
  const auto [top, places] = values.topk(std::min(count, values.numel()));
  std::vector<RatedToken> rated;
  for (int64_t i = 0; i < top.numel(); ++i) {
    rated.push_back({texts(places[i].item<int64_t>()), top[i].item<double>()});
  }
  return rated;
}

std::vector<Expectation> expectations(const LoadedModel& loaded, const Tensor& tokens, const TokenTexts& texts) {
  const Tensor log_p = loaded.model.can.next_token_logits(tokens.unsqueeze(0).to(loaded.device))
                           .to(torch::kCPU, torch::kDouble)
                           .log_softmax(/*dim=*/1);  // (T, V)
  const Tensor p = log_p.exp();
  std::vector<Expectation> all;
  for (int64_t t = 0; t < tokens.numel(); ++t) {
    const auto token = tokens[t].item<int64_t>();
    Expectation place{.token = texts(token), .surprise = {}, .entropy = 0, .likeliest = {}};
    if (t > 0) place.surprise = -log_p[t - 1][token].item<double>();
    place.entropy = -(p[t] * log_p[t]).nan_to_num(0).sum().item<double>();
    place.likeliest = largest(p[t], kLikeliest, texts);
    all.push_back(std::move(place));
  }
  return all;
}

Tensor effects_of_heads(const LoadedModel& loaded, const Tensor& tokens, int64_t layers, int64_t heads) {
  const Tensor text = tokens.unsqueeze(0).to(loaded.device);
  const Tensor x = text.slice(1, 0, -1), y = text.slice(1, 1);
  const auto& can = loaded.model.can;
  const double whole = can.token_log_prob(x, y).to(torch::kDouble).mean().item<double>();
  Tensor effects = torch::zeros({layers, heads}, torch::kDouble);
  for (int64_t layer = 0; layer < layers; ++layer) {
    for (int64_t head = 0; head < heads; ++head) {
      const Tensor without = can.token_log_prob_without(x, y, layer, head);
      effects[layer][head] = whole - without.to(torch::kDouble).mean().item<double>();
    }
  }
  return effects;
}

/// The tokens of a text, each once, in the order they come.
std::vector<int64_t> distinct(const Tensor& tokens) {
  std::vector<int64_t> order;
  std::set<int64_t> seen;
  for (int64_t i = 0; i < tokens.numel(); ++i) {
    const auto token = tokens[i].item<int64_t>();
    if (seen.insert(token).second) order.push_back(token);
  }
  return order;
}

/// Unit vectors (V, C); of a vector that is zero, zero.
Tensor directions(const Tensor& vectors) {
  return vectors / vectors.norm(2, /*dim=*/1, /*keepdim=*/true).clamp_min(1e-12);
}

TokenMap map_of(const Tensor& vectors, const std::vector<int64_t>& tokens, const TokenTexts& texts) {
  TokenMap map;
  for (const int64_t token : tokens) map.tokens.push_back(texts(token));
  Tensor chosen = vectors.index_select(0, torch::tensor(at::ArrayRef<int64_t>(tokens), torch::kLong));
  chosen = chosen - chosen.mean(0);
  const auto [u, s, vh] = at::linalg_svd(chosen, /*full_matrices=*/false);
  const Tensor variance = s.square();
  map.places = torch::zeros({chosen.size(0), 2}, torch::kDouble);
  for (int64_t axis = 0; axis < std::min<int64_t>(2, s.numel()); ++axis) {
    Tensor direction = vh[axis];
    // A direction and its opposite are the same to the decomposition: here the largest entry is positive.
    if (direction[direction.abs().argmax()].item<double>() < 0) direction = -direction;
    map.places.select(1, axis).copy_(chosen.matmul(direction));
    map.shares[axis] = (variance[axis] / variance.sum().clamp_min(1e-300)).item<double>();
  }
  return map;
}

Json rated_json(const std::vector<RatedToken>& tokens, const char* what) {
  Json list = Json::array();
  for (const RatedToken& token : tokens) list.push_back({{"token", token.text}, {what, token.value}});
  return list;
}

}  // namespace

double Inspection::nats_per_token() const {
  double sum = 0;
  for (const Expectation& place : text) sum += place.surprise.value_or(0);
  return sum / static_cast<double>(text.size() - 1);
}

Json Inspection::to_json() const {
  Json json;
  json["nats_per_token"] = nats_per_token();
  for (const Expectation& place : text) {
    json["text"].push_back({{"token", place.token},
                            {"surprise", finite_or_null(place.surprise)},
                            {"entropy", place.entropy},
                            {"likeliest", rated_json(place.likeliest, "probability")}});
  }
  if (head_effects.defined()) {
    Json layers = Json::array();
    for (int64_t layer = 0; layer < head_effects.size(0); ++layer) {
      const double* row = head_effects.const_data_ptr<double>() + layer * head_effects.size(1);
      layers.push_back(std::vector<double>(row, row + head_effects.size(1)));
    }
    json["head_effects"] = layers;
  }
  for (const auto& [token, near] : neighbours) {
    json["neighbours"].push_back({{"token", token}, {"near", rated_json(near, "cosine")}});
  }
  return json;
}

Inspection inspect(const LoadedModel& loaded, const std::string& text) {
  const Abilities& can = loaded.model.can;
  if (!can.next_token_logits) refuse(loaded, "cannot be looked into");
  const EvalMode eval(*loaded.model.module);
  const TokenTexts texts(loaded.spec.tokenizer);
  const Tensor tokens = texts.encode(text, can.context);
  Inspection found;
  found.text = expectations(loaded, tokens, texts);
  if (can.attention_maps) {
    found.attention = can.attention_maps(tokens.unsqueeze(0).to(loaded.device)).to(torch::kCPU, torch::kFloat);
    found.head_effects = effects_of_heads(loaded, tokens, found.attention.size(0), found.attention.size(1));
  }
  const Tensor vectors = can.token_vectors().to(torch::kCPU, torch::kDouble), unit = directions(vectors);
  std::vector<int64_t> mapped = distinct(tokens);
  const std::vector<int64_t> own = mapped;
  for (const int64_t token : own) {
    Tensor likeness = unit.matmul(unit[token]);
    likeness[token] = -2;  // everything is nearest to itself
    found.neighbours.emplace_back(texts(token), largest(likeness, std::min(kNeighbours, vectors.size(0) - 1), texts));
    const Tensor near = std::get<1>(likeness.topk(std::min(kNeighbours, vectors.size(0) - 1)));
    for (int64_t i = 0; i < near.numel(); ++i) mapped.push_back(near[i].item<int64_t>());
  }
  if (vectors.size(0) <= kSmallVocabulary) {
    mapped.resize(static_cast<size_t>(vectors.size(0)));
    for (size_t i = 0; i < mapped.size(); ++i) mapped[i] = static_cast<int64_t>(i);
  } else {
    mapped = distinct(torch::tensor(at::ArrayRef<int64_t>(mapped), torch::kLong));
  }
  found.map = map_of(vectors, mapped, texts);
  return found;
}

}  // namespace genzoo
