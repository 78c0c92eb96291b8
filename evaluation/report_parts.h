#pragma once
// Texts that are part of the program, embedded at build time (cmake/EmbedText.cmake).

#include <string_view>

namespace genzoo {

extern const std::string_view kReportPage;      ///< assets/report.html
extern const std::string_view kInspectionPage;  ///< assets/inspection.html
extern const std::string_view kChartLibrary;    ///< Chart.js, one file
extern const std::string_view kChartLicence;    ///< assets/chart_licence.txt

}  // namespace genzoo
