// A comparison in GitHub's Markdown.
#include <fmt/format.h>

#include <algorithm>

#include "core/version.h"
#include "evaluation/report.h"
#include "evaluation/report_columns.h"
#include "evaluation/report_glossary.h"
#include "evaluation/report_profiles.h"
#include "evaluation/report_tables.h"

namespace genzoo {
namespace {

/// Text as Markdown shows it: nothing in it marks up, breaks a row, or is HTML.
std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '<') {
      result += "&lt;";
    } else if (c == '>') {
      result += "&gt;";
    } else if (c == '&') {
      result += "&amp;";
    } else if (c == '\n' || c == '\r') {
      result += ' ';
    } else {
      if (std::string_view("\\`*_[]|#~$").find(c) != std::string_view::npos) result += '\\';
      result += c;
    }
  }
  return result;
}

/// Text in a fence that is longer than any within it.
std::string fenced(const std::string& text, const std::string& language) {
  std::string fence = "```";
  while (text.find(fence) != std::string::npos) fence += '`';
  return fmt::format("{}{}\n{}\n{}\n", fence, language, text, fence);
}

std::string cell_text(const TableCell& cell) {
  std::string text = escaped(cell.text);
  if (cell.mark == TableCell::Mark::best || cell.mark == TableCell::Mark::leading) text = fmt::format("**{}**", text);
  std::string note = escaped(cell.note);
  if (cell.mark == TableCell::Mark::leading) note += note.empty() ? "best mean" : ", best mean";
  if (cell.beyond_floor) note += note.empty() ? "beyond the floor" : ", beyond the floor";
  return note.empty() ? text : fmt::format("{} <br><sub>{}</sub>", text, note);
}

std::string markdown_of(const ReportTable& table) {
  std::string text = "|", rule = "|";
  for (const TableHead& head : table.head) {
    std::string note = escaped(head.note);
    if (!head.group.empty()) note += (note.empty() ? "" : "; ") + escaped(head.group);
    text += fmt::format(" {}{} |", escaped(head.text), note.empty() ? "" : fmt::format(" <br><sub>{}</sub>", note));
    rule += head.number ? " ---: |" : " --- |";
  }
  text += "\n" + rule + "\n";
  for (const auto& row : table.rows) {
    text += "|";
    for (const TableCell& cell : row) text += fmt::format(" {} |", cell_text(cell));
    text += "\n";
  }
  return text;
}

std::string list_of(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) text += fmt::format("- {}\n", escaped(item));
  return text;
}

std::string protocol(const Comparison& comparison) {
  std::string text;
  for (const ProtocolEntry& entry : protocol_in_words(comparison)) {
    if (entry.lines.size() == 1) {
      text += fmt::format("- {}: {}\n", escaped(entry.what), escaped(entry.lines[0]));
      continue;
    }
    text += fmt::format("- {}:\n", escaped(entry.what));
    for (const std::string& line : entry.lines) text += fmt::format("  - {}\n", escaped(line));
  }
  return text;
}

std::string profiles(const Comparison& comparison) {
  std::string text;
  for (const ProfileChart& chart : profile_charts(comparison)) {
    text += fmt::format("### {}\n\n{}; {}.\n\n{}\n", escaped(chart.title()), escaped(chart.name), escaped(chart.detail),
                        markdown_of(profile_table(chart)));
  }
  return text.empty() ? "" : "## Profiles\n\n" + text;
}

std::string differences(const Comparison& comparison, const std::vector<Verdict>& verdicts) {
  std::string tables;
  for (const Column& column : columns_of(comparison)) {
    const ReportTable table = differences_table(column, verdicts);
    if (!table.empty()) tables += fmt::format("### {}\n\n{}\n", escaped(heading_of(column)), markdown_of(table));
  }
  const std::string untested = list_of(untested_in_words(comparison, verdicts));
  if (tables.empty() && untested.empty()) return "";
  std::string text = "## Differences\n\n";
  if (!tables.empty()) {
    text += fmt::format(
        "Welch's t-test over training seeds, corrected by Holm over the tests of a column.\n\n"
        "<details><summary>every pair, column by column</summary>\n\n{}</details>\n\n",
        tables);
  }
  return text + untested + (untested.empty() ? "" : "\n");
}

std::string models(const Comparison& comparison) {
  std::string text;
  for (const ComparedModel& model : comparison.models) {
    const std::string notes = list_of(notes_of(model));
    const ReportTable monitors = monitors_table(model);
    if (notes.empty() && monitors.empty() && model.texts.empty() && model.config.empty()) continue;
    text += fmt::format("### {}\n\n{}{}", escaped(model.name), notes, notes.empty() ? "" : "\n");
    if (!monitors.empty()) text += markdown_of(monitors) + "\n";
    if (!model.texts.empty()) text += fenced(model.texts.front(), "") + "\n";
    if (!model.config.empty()) {
      text += fmt::format("<details><summary>config</summary>\n\n{}\n</details>\n\n", fenced(model.config, "yaml"));
    }
  }
  return text.empty() ? "" : "## Monitors, notes, configs\n\n" + text;
}

}  // namespace

std::string report_markdown(const Comparison& comparison, const std::string& picture) {
  const std::vector<Verdict> verdicts = verdicts_of(comparison);
  std::string text =
      fmt::format("# {}: models compared\n\n{}\n\n", escaped(comparison.title), escaped(subtitle_of(comparison)));
  text += protocol(comparison);
  text += list_of(comparison.notes) + "\n";
  std::vector<std::string> found;
  for (const Finding& finding : findings_of(comparison, verdicts)) {
    found.push_back(fmt::format("{}{}{}: {}", finding.what, finding.of.empty() ? "" : " ", finding.of, finding.text));
  }
  const std::string findings = list_of(found);
  if (!findings.empty()) text += "## Findings\n\n" + findings + "\n";
  text +=
      "## Results\n\nMean ± standard error over training seeds; in the floor's row, the metric's own standard error. "
      "Bold: the best of a column, \"best mean\" where it is not decidedly better than every other. \"Beyond the "
      "floor\": better than real data in the samples' place, which is no merit by itself.\n\n";
  text += markdown_of(results_table(comparison, verdicts)) + "\n";
  if (!picture.empty())
    text += fmt::format("## Samples\n\n![Samples of every model, real data first]({})\n\n", picture);
  text += profiles(comparison) + "## Costs\n\n" + markdown_of(costs_table(comparison)) + "\n";
  text += differences(comparison, verdicts) + models(comparison);
  text += "## What the numbers mean, and what they do not\n\n";
  for (const GlossaryEntry& entry : glossary_of(comparison)) {
    text += fmt::format("- **{}.** {}{}{}\n", escaped(entry.term), escaped(entry.meaning),
                        entry.silence.empty() ? "" : " ", escaped(entry.silence));
  }
  return text + fmt::format("\nWritten by genzoo {}.\n", program_version());
}

}  // namespace genzoo
