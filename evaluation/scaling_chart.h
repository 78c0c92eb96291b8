#pragma once
// The figure of how cost grows: vector graphics for a page or a paper.

#include <string>
#include <vector>

#include "evaluation/scaling.h"

namespace genzoo {

/// A row of panels for each workload and type, one panel an axis, in the order given: above, the cost of an item beside
/// what it would be at the machine's limit of matrix products; below, peak memory, in all and above the start's. All
/// scales are logarithmic and shared along a row, so that equal slopes are equal exponents; points that jump are
/// ringed.
///
/// SVG 1.1 that needs no other file. Its colours follow the reader's preference, light or dark. `axes` is not empty.
std::string scaling_svg(const std::vector<ScalingAxis>& axes);

}  // namespace genzoo
