#include "evaluation/report_columns.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "evaluation/report_numbers.h"

namespace genzoo {
namespace {

struct MetricWords {
  const char* name;
  const char* words;
};

constexpr MetricWords kMetrics[] = {{"bound", "bound of one draw"},
                                    {"bleu", "BLEU"},
                                    {"chrf", "chrF"},
                                    {"cross_entropy", "cross-entropy"},
                                    {"macro_f1", "macro F1"},
                                    {"frechet", "Fréchet distance"},
                                    {"kernel", "kernel distance"},
                                    {"high_quality", "share of high quality"},
                                    {"reverse_kl", "reverse divergence of modes"},
                                    {"modes", "modes reached"},
                                    {"nearest_training", "distance to the nearest training example"},
                                    {"copies", "copies of training examples"}};

/// Metrics of features, as opposed to those of the data themselves.
constexpr const char* kOfFeatures[] = {"frechet", "kernel", "precision", "recall", "density", "coverage"};

/// Metrics that count samples or examples, or balls that hold them: multiples of 1/n.
constexpr const char* kShares[] = {"precision",    "recall",         "density",     "coverage",
                                   "high_quality", "token_accuracy", "exact_match", "accuracy"};

bool is_among(std::span<const char* const> names, const std::string& name) {
  return std::ranges::any_of(names, [&](const char* known) { return name == known; });
}

/// The most digits after the point that a column may have.
int most_decimals(const Column& column, const std::vector<Cell>& cells) {
  const bool of_seeds = std::ranges::any_of(cells, [](const Cell& cell) { return cell.standard_error.has_value(); });
  const int digits = of_seeds ? 6 : 5;  // significant ones
  int most = 6;
  int64_t n = 0;
  for (const Cell& cell : cells) {
    if (!cell.mean) continue;
    n = std::max(n, cell.n);
    if (*cell.mean != 0)
      most = std::min(most, digits - 1 - static_cast<int>(std::floor(std::log10(std::abs(*cell.mean)))));
  }
  if (is_among(kShares, column.name) && n > 0) {
    most = std::min(most, static_cast<int>(std::ceil(std::log10(static_cast<double>(n)) - 1e-9)));
  }
  return std::max(most, 0);
}

/// What the digits of a cell rest on: the error over seeds, or of one seed the number's own.
std::optional<double> error_of(const ComparedModel& model, const Column& column, const Cell& cell) {
  if (cell.standard_error) return cell.standard_error;
  for (const ComparedRun& run : model.runs) {
    for (const Metric& metric : run.evaluation.metrics) {
      if (column.holds(metric)) return metric.standard_error;
    }
  }
  return {};
}

bool is_of(const Verdict& verdict, const Column& column) { return verdict.column.title() == column.title(); }

/// Why a column has no test, where all its pairs have one reason.
std::string why_untested(const Column& column, const std::vector<Verdict>& verdicts) {
  std::string why;
  for (const Verdict& verdict : verdicts) {
    if (!is_of(verdict, column)) continue;
    if (!why.empty() && why != verdict.why)
      return "every pair lacks a second training seed, the end of a training, or any spread over seeds";
    why = verdict.why;
  }
  return why;
}

}  // namespace

std::string metric_words(const std::string& name) {
  const auto found = std::ranges::find_if(kMetrics, [&](const MetricWords& known) { return name == known.name; });
  if (found != std::end(kMetrics)) return found->words;
  std::string words = name;
  std::ranges::replace(words, '_', ' ');
  return words;
}

std::string group_of(const Column& column) {
  if (column.of.empty()) return "";
  if (is_among(kOfFeatures, column.name)) {
    return (column.of.starts_with("classifier") ? "in features of " : "in ") + column.of;
  }
  const bool is_count = column.of.find_first_not_of("0123456789") == std::string::npos;
  return fmt::format("of {}{}", column.of, is_count ? " modes" : "");
}

std::string heading_of(const Column& column) {
  const std::string group = group_of(column), words = metric_words(column.name);
  if (!column.unit.empty()) return fmt::format("{}, {}{}{}", words, column.unit, group.empty() ? "" : ", ", group);
  return group.empty() ? words : fmt::format("{} {}", words, group);
}

int column_decimals(const Comparison& comparison, const Column& column) {
  std::vector<Cell> cells;
  int decimals = 0;
  for (const ComparedModel& model : comparison.models) {
    cells.push_back(cell_of(model, column));
    if (!cells.back().mean) continue;
    decimals = std::max(decimals, decimals_of(*cells.back().mean, error_of(model, column, cells.back())));
  }
  return std::min(decimals, most_decimals(column, cells));
}

std::string cell_text(const Comparison& comparison, const Column& column, const Cell& cell) {
  return with_error(*cell.mean, cell.standard_error, column_decimals(comparison, column));
}

bool is_beyond_floor(const Comparison& comparison, const Column& column, const Cell& cell) {
  const Metric* floor = floor_of(comparison, column);
  if (!floor || !cell.mean || floor->n != cell.n) return false;  // distances fall with the number of samples
  return column.better == Better::lower ? *cell.mean < floor->value
                                        : column.better == Better::higher && *cell.mean > floor->value;
}

bool is_decided(const std::string& name, const Column& column, const std::vector<Verdict>& verdicts) {
  return std::ranges::all_of(verdicts, [&](const Verdict& verdict) {
    const bool concerns = is_of(verdict, column) && (verdict.a == name || verdict.b == name);
    return !concerns || (verdict.better == name && !verdict.of_bounds);
  });
}

bool is_tested(const Column& column, const std::vector<Verdict>& verdicts) {
  return std::ranges::any_of(verdicts, [&](const Verdict& verdict) { return is_of(verdict, column) && verdict.p; });
}

std::vector<std::string> untested_in_words(const Comparison& comparison, const std::vector<Verdict>& verdicts) {
  std::vector<std::pair<std::string, std::vector<std::string>>> reasons;
  size_t compared = 0;
  for (const Column& column : columns_of(comparison)) {
    const std::string why = why_untested(column, verdicts);
    const bool tested = is_tested(column, verdicts);
    compared += tested || !why.empty();
    if (tested || why.empty()) continue;
    auto found = std::ranges::find(reasons, why, &std::pair<std::string, std::vector<std::string>>::first);
    if (found == reasons.end()) found = reasons.insert(reasons.end(), {why, {}});
    found->second.push_back(heading_of(column));
  }
  std::vector<std::string> sentences;
  for (const auto& [why, headings] : reasons) {
    const bool all = headings.size() == compared;
    sentences.push_back(
        fmt::format("No test in {}: {}.", all ? "any column" : fmt::format("{}", fmt::join(headings, "; ")), why));
  }
  return sentences;
}

}  // namespace genzoo
