#pragma once
// One number of a model against another: how a quality or a cost changes with a length or a distance.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"

namespace genzoo {

struct ProfilePoint {
  double x = 0.0;
  double mean = 0.0;
  std::optional<double> standard_error = {};  ///< of the mean over examples, or over repetitions of a timing
  int64_t n = 0;                              ///< how many of them
  bool operator==(const ProfilePoint&) const = default;
};

/// An axis: what it shows, and in which unit.
struct ProfileAxis {
  std::string title;          ///< "distance before the source's end"
  std::string unit;           ///< "tokens"; empty: a pure number
  bool log = false;           ///< to be drawn on a logarithmic scale
  std::string words() const;  ///< "distance before the source's end, tokens"
  bool operator==(const ProfileAxis&) const = default;
};

struct Profile {
  std::string name;  ///< "exact_match_by_length"; profiles of one name are drawn together
  ProfileAxis x, y;
  std::vector<ProfilePoint> points;  ///< by x
  std::string detail;                ///< how it was computed
  Json to_json() const;
  static Profile from_json(const Json& json);  ///< what to_json() wrote; throws RunError for anything else
  bool operator==(const Profile&) const = default;
};

}  // namespace genzoo
