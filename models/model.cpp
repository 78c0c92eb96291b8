#include "models/model.h"

#include <torch/nn/module.h>

namespace genzoo {

std::vector<std::string> Abilities::names() const {
  const auto claimed = [](LikelihoodKind kind) { return kind == LikelihoodKind::exact ? "exact" : "lower_bound"; };
  std::vector<std::string> names;
  if (sample) names.emplace_back("sample");
  if (log_prob && likelihood.kind) names.push_back(std::string("log_prob (") + claimed(*likelihood.kind) + ")");
  if (token_log_prob) names.emplace_back("token_log_prob (exact)");
  if (generate) names.emplace_back("generate");
  if (next_token_logits) names.emplace_back("inspect");
  if (fill) names.emplace_back("fill");
  if (pair_logits) names.emplace_back("pair_log_prob (exact)");
  if (translate) names.emplace_back("translate");
  if (encode) names.emplace_back("encode");
  if (decode) names.insert(names.end(), {"decode", "interpolate"});
  if (reconstruct) names.emplace_back("reconstruct");
  if (class_logits) names.emplace_back("classify");
  return names;
}

int64_t parameter_count(const torch::nn::Module& module) {
  int64_t count = 0;
  for (const Tensor& parameter : module.parameters()) count += parameter.numel();
  return count;
}

EvalMode::EvalMode(torch::nn::Module& module) : module_(module), was_training_(module.is_training()) { module_.eval(); }

EvalMode::~EvalMode() { module_.train(was_training_); }

}  // namespace genzoo
