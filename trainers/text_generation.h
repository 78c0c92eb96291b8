#pragma once
// Texts from a language model: prompts and continuations as text, where a model has tokens.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/random.h"
#include "data/dataset.h"
#include "data/tokenizers/tokenizer.h"
#include "models/model.h"

namespace genzoo {

/// What is asked of a language model.
struct TextRequest {
  std::vector<std::string> prompts = {""};  ///< what texts begin with; empty: the beginning of a line, not shown
  int64_t n = 1;                            ///< texts of each prompt
  int64_t batch = 1;  ///< texts continued together: faster, and rounded otherwise, so that rarely a draw differs
  GenerateOptions options = {};
  std::vector<std::string> stops = {};  ///< a text ends before the first of them that is generated
  bool shows_prompts = true;            ///< prompts are part of what is told and returned
  /// Told of what is added to text number `text` as it comes, its prompt first; not of what may yet turn out to be part
  /// of a stop, nor of a piece of a character. What it is told is in all the text that is returned.
  std::function<void(size_t text, std::string_view piece)> stream = {};
  uint64_t first = 0;  ///< number of the first text
  uint64_t seed = 0;
  Purpose purpose = Purpose::sample;
};

/// The texts, those of the first prompt first. Text i is drawn from the stream (seed, first + i):
/// with a batch of 1 it depends on nothing else. A text also ends where the model draws the end token of its data,
/// which is not shown. Throws UsageError when the model generates no text, for an empty stop, and as the model does.
std::vector<std::string> generate_texts(const AnyModel& model, const DataSpec& spec, const TextRequest& request,
                                        torch::Device device);

/// What the tokenizer's makers put before a text: of LLaMA its beginning token. Of most nothing.
std::vector<int64_t> tokens_before_text(const Tokenizer& tokenizer);

/// What stands in a prompt where a model is to fill in a token.
inline constexpr const char* kMask = "[MASK]";

/// The prompts with their masks filled in, `request.n` times each; text i is drawn from the stream (seed, first + i).
/// Throws UsageError when the model fills in no text, for a prompt without a mask, and as the model does.
std::vector<std::string> fill_texts(const AnyModel& model, const DataSpec& spec, const TextRequest& request,
                                    torch::Device device);

}  // namespace genzoo
