#include "trainers/text_generation.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "core/error.h"
#include "data/tokenizers/tokenizer.h"

namespace genzoo {
namespace {

/// Bytes at a text's end that may be the beginning of a character.
size_t begun_character(std::string_view text) {
  const auto byte = [&](size_t back) { return static_cast<unsigned char>(text[text.size() - back]); };
  for (size_t back = 1; back <= std::min<size_t>(3, text.size()); ++back) {
    if ((byte(back) & 0xc0) == 0x80) continue;  // in the middle of one
    const size_t length = byte(back) >= 0xf0 ? 4 : byte(back) >= 0xe0 ? 3 : byte(back) >= 0xc0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}

/// Bytes at a text's end that may be the beginning of a stop.
size_t begun_stop(std::string_view text, const std::vector<std::string>& stops) {
  size_t longest = 0;
  for (const std::string& stop : stops) {
    for (size_t n = std::min(stop.size() - 1, text.size()); n > longest; --n) {
      if (text.ends_with(std::string_view(stop).substr(0, n))) longest = n;
    }
  }
  return longest;
}

/// One text while it grows.
class GrowingText final {
 public:
  GrowingText(const TextRequest& request, const Tokenizer& tokenizer, int64_t end_token, size_t number)
      : request_(request), tokenizer_(tokenizer), end_token_(end_token), number_(number) {}

  void begin(const std::vector<int64_t>& prompt, bool shown) {
    tokens_ = prompt;
    text_ = decoded();
    begins_ = text_.size();
    told_ = shown ? 0 : begins_;
    hidden_ = told_;
    tell(text_.size());
  }

  /// Whether the text goes on after this token.
  bool add(int64_t token) {
    if (token == end_token_) return false;
    tokens_.push_back(token);
    text_ = decoded();
    size_t stop = text_.npos;
    for (const std::string& s : request_.stops) stop = std::min(stop, text_.find(s, begins_));
    if (stop != text_.npos) {
      text_.resize(stop);
      return false;
    }
    tell(text_.size() -
         std::max(begun_character(text_), begun_stop(std::string_view(text_).substr(begins_), request_.stops)));
    return true;
  }

  std::string finish() {
    tell(text_.size());
    return text_.substr(std::min(hidden_, text_.size()));
  }

 private:
  std::string decoded() const { return tokenizer_.decode(torch::tensor(at::ArrayRef<int64_t>(tokens_), at::kLong)); }

  void tell(size_t end) {
    if (end <= told_) return;
    if (request_.stream) request_.stream(number_, std::string_view(text_).substr(told_, end - told_));
    told_ = end;
  }

  const TextRequest& request_;
  const Tokenizer& tokenizer_;
  int64_t end_token_;
  size_t number_;
  std::vector<int64_t> tokens_;
  std::string text_;
  size_t begins_ = 0;  ///< behind the prompt
  size_t hidden_ = 0;  ///< bytes that are not shown: those of a prompt that nobody gave
  size_t told_ = 0;
};

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

/// What the tokenizer's makers put before a text: of LLaMA its beginning token.
std::vector<int64_t> beginning_of(const Tokenizer& tokenizer) {
  const Tensor some = tokenizer.encode(default_prompt(tokenizer)), whole = tokenizer.whole(some).tokens;
  for (int64_t first = 0; first + some.numel() <= whole.numel(); ++first) {
    if (!whole.narrow(/*dim=*/0, first, some.numel()).equal(some)) continue;
    return {whole.const_data_ptr<int64_t>(), whole.const_data_ptr<int64_t>() + first};
  }
  return {};
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

std::vector<std::string> generate_texts(const AnyModel& model, const DataSpec& spec, const TextRequest& request,
                                        torch::Device device) {
  if (!model.can.generate) throw UsageError(fmt::format("{} generates no text", model.family));
  if (std::ranges::any_of(request.stops, [](const std::string& stop) { return stop.empty(); })) {
    throw UsageError("generate: an empty stop would end every text at once; leave it out");
  }
  const EvalMode eval(*model.module);
  const auto tokenizer = tokenizer_from_json(spec.tokenizer);
  const std::vector<int64_t> beginning = beginning_of(*tokenizer);  // seen by the model and not shown
  const auto total = request.prompts.size() * static_cast<size_t>(request.n);
  std::vector<std::string> finished;
  while (finished.size() < total) {
    const size_t first = finished.size(), count = std::min(static_cast<size_t>(request.batch), total - first);
    std::vector<std::vector<int64_t>> prompts;
    std::vector<GrowingText> texts;
    for (size_t i = first; i < first + count; ++i) {
      const std::string& prompt = request.prompts[i / static_cast<size_t>(request.n)];
      const std::vector<int64_t> own = tokens_of(prompt, *tokenizer, !beginning.empty());
      texts.emplace_back(request, *tokenizer, spec.end_token, i);
      texts.back().begin(own, /*shown=*/!prompt.empty());
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
