#pragma once
// Profiles of a comparison's models, those of one name together: as charts, as tables, as data.

#include <string>
#include <vector>

#include "core/json.h"
#include "evaluation/comparison.h"
#include "evaluation/profile.h"
#include "evaluation/report_tables.h"

namespace genzoo {

/// A model's profile: means over its training seeds, their standard errors over seeds too, and n the seeds; of one seed
/// as that was measured.
struct ProfileLine {
  std::string model;
  int64_t seeds = 0;
  std::vector<ProfilePoint> points;
};

/// Profiles of one name, axis by axis the same.
struct ProfileChart {
  std::string name;
  ProfileAxis x, y;
  std::string detail;
  std::vector<ProfileLine> lines;
  std::string title() const;  ///< "Exact match by length of the source"
};

/// In the order in which models first have them. Points that are not finite are left out.
std::vector<ProfileChart> profile_charts(const Comparison& comparison);

/// A row for each x, a column for each model.
ReportTable profile_table(const ProfileChart& chart);

/// The chart's place on the page, where the script draws chart number `index` of profiles_data.
std::string profile_figure_html(size_t index, const ProfileChart& chart);

/// [{"name", "title", "x", "y", "detail", "models": [{"name", "seeds", "points": [[x, mean, standard error or null, n],
/// ...]}]}].
Json profiles_json(const std::vector<ProfileChart>& charts);

}  // namespace genzoo
