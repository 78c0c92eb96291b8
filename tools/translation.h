#pragma once
// `generate` of a model of pairs: targets of the prompt.

#include <string>
#include <vector>

#include "tools/arguments.h"
#include "trainers/checkpoint.h"

namespace genzoo {

/// `own`, and then those options of `generate` that only models of pairs have.
std::vector<Option> with_translation_options(std::vector<Option> own);

/// How targets are made. Throws UsageError for an option that only models that continue a text have, and for those that
/// mean nothing together.
TranslateOptions translate_options(const Arguments& arguments, const LoadedModel& loaded);

/// Targets of the sources --prompt, or with --interactive of each line that is typed, which are printed: one a source,
/// the likeliest token by token or by beam search, or --n draws. Throws UsageError as translate_options does, and
/// without a source.
std::vector<std::string> translations(const Arguments& arguments, const LoadedModel& loaded);

/// Throws UsageError if such an option was given to a model that continues a text.
void refuse_translation_options(const Arguments& arguments, const LoadedModel& loaded);

}  // namespace genzoo
