#pragma once
// How a column of a comparison is written: its name, its digits, and what may be said of its numbers.

#include <optional>
#include <string>
#include <vector>

#include "evaluation/comparison.h"

namespace genzoo {

/// "Fréchet distance"; a name that is not known here, with spaces.
std::string metric_words(const std::string& name);

/// "of pixels of 256 levels", "in features of classifier 3f9a1c"; empty when the column speaks of nothing.
std::string group_of(const Column& column);

/// "Fréchet distance in features of classifier 3f9a1c", "likelihood, bits/dim, of pixels of 256 levels".
std::string heading_of(const Column& column);

/// Digits after the point for all numbers of a column: enough for the smallest error (over seeds; of one seed, the
/// number's own), at most six significant (five of one seed), and of shares no more than 1/n can tell.
int column_decimals(const Comparison& comparison, const Column& column);

/// The number of a model with its error, in the digits of its column. Needs a cell with a mean.
std::string cell_text(const Comparison& comparison, const Column& column, const Cell& cell);

/// Whether a number is better than that of as many real examples in the samples' place: no merit by itself.
bool is_beyond_floor(const Comparison& comparison, const Column& column, const Cell& cell);

/// Whether `name` is decidedly better than every other model that has a number in the column.
bool is_decided(const std::string& name, const Column& column, const std::vector<Verdict>& verdicts);

/// Whether any two models were tested in the column.
bool is_tested(const Column& column, const std::vector<Verdict>& verdicts);

/// One sentence for all columns of one reason in which differences are there and none is tested: "No test in any
/// column: one training seed of each: chance is unknown."
std::vector<std::string> untested_in_words(const Comparison& comparison, const std::vector<Verdict>& verdicts);

}  // namespace genzoo
