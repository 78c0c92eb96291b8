#include "trainers/translations.h"

#include <fmt/format.h>
#include <torch/utils.h>

#include <algorithm>

#include "core/error.h"
#include "data/pairs.h"
#include "data/tokenizers/tokenizer.h"
#include "trainers/samples.h"

namespace genzoo {

Tensor greedy_translations(const AnyModel& model, const Tensor& sources, torch::Device device) {
  const EvalMode eval(*model.module);
  return map_rows(sources, [&](const Tensor& rows) {
    Rng rng = Rng::for_rows(/*seed=*/0, Purpose::sample, /*first_row=*/0, rows.size(0), device);  // of no effect
    return model.can.translate(rows.to(device), {}, rng);
  });
}

std::vector<std::string> translate_text(const AnyModel& model, const DataSpec& spec, const std::string& source,
                                        int64_t n, const TranslateOptions& options, uint64_t seed,
                                        torch::Device device) {
  if (!model.can.translate) throw UsageError(fmt::format("{} makes no target texts of sources", model.family));
  if (source.empty())
    throw UsageError(fmt::format("{} makes a target text of a source, and it is empty", model.family));
  const EvalMode eval(*model.module);
  const auto tokenizer = tokenizer_from_json(spec.tokenizer);
  const Tensor tokens = ended_tokens(spec, *tokenizer, source).to(device);
  std::vector<std::string> texts;
  // One row at a time: draw i is the same whatever n is.
  for (int64_t i = 0; i < n; ++i) {
    Rng rng = Rng::for_rows(seed, Purpose::sample, static_cast<uint64_t>(i), 1, device);
    texts.push_back(text_before_end(spec, *tokenizer, model.can.translate(tokens, options, rng)[0]));
  }
  return texts;
}

std::string show_translations(const AnyModel& model, const DataSpec& spec, const Batch& pairs, int64_t n,
                              torch::Device device) {
  const int64_t count = std::min(n, pairs.size());
  const Tensor x = pairs.x.narrow(/*dim=*/0, 0, count).to(torch::kCPU);
  const Tensor made = greedy_translations(model, x, device);
  const auto tokenizer = tokenizer_from_json(spec.tokenizer);
  const auto text = [&](const Tensor& row) { return text_before_end(spec, *tokenizer, row); };
  std::string shown;
  for (int64_t i = 0; i < count; ++i) {
    shown += fmt::format("{}source       {}\ntarget       {}\ntranslation  {}\n", i > 0 ? "\n" : "", text(x[i]),
                         text(pairs.y[i]), text(made[i]));
  }
  return shown;
}

}  // namespace genzoo
