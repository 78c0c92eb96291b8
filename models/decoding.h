#pragma once
// From logits to the next token.

#include <functional>
#include <vector>

#include "core/random.h"
#include "models/model.h"

namespace genzoo {

/// Logits in float32, or in double if they are: probabilities are not computed in fewer bits. Same size.
Tensor at_least_float32(const Tensor& logits);

/// The distribution the next token is drawn from: logits (B, V) -> probabilities (B, V), double, rows sum to 1.
///
/// Logits are divided by the temperature; of the result the top_k likeliest tokens are kept and renormalized; of these
/// the smallest set, likeliest first, whose probability reaches top_p (nucleus sampling, Holtzman et al., 2020), again
/// renormalized. Ties go to the smaller token. Greedy: all on the likeliest.
Tensor next_token_probabilities(const Tensor& logits, const GenerateOptions& options);

/// logits (B, V) of the next token, those of tokens that stand in the texts made less likely by
/// options.repetition_penalty: texts (B, n) int64, which begin at `begins` (B), undefined: at 0. Logits themselves when
/// there is no penalty.
Tensor penalize_repetition(const Tensor& logits, const Tensor& texts, const Tensor& begins, double penalty);

/// Throws UsageError if the options cannot be: temperature, top_p or repetition_penalty not
/// positive, top_p above 1, a negative number of tokens.
void check_generate_options(const GenerateOptions& options);

/// Throws UsageError if the prompt is empty, has tokens other than 0 ... vocabulary - 1, or lengths that are not its
/// rows'.
void check_prompt(const Tensor& prompt, const GenerateOptions& options, int64_t vocabulary);

/// Where each prompt (B, P) begins: (B) int64 on its device, or undefined when all begin at 0.
Tensor begins_of(const Tensor& prompt, const GenerateOptions& options);

/// Who goes on after each token: GenerateOptions::goes_on.
class Audience final {
 public:
  Audience(const GenerateOptions& options, int64_t rows)
      : goes_on_(options.goes_on), going_(static_cast<size_t>(rows), true) {}

  /// next (B): the tokens that were chosen, replaced by the last ones where a row goes on no more. Whether any row does
  /// after them.
  bool hear(const Tensor& next, const Tensor& last);

 private:
  const std::function<bool(int64_t, int64_t)>& goes_on_;
  std::vector<bool> going_;
};

}  // namespace genzoo
