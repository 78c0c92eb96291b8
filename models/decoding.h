#pragma once
// From logits to the next token.

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

/// Throws UsageError if the options cannot be: temperature or top_p not positive, top_p above 1, a negative number of
/// tokens.
void check_generate_options(const GenerateOptions& options);

}  // namespace genzoo
