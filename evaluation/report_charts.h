#pragma once
// Learning curves on a report's page.

#include <string>

#include "evaluation/comparison.h"

namespace genzoo {

/// A heading and two charts (against seconds, against steps) for each unit of loss, each with its numbers as a table;
/// empty when no model has a curve.
std::string charts_html(const Comparison& comparison);

/// The points of charts_html's charts for the page's script: a list of {"unit", "models": [{"name", "seeds": [{"seed",
/// "points": [[step, seconds, loss], ...]}]}]}, safe within <script>. Long curves are thinned; a loss that is not
/// finite is null.
std::string curves_data(const Comparison& comparison);

}  // namespace genzoo
