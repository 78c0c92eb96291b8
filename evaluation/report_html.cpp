// A comparison as one page: assets/report.html filled in.
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "core/image.h"
#include "core/version.h"
#include "evaluation/report.h"
#include "evaluation/report_charts.h"
#include "evaluation/report_columns.h"
#include "evaluation/report_glossary.h"
#include "evaluation/report_numbers.h"
#include "evaluation/report_page.h"
#include "evaluation/report_parts.h"
#include "evaluation/report_pictures.h"
#include "evaluation/report_profiles.h"
#include "evaluation/report_tables.h"

namespace genzoo {
namespace {

constexpr size_t kMostText = 1200;  // bytes of a text on the page
constexpr size_t kMostTexts = 3;    // of a model

std::string small_html(const std::string& text) {
  return text.empty() ? "" : fmt::format("<small>{}</small>", escape_html(text));
}

/// A name, escaped, that may be broken where its words end.
std::string name_html(const std::string& name) {
  std::string html;
  for (const char c : escape_html(name)) {
    html += c;
    if (c == '_' || c == '-' || c == '/') html += "<wbr>";
  }
  return html;
}

/// "3.45 ± 0.01" on one line.
std::string value_html(const std::string& text) {
  std::string html = escape_html(text);
  constexpr std::string_view kSign = " ± ";
  const size_t at = html.find(kSign);
  return at == std::string::npos ? html : html.replace(at, kSign.size(), "&nbsp;±&nbsp;");
}

/// The first row of headings, when columns have groups: each over its neighbours.
std::string groups_html(const ReportTable& table) {
  if (std::ranges::none_of(table.head, [](const TableHead& head) { return !head.group.empty(); })) return "";
  std::string html = "<tr>";
  for (size_t i = 0; i < table.head.size();) {
    size_t end = i + 1;
    while (end < table.head.size() && table.head[end].group == table.head[i].group && i > 0) ++end;
    if (table.head[i].group.empty()) {
      html += fmt::format("<td colspan=\"{}\"></td>", end - i);
    } else {
      html += fmt::format("<th class=\"group\" scope=\"colgroup\" colspan=\"{}\"><span>{}</span></th>", end - i,
                          escape_html(table.head[i].group));
    }
    i = end;
  }
  return html + "</tr>\n";
}

std::string cell_html(const TableCell& cell, bool number) {
  constexpr const char* kClasses[] = {"", "best", "leading", "missing"};
  constexpr const char* kTags[] = {"", "<em class=\"tag\">best</em>", "<em class=\"tag\">best mean</em>", ""};
  const auto mark = static_cast<size_t>(cell.mark);
  const std::string classes =
      fmt::format("{}{}{}", number ? "number" : "", number && *kClasses[mark] ? " " : "", kClasses[mark]);
  return fmt::format("<td{}><span class=\"value\">{}</span>{}{}{}</td>",
                     classes.empty() ? "" : fmt::format(" class=\"{}\"", classes), value_html(cell.text),
                     small_html(cell.note), number ? kTags[mark] : "",
                     cell.beyond_floor ? "<em class=\"tag beyond\">beyond the floor</em>" : "");
}

/// `floor_row`: the last row is the floor's.
std::string table_html(const ReportTable& table, const std::string& label, bool floor_row = false) {
  std::string head = groups_html(table) + "<tr>", rows;
  for (const TableHead& column : table.head) {
    head += fmt::format("<th scope=\"col\"{}>{}{}</th>", column.number ? " class=\"number\"" : "",
                        escape_html(column.text), small_html(column.note));
  }
  for (size_t r = 0; r < table.rows.size(); ++r) {
    const auto& row = table.rows[r];
    rows += floor_row && r + 1 == table.rows.size() ? "<tr class=\"floor\">" : "<tr>";
    rows += fmt::format("<th scope=\"row\"><span>{}</span>{}</th>", name_html(row[0].text), small_html(row[0].note));
    for (size_t i = 1; i < row.size(); ++i) rows += cell_html(row[i], table.head[i].number);
    rows += "</tr>\n";
  }
  return fmt::format(
      "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{}\"><table>\n<thead>{}</tr></thead>\n"
      "<tbody>\n{}</tbody></table></div>\n",
      escape_html(label), head, rows);
}

std::string figure_html(const ReportPicture& picture) {
  return fmt::format(
      "<figure><img src=\"data:image/png;base64,{}\" width=\"{}\" height=\"{}\" alt=\"{}\">\n"
      "<figcaption><strong>{}</strong>{}<span>{}</span></figcaption></figure>\n",
      base64(encode_png(picture.pixels)), picture.pixels.size(2), picture.pixels.size(1), escape_html(picture.alt),
      name_html(picture.name), picture.external ? "<small class=\"tagged\">external</small>" : "",
      escape_html(picture.caption));
}

std::string figures_html(const std::vector<ReportPicture>& pictures) {
  std::string html;
  for (const ReportPicture& picture : pictures) html += figure_html(picture);
  return html;
}

std::string items_html(const std::vector<std::string>& items) {
  std::string html;
  for (const std::string& item : items) html += fmt::format("<li>{}</li>\n", escape_html(item));
  return html;
}

std::string capitalized(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

/// A list for each treatment or extractor.
std::string findings_html(const Comparison& comparison, const std::vector<Verdict>& verdicts) {
  std::string html;
  const std::vector<Finding> findings = findings_of(comparison, verdicts);
  for (size_t i = 0; i < findings.size(); ++i) {
    const bool first = i == 0 || findings[i].of != findings[i - 1].of;
    const bool last = i + 1 == findings.size() || findings[i].of != findings[i + 1].of;
    if (first && !findings[i].of.empty())
      html += fmt::format("<h3>{}</h3>\n", escape_html(capitalized(findings[i].of)));
    if (first) html += "<ul class=\"findings\">\n";
    html +=
        fmt::format("<li><strong>{}</strong>: {}</li>\n", escape_html(findings[i].what), value_html(findings[i].text));
    if (last) html += "</ul>\n";
  }
  return html;
}

std::string protocol_html(const Comparison& comparison) {
  constexpr size_t kWide = 60;  // characters that want a line of their own
  std::string html;
  for (const ProtocolEntry& entry : protocol_in_words(comparison)) {
    const bool wide = entry.lines.size() > 1 || entry.lines[0].size() > kWide;
    const std::string words =
        entry.lines.size() > 1 ? fmt::format("<ul>\n{}</ul>", items_html(entry.lines)) : escape_html(entry.lines[0]);
    html += fmt::format("<div{}><dt>{}</dt><dd>{}</dd></div>\n", wide ? " class=\"wide\"" : "", escape_html(entry.what),
                        words);
  }
  return html;
}

/// The beginning of a long text, cut between characters.
std::string beginning_of(const std::string& text) {
  if (text.size() <= kMostText) return text;
  size_t end = kMostText;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + " ...";
}

std::string texts_html(const Comparison& comparison) {
  std::string html;
  for (const ComparedModel& model : comparison.models) {
    if (model.texts.empty()) continue;
    html += fmt::format("<h3>{}</h3>\n", name_html(model.name));
    for (size_t i = 0; i < std::min(kMostTexts, model.texts.size()); ++i) {
      html += fmt::format("<blockquote>{}</blockquote>\n", escape_html(beginning_of(model.texts[i])));
    }
  }
  return html;
}

/// The charts together, then each one's numbers.
std::string profiles_html(const std::vector<ProfileChart>& charts) {
  std::string figures, tables;
  for (size_t i = 0; i < charts.size(); ++i) {
    figures += profile_figure_html(i, charts[i]);
    tables += fmt::format("<details><summary>{} <span>(as a table)</span></summary>\n{}</details>\n",
                          escape_html(charts[i].title()), table_html(profile_table(charts[i]), charts[i].title()));
  }
  return charts.empty() ? "" : fmt::format("<div class=\"charts\">\n{}</div>\n{}", figures, tables);
}

std::string differences_html(const Comparison& comparison, const std::vector<Verdict>& verdicts) {
  std::string html;
  for (const Column& column : columns_of(comparison)) {
    const ReportTable table = differences_table(column, verdicts);
    if (table.empty()) continue;
    const auto decided = std::ranges::count_if(verdicts, [&](const Verdict& verdict) {
      return verdict.column.title() == column.title() && !verdict.better.empty() && !verdict.of_bounds;
    });
    html += fmt::format("<details{}><summary>{} <span>({} of {} decided)</span></summary>\n{}</details>\n",
                        html.empty() ? " open" : "", escape_html(heading_of(column)), decided, table.rows.size(),
                        table_html(table, "Differences in " + heading_of(column)));
  }
  for (const std::string& sentence : untested_in_words(comparison, verdicts)) {
    html += fmt::format("<p>{}</p>\n", escape_html(sentence));
  }
  return html;
}

std::string monitors_html(const Comparison& comparison) {
  std::string html;
  for (const ComparedModel& model : comparison.models) {
    html += fmt::format("<h3>{}{}</h3>\n", name_html(model.name),
                        model.external ? "<small class=\"tagged\">external</small>" : "");
    const std::string notes = items_html(notes_of(model));
    const ReportTable table = monitors_table(model);
    const char* quiet = table.empty() ? "Nothing was watched." : "No warnings.";
    html += notes.empty() ? fmt::format("<p class=\"hint\">{}</p>\n", quiet)
                          : fmt::format("<ul class=\"notes\">\n{}</ul>\n", notes);
    if (table.empty()) continue;
    html += fmt::format("<details><summary>Losses and monitors <span>({})</span></summary>\n{}</details>\n",
                        table.rows.size(), table_html(table, "Losses and monitors of " + model.name));
  }
  return html;
}

std::string configs_html(const Comparison& comparison) {
  std::string html;
  for (const ComparedModel& model : comparison.models) {
    if (model.config.empty()) continue;
    html += fmt::format("<details><summary>{}</summary>\n<pre>{}</pre></details>\n", escape_html(model.name),
                        escape_html(model.config));
  }
  return html;
}

std::string glossary_html(const Comparison& comparison) {
  std::string html;
  for (const GlossaryEntry& entry : glossary_of(comparison)) {
    html += fmt::format("<dt>{}</dt><dd>{}</dd>", escape_html(entry.term), escape_html(entry.meaning));
    if (!entry.silence.empty()) html += fmt::format("<dd class=\"not\">{}</dd>", escape_html(entry.silence));
    html += "\n";
  }
  return html;
}

std::string results_html(const Comparison& comparison, const std::vector<Verdict>& verdicts) {
  if (comparison.models.empty()) return "<p>There is no model.</p>";
  if (columns_of(comparison).empty()) return "<p>There is no number that ranks models.</p>";
  return table_html(results_table(comparison, verdicts), "Results", !comparison.floors.empty());
}

}  // namespace

std::string report_html(const Comparison& comparison) {
  const std::vector<Verdict> verdicts = verdicts_of(comparison);
  const std::vector<ReportPicture> samples = sample_pictures(comparison);
  const std::string charts = charts_html(comparison);
  const std::vector<ProfileChart> profiles = profile_charts(comparison);
  const bool drawn = !charts.empty() || !profiles.empty();
  const bool images = comparison.spec.kind == DataKind::images;
  return fill_page(
      kReportPage,
      {{"title", escape_html(comparison.title)},
       {"subtitle", escape_html(subtitle_of(comparison))},
       {"version", escape_html(program_version())},
       {"level", fmt::format("{}", kLevel)},
       {"protocol", protocol_html(comparison)},
       {"notes", items_html(comparison.notes)},
       {"findings", findings_html(comparison, verdicts)},
       {"results", results_html(comparison, verdicts)},
       {"samples", figures_html(samples)},
       {"samples_hint", images ? "Real data first. Sample i of every model stands in the same place; none was chosen."
                               : "Real data first, all on the same axes; marks on the frame stand at whole numbers."},
       {"nearest", figures_html(nearest_pictures(comparison))},
       {"interpolation", figures_html(interpolation_pictures(comparison))},
       {"reconstruction", figures_html(reconstruction_pictures(comparison))},
       {"texts", texts_html(comparison)},
       {"charts", charts},
       {"profiles", profiles_html(profiles)},
       {"curves", drawn ? curves_data(comparison) : ""},
       {"profiles_data", drawn ? json_for_script(profiles_json(profiles)) : ""},
       {"chart_library", drawn ? std::string(kChartLibrary) : ""},
       {"chart_licence", escape_html(kChartLicence)},
       {"costs", table_html(costs_table(comparison), "Costs")},
       {"differences", differences_html(comparison, verdicts)},
       {"monitors", monitors_html(comparison)},
       {"configs", configs_html(comparison)},
       {"glossary", glossary_html(comparison)}});
}

}  // namespace genzoo
