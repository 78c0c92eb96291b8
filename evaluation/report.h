#pragma once
// A comparison as files that people and programs read.

#include <torch/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "core/json.h"
#include "evaluation/comparison.h"

namespace genzoo {

/// Writes report.html, report.md, results.json, results.csv, and grids.png where there are pictures, each whole or not
/// at all. Makes the folder; replaces the files of an earlier report. Throws RunError when one cannot be written.
void write_report(const Comparison& comparison, const std::filesystem::path& folder);

/// One self-contained page: it opens offline, refers to nothing outside of it, and is read on a phone, in the dark and
/// on paper. Texts of the comparison are escaped, whatever they are.
std::string report_html(const Comparison& comparison);

/// The same tables in GitHub's Markdown; `picture`, when not empty, is the file name of grids.png.
std::string report_markdown(const Comparison& comparison, const std::string& picture = "grids.png");

/// {"title", "protocol", "runs", "floors", "columns", "verdicts", "profiles", "notes"}: each run is
/// Evaluation::to_json() with its experiment, seed, costs and learning curve; each column holds a cell a model;
/// profiles are means over seeds, see profiles_json.
Json report_json(const Comparison& comparison);

/// Long form, RFC 4180: a header, then one row a (model, seed, metric), the costs and the floors included.
std::string report_csv(const Comparison& comparison);

/// Real data and each model's samples as labelled grids (3, H, W); undefined when there are no pictures.
Tensor report_grids(const Comparison& comparison);

}  // namespace genzoo
