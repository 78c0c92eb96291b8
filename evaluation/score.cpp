// Given examples: their log-likelihoods, latents and reconstructions.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/utils.h>

#include <algorithm>

#include "core/error.h"
#include "core/image.h"
#include "core/safetensors.h"
#include "data/pairs.h"
#include "data/tokenizers/tokenizer.h"
#include "evaluation/evaluate.h"
#include "evaluation/likelihood.h"
#include "trainers/samples.h"

namespace genzoo {
namespace {

constexpr int64_t kBatch = 100;

void require_data(const LoadedModel& loaded, const Tensor& x) {
  if (loaded.spec.has_tokens()) refuse(loaded, "takes text, not an array");
  require_stored(x, loaded.spec, loaded.model.family);
}

}  // namespace

Json Score::to_json() const {
  return {{"nats", finite_or_null(-log_prob.sum().item<double>())},
          {"examples", log_prob.size(0)},
          {"tokens", tokens},
          {"bytes", bytes},
          {"kind", kind}};
}

Score score_examples(const LoadedModel& loaded, const Tensor& x, int64_t k, uint64_t seed) {
  const Abilities& can = loaded.model.can;
  if (!can.log_prob) refuse(loaded, "has no likelihood", can.likelihood.detail);
  require_data(loaded, x);
  const EvalMode eval(*loaded.model.module);
  std::vector<Tensor> parts;
  for (int64_t first = 0; first < x.size(0); first += kBatch) {
    const Tensor rows = x.narrow(0, first, std::min(kBatch, x.size(0) - first)).to(loaded.device);
    Rng rng = Rng::for_rows(seed, Purpose::score, static_cast<uint64_t>(first), rows.size(0), loaded.device);
    parts.push_back(can.log_prob(rows, k, rng).to(torch::kCPU, torch::kDouble));
  }
  return {.log_prob = at::cat(parts), .kind = kind_name(kind_of(can.likelihood, k))};
}

Score score_text(const LoadedModel& loaded, const std::string& text) {
  const Abilities& can = loaded.model.can;
  if (!can.token_log_prob && loaded.spec.has_tokens()) refuse(loaded, "scores no text", can.likelihood.detail);
  if (!can.token_log_prob) refuse(loaded, "takes arrays of images or vectors, not text");
  const Tensor tokens = tokenizer_from_json(loaded.spec.tokenizer)->encode(text);
  const int64_t length = tokens.size(0);
  if (length < 2) {
    throw UsageError(fmt::format("the text has {} tokens; a score needs at least 2, the first being given", length));
  }
  const EvalMode eval(*loaded.model.module);
  const int64_t context = can.context, advance = std::max<int64_t>(context / 2, 1);
  double sum = 0.0;
  int64_t counted = 0;  // predictions of tokens 1 ... counted are in the sum
  for (int64_t start = 0; counted < length - 1; start += advance) {
    const int64_t end = std::min(start + context, length - 1);  // inputs start ... end - 1 predict start + 1 ... end
    const Tensor x = tokens.slice(0, start, end).unsqueeze(0).to(loaded.device);
    const Tensor y = tokens.slice(0, start + 1, end + 1).unsqueeze(0).to(loaded.device);
    const Tensor log_prob = can.token_log_prob(x, y)[0].to(torch::kCPU, torch::kDouble);
    sum += log_prob.slice(0, counted - start).sum().item<double>();
    counted = end;
  }
  return {.log_prob = torch::full({1}, sum, torch::kDouble),
          .kind = kind_name(LikelihoodKind::exact),
          .tokens = length - 1,
          .bytes = static_cast<int64_t>(text.size())};
}

Score score_pairs(const LoadedModel& loaded, const std::string& text, const std::string& where) {
  const Abilities& can = loaded.model.can;
  if (!can.pair_logits) refuse(loaded, "takes no pairs of texts");
  const std::vector<TextPair> pairs = read_pairs(text, where);
  if (pairs.empty()) throw UsageError(fmt::format("{}: it holds no pairs; wanted source, tab, target a line", where));
  const auto tokenizer = tokenizer_from_json(loaded.spec.tokenizer);
  const EvalMode eval(*loaded.model.module);
  Score score{.log_prob = torch::empty({static_cast<int64_t>(pairs.size())}, torch::kDouble),
              .kind = kind_name(LikelihoodKind::exact)};
  for (size_t i = 0; i < pairs.size(); ++i) {
    const auto tokens = [&](const std::string& side) {
      try {
        return ended_tokens(loaded.spec, *tokenizer, side).to(loaded.device);
      } catch (const UsageError& error) {
        throw UsageError(fmt::format("{}:{}: {}", where, pairs[i].line, error.what()));
      }
    };
    const Tensor y = tokens(pairs[i].target);
    const Tensor log_p = can.pair_logits(tokens(pairs[i].source), y).to(torch::kDouble).log_softmax(/*dim=*/-1);
    score.log_prob[static_cast<int64_t>(i)] = log_p.gather(/*dim=*/-1, y.unsqueeze(-1)).sum().to(torch::kCPU);
    score.tokens += y.size(1);
    score.bytes += static_cast<int64_t>(pairs[i].target.size());
  }
  return score;
}

Tensor read_array(const std::filesystem::path& path, const std::string& name) {
  const TensorFile file = read_safetensors(path);
  const auto found = file.tensors.find(name);
  if (found != file.tensors.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [key, tensor] : file.tensors) names.push_back(key);
  throw UsageError(fmt::format("{}: there is no array '{}' in it; it holds {}", path.string(), name,
                               names.empty() ? "nothing" : fmt::format("{}", fmt::join(names, ", "))));
}

Tensor encode_examples(const LoadedModel& loaded, const Tensor& x) {
  if (!loaded.model.can.encode) refuse(loaded, "has no encoder");
  require_data(loaded, x);
  const EvalMode eval(*loaded.model.module);
  return map_rows(x, [&](const Tensor& rows) { return loaded.model.can.encode(rows.to(loaded.device)); });
}

Tensor decode_latents(const LoadedModel& loaded, const Tensor& z) {
  const Abilities& can = loaded.model.can;
  if (!can.decode) refuse(loaded, "has no latent space");
  const at::IntArrayRef latent(can.latent_shape);
  if (z.dim() != static_cast<int64_t>(latent.size()) + 1 || z.sizes().slice(1) != latent || z.size(0) == 0 ||
      !z.is_floating_point()) {
    throw UsageError(fmt::format("the array has shape {} and type {}; {} takes latents (N, {}) float32",
                                 fmt::join(z.sizes(), "x"), c10::toString(z.scalar_type()), loaded.model.family,
                                 fmt::join(latent, ", ")));
  }
  if (!at::isfinite(z).all().item<bool>()) throw UsageError("the array has numbers that are not finite");
  const EvalMode eval(*loaded.model.module);
  return map_rows(z.to(torch::kFloat), [&](const Tensor& rows) { return can.decode(rows.to(loaded.device)); });
}

Tensor reconstruction_picture(const LoadedModel& loaded, const Dataset& dataset, int64_t n, int64_t columns) {
  if (!loaded.model.can.reconstruct) refuse(loaded, "reconstructs nothing: it has no encoder");
  const Split split = default_split(dataset);
  const EvaluationSource source(dataset, split, n, /*context=*/0, n, loaded.device);
  const Tensor x = source.batch(0).x.to(torch::kCPU);
  const EvalMode eval(*loaded.model.module);
  const Tensor y =
      map_rows(x, [&](const Tensor& rows) { return loaded.model.can.reconstruct(rows.to(loaded.device)); });
  if (loaded.spec.kind != DataKind::images) return picture_of(at::cat({x, y}), loaded.spec, columns);
  // Rows of originals alternate with rows of their reconstructions.
  std::vector<Tensor> rows;
  for (int64_t first = 0; first < x.size(0); first += columns) {
    const int64_t count = std::min(columns, x.size(0) - first);
    for (const Tensor& images : {x, y}) {
      rows.push_back(images.narrow(0, first, count));
      if (count < columns) {
        auto size = x.sizes().vec();
        size[0] = columns - count;
        rows.push_back(torch::zeros(size, x.options()));
      }
    }
  }
  return picture_of(at::cat(rows), loaded.spec, columns);
}

}  // namespace genzoo
