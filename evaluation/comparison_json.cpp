// Compared runs as they are kept between two runs of one comparison.
#include <algorithm>
#include <iterator>

#include "core/error.h"
#include "evaluation/comparison.h"

namespace genzoo {
namespace {

template <class Number>
std::optional<Number> number_if_any(const Json& json) {
  return json.is_null() ? std::optional<Number>() : json.get<Number>();
}

Ending ending_of(const std::string& name) {
  const auto found = std::ranges::find(kEndingNames, name);
  if (found == std::end(kEndingNames)) throw RunError("a measured run is damaged: no training ends as " + name);
  return static_cast<Ending>(found - std::begin(kEndingNames));
}

}  // namespace

Json Costs::to_json() const {
  return {{"parameters", parameters},
          {"training_flops", finite_or_null(training_flops)},
          {"steps", steps},
          {"item", item},
          {"samples_per_s", finite_or_null(samples_per_s)},
          {"training_seconds", finite_or_null(training_seconds)},
          {"items_per_s", finite_or_null(items_per_s)},
          {"peak_memory", peak_memory ? Json(*peak_memory) : Json()},
          {"trained_on", trained_on},
          {"trained_by", trained_by}};
}

Costs Costs::from_json(const Json& json) try {
  Costs costs;
  costs.parameters = json.at("parameters");
  costs.training_flops = json.at("training_flops");
  costs.steps = json.at("steps");
  costs.item = json.at("item");
  costs.samples_per_s = number_if_any<double>(json.at("samples_per_s"));
  costs.training_seconds = number_if_any<double>(json.at("training_seconds"));
  costs.items_per_s = number_if_any<double>(json.at("items_per_s"));
  costs.peak_memory = number_if_any<int64_t>(json.at("peak_memory"));
  costs.trained_on = json.at("trained_on");
  costs.trained_by = json.at("trained_by");
  return costs;
} catch (const Json::exception& error) {
  throw RunError(std::string("the costs of a run are damaged: ") + error.what());
}

Json ComparedRun::to_json() const {
  Json json = evaluation.to_json();
  json["path"] = path;
  json["seed"] = seed;
  json["ending"] = kEndingNames[static_cast<int>(ending)];
  json["stopped_by"] = stopped_by;
  json["costs"] = costs ? costs->to_json() : Json();
  json["curve"] = Json::array();
  for (const CurvePoint& point : curve) {
    json["curve"].push_back(
        {{"step", point.step}, {"seconds", finite_or_null(point.seconds)}, {"loss", finite_or_null(point.loss)}});
  }
  return json;
}

ComparedRun ComparedRun::from_json(const Json& json) try {
  ComparedRun run;
  run.path = json.at("path");
  run.seed = json.at("seed");
  run.evaluation = Evaluation::from_json(json);
  if (!json.at("costs").is_null()) run.costs = Costs::from_json(json.at("costs"));
  for (const Json& point : json.at("curve")) {
    run.curve.push_back({point.at("step"), point.at("seconds"), point.at("loss")});
  }
  run.ending = ending_of(json.at("ending"));
  run.stopped_by = json.at("stopped_by");
  return run;
} catch (const Json::exception& error) {
  throw RunError(std::string("a measured run is damaged: ") + error.what());
}

}  // namespace genzoo
