#include "trainers/text_generation.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "core/error.h"
#include "trainers/growing_text.h"

namespace genzoo {
namespace {

/// The token a text without a prompt begins with: a line's beginning is what follows a newline.
std::string default_prompt(const Tokenizer& tokenizer) {
  const auto has_tokens = [&](const std::string& text) {
    try {
      return tokenizer.encode(text).numel() > 0;
    } catch (const UsageError&) {
      return false;
    }
  };
  if (has_tokens("\n")) return "\n";
  for (int64_t token = 0; token < tokenizer.vocabulary(); ++token) {
    const std::string text = tokenizer.decode(torch::full({1}, token, torch::kLong));
    if (has_tokens(text)) return text;
  }
  throw RunError("samples: the tokenizer makes no token of any text");
}

/// A prompt's tokens. Without a prompt what stands before every text, or, where nothing does, a line's beginning.
std::vector<int64_t> tokens_of(const std::string& prompt, const Tokenizer& tokenizer, bool has_beginning) {
  if (prompt.empty() && has_beginning) return {};
  const Tensor tokens = tokenizer.encode(prompt.empty() ? default_prompt(tokenizer) : prompt);
  return {tokens.const_data_ptr<int64_t>(), tokens.const_data_ptr<int64_t>() + tokens.numel()};
}

/// Continues the prompts of `rows` texts, the first of them number `first`.
std::vector<std::string> continue_together(const AnyModel& model, const TextRequest& request,
                                           const std::vector<std::vector<int64_t>>& prompts,
                                           std::vector<GrowingText>& texts, size_t first, torch::Device device) {
  size_t longest = 0;
  for (const auto& prompt : prompts) longest = std::max(longest, prompt.size());
  const auto rows = static_cast<int64_t>(prompts.size());
  const Tensor tokens = at::zeros({rows, static_cast<int64_t>(longest)}, at::kLong);
  GenerateOptions options = request.options;
  for (int64_t row = 0; row < rows; ++row) {
    const std::vector<int64_t>& prompt = prompts[static_cast<size_t>(row)];
    std::ranges::copy(prompt, tokens.mutable_data_ptr<int64_t>() + (row + 1) * static_cast<int64_t>(longest) -
                                  static_cast<int64_t>(prompt.size()));
    options.prompt_lengths.push_back(static_cast<int64_t>(prompt.size()));
  }
  options.goes_on = [&](int64_t row, int64_t token) { return texts[static_cast<size_t>(row)].add(token); };
  Rng rng = Rng::for_rows(request.seed, request.purpose, request.first + first, rows, device);
  model.can.generate(tokens.to(device), options, rng);
  std::vector<std::string> finished;
  for (GrowingText& text : texts) finished.push_back(text.finish());
  return finished;
}

/// The tokens (L) that are text.
Tensor without_special(const Tensor& tokens, const Tokenizer& tokenizer) {
  std::vector<int64_t> kept;
  for (int64_t i = 0; i < tokens.numel(); ++i) {
    const auto token = tokens[i].item<int64_t>();
    if (!tokenizer.is_special(token)) kept.push_back(token);
  }
  return torch::tensor(at::ArrayRef<int64_t>(kept), torch::kLong);
}

/// A prompt's tokens, the mask token where a mask stands.
Tensor masked_tokens(std::string_view prompt, const Tokenizer& tokenizer, int64_t mask_token) {
  const std::string_view mask = kMask;
  std::vector<Tensor> parts;
  for (size_t at = 0; at <= prompt.size();) {
    const size_t end = std::min(prompt.find(mask, at), prompt.size());
    if (end > at) parts.push_back(tokenizer.encode(prompt.substr(at, end - at)));
    if (end < prompt.size()) parts.push_back(torch::full({1}, mask_token, torch::kLong));
    at = end + mask.size();
  }
  if (prompt.find(mask) == prompt.npos) {
    throw UsageError(fmt::format("generate: nothing to fill in; write {} where a token is wanted", mask));
  }
  return torch::cat(parts);
}

}  // namespace

std::vector<int64_t> tokens_before_text(const Tokenizer& tokenizer) {
  const Tensor some = tokenizer.encode(default_prompt(tokenizer)), whole = tokenizer.whole(some).tokens;
  for (int64_t first = 0; first + some.numel() <= whole.numel(); ++first) {
    if (!whole.narrow(/*dim=*/0, first, some.numel()).equal(some)) continue;
    return {whole.const_data_ptr<int64_t>(), whole.const_data_ptr<int64_t>() + first};
  }
  return {};
}

std::vector<std::string> generate_texts(const AnyModel& model, const DataSpec& spec, const TextRequest& request,
                                        torch::Device device) {
  if (!model.can.generate) throw UsageError(fmt::format("{} generates no text", model.family));
  if (std::ranges::any_of(request.stops, [](const std::string& stop) { return stop.empty(); })) {
    throw UsageError("generate: an empty stop would end every text at once; leave it out");
  }
  const EvalMode eval(*model.module);
  const auto tokenizer = tokenizer_from_json(spec.tokenizer);
  const std::vector<int64_t> beginning = tokens_before_text(*tokenizer);  // seen by the model and not shown
  const auto total = request.prompts.size() * static_cast<size_t>(request.n);
  std::vector<std::string> finished;
  while (finished.size() < total) {
    const size_t first = finished.size(), count = std::min(static_cast<size_t>(request.batch), total - first);
    std::vector<std::vector<int64_t>> prompts;
    std::vector<GrowingText> texts;
    for (size_t i = first; i < first + count; ++i) {
      const std::string& prompt = request.prompts[i / static_cast<size_t>(request.n)];
      const std::vector<int64_t> own = tokens_of(prompt, *tokenizer, !beginning.empty());
      const auto tell = [&request, i](std::string_view piece) {
        if (request.stream) request.stream(i, piece);
      };
      texts.emplace_back(*tokenizer, spec.end_token, request.stops, tell);
      texts.back().begin(own, /*shown=*/request.shows_prompts && !prompt.empty());
      prompts.push_back(beginning);
      prompts.back().insert(prompts.back().end(), own.begin(), own.end());
    }
    for (std::string& text : continue_together(model, request, prompts, texts, first, device)) {
      finished.push_back(std::move(text));
    }
  }
  return finished;
}

std::vector<std::string> fill_texts(const AnyModel& model, const DataSpec& spec, const TextRequest& request,
                                    torch::Device device) {
  if (!model.can.fill) throw UsageError(fmt::format("{} fills in no text", model.family));
  const EvalMode eval(*model.module);
  const auto tokenizer = tokenizer_from_json(spec.tokenizer);
  std::vector<std::string> finished;
  for (const std::string& prompt : request.prompts) {
    // As whole texts are given to such models: with what stands before and behind them, which is not shown.
    const Tensor x = tokenizer->whole(masked_tokens(prompt, *tokenizer, model.can.mask_token)).tokens;
    for (int64_t i = 0; i < request.n; ++i) {
      Rng rng = Rng::for_rows(request.seed, request.purpose, request.first + finished.size(), 1, device);
      const Tensor filled = model.can.fill(x.unsqueeze(0).to(device), request.options, rng)[0];
      finished.push_back(tokenizer->decode(without_special(filled.to(torch::kCPU), *tokenizer)));
    }
  }
  return finished;
}

}  // namespace genzoo
