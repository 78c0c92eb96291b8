#pragma once
// What stands around a whole text, or two of them, that a model is given: the "post_processor" of a tokenizer.json.

#include <cstdint>
#include <vector>

#include "core/json.h"

namespace genzoo {

struct Surroundings {
  /// A special token, or one of the texts.
  struct Part {
    int32_t token = -1;  ///< -1: the text
    int text = 0;        ///< 0: the first, 1: the second
    int32_t type = 0;    ///< of its tokens: BERT's segment
  };
  std::vector<Part> single, pair;
};

/// `description`: null (nothing) or an object with its "type": TemplateProcessing, BertProcessing, RobertaProcessing,
/// ByteLevel (nothing), Sequence of which at most one adds something. `vocabulary`: how many tokens there are. Throws
/// RunError naming what is damaged or not supported.
Surroundings make_surroundings(const SortedJson& description, int64_t vocabulary);

}  // namespace genzoo
