#pragma once
// The tables of a report, before they become HTML or Markdown.

#include <optional>
#include <string>
#include <vector>

#include "evaluation/comparison.h"

namespace genzoo {

struct TableCell {
  /// leading: the best mean, though not decidedly better than every other; missing: no number.
  enum class Mark { none, best, leading, missing };
  std::string text;
  std::string note = {};  ///< below, smaller
  Mark mark = Mark::none;
  bool beyond_floor = false;  ///< better than real data in the samples' place, which is no merit by itself
};

struct TableHead {
  std::string text;
  std::string note = {};   ///< below, smaller: a unit, a direction
  std::string group = {};  ///< neighbours of one group share a heading above theirs
  bool number = true;
};

/// The first column names the rows.
struct ReportTable {
  std::vector<TableHead> head;
  std::vector<std::vector<TableCell>> rows;
  bool empty() const { return rows.empty(); }
};

ReportTable results_table(const Comparison& comparison, const std::vector<Verdict>& verdicts);
ReportTable costs_table(const Comparison& comparison);

/// The verdicts of one column; empty where nothing was tested.
ReportTable differences_table(const Column& column, const std::vector<Verdict>& verdicts);

/// What is measured of a model and ranks nothing: its losses, terms and monitors. Rows are metrics.
ReportTable monitors_table(const ComparedModel& model);

/// What may be said of a column, and what may not.
struct Finding {
  std::string of;    ///< "of pixels of 256 levels", the column's; neighbours share it
  std::string what;  ///< "likelihood, bits/dim"
  std::string text;  ///< "a has the best mean, 3.45 ± 0.01; the lead over b is undecided"
};

/// One for each column in which two models or more have a number.
std::vector<Finding> findings_of(const Comparison& comparison, const std::vector<Verdict>& verdicts);

/// A member of the protocol: what it is, and a line or more of plain words.
struct ProtocolEntry {
  std::string what;
  std::vector<std::string> lines;
};

/// Every member of the protocol, those known here first; what it lacks is not told.
std::vector<ProtocolEntry> protocol_in_words(const Comparison& comparison);

/// Warnings and notes of a model, each once.
std::vector<std::string> notes_of(const ComparedModel& model);

/// "4 models on fashion_mnist, 3 training seeds each".
std::string subtitle_of(const Comparison& comparison);

}  // namespace genzoo
