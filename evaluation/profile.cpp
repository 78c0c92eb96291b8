#include "evaluation/profile.h"

#include <limits>

#include "core/error.h"

namespace genzoo {
namespace {

Json axis_json(const ProfileAxis& axis) { return {{"title", axis.title}, {"unit", axis.unit}, {"log", axis.log}}; }

ProfileAxis axis_of(const Json& json) { return {json.at("title"), json.at("unit"), json.at("log")}; }

}  // namespace

std::string ProfileAxis::words() const { return unit.empty() ? title : title + ", " + unit; }

Json Profile::to_json() const {
  Json list = Json::array();
  for (const ProfilePoint& point : points) {
    list.push_back({{"x", point.x},
                    {"mean", finite_or_null(point.mean)},
                    {"stderr", finite_or_null(point.standard_error)},
                    {"n", point.n}});
  }
  return {{"name", name}, {"x", axis_json(x)}, {"y", axis_json(y)}, {"points", list}, {"detail", detail}};
}

Profile Profile::from_json(const Json& json) try {
  Profile profile;
  profile.name = json.at("name");
  profile.x = axis_of(json.at("x"));
  profile.y = axis_of(json.at("y"));
  for (const Json& point : json.at("points")) {
    const Json &mean = point.at("mean"), &error = point.at("stderr");
    profile.points.push_back({.x = point.at("x"),
                              .mean = mean.is_null() ? std::numeric_limits<double>::quiet_NaN() : mean.get<double>(),
                              .standard_error = error.is_null() ? std::optional<double>() : error.get<double>(),
                              .n = point.at("n")});
  }
  profile.detail = json.at("detail");
  return profile;
} catch (const Json::exception& error) {
  throw RunError(std::string("a profile is damaged: ") + error.what());
}

}  // namespace genzoo
