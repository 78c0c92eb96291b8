#pragma once
// What each metric is, where it comes from, and what it does not say.

#include <string>
#include <vector>

#include "evaluation/comparison.h"

namespace genzoo {

struct GlossaryEntry {
  std::string term;
  std::string meaning;  ///< one sentence, with its source
  std::string silence;  ///< what it does not say; may be empty
};

/// An entry for each metric among the comparison's columns (a metric that is not known here is explained by its own
/// detail), and for the words of the tables.
std::vector<GlossaryEntry> glossary_of(const Comparison& comparison);

}  // namespace genzoo
