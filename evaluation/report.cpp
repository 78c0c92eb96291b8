#include "evaluation/report.h"

#include <fmt/format.h>

#include <cmath>

#include "core/file.h"
#include "core/image.h"
#include "evaluation/report_pictures.h"

namespace genzoo {

Tensor report_grids(const Comparison& comparison) {
  std::vector<Tensor> panels;
  for (const ReportPicture& picture : sample_pictures(comparison)) {
    panels.push_back(with_caption(picture.pixels, picture.name + (picture.external ? " (external)" : "")));
  }
  if (panels.empty()) return {};
  return arrange(panels, static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(panels.size())))));
}

void write_report(const Comparison& comparison, const std::filesystem::path& folder) {
  const Tensor grids = report_grids(comparison);
  if (grids.defined()) write_png(folder / "grids.png", grids);
  // Not UTF-8 is shown, not refused: names and texts are the user's.
  const auto json = report_json(comparison).dump(1, ' ', false, Json::error_handler_t::replace);
  write_file_whole(folder / "results.json", json + "\n");
  write_file_whole(folder / "results.csv", report_csv(comparison));
  write_file_whole(folder / "report.md", report_markdown(comparison, grids.defined() ? "grids.png" : ""));
  write_file_whole(folder / "report.html", report_html(comparison));
}

}  // namespace genzoo
