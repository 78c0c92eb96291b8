// Compared runs as they are kept between two runs of one comparison.
#include "core/error.h"
#include "evaluation/comparison.h"

namespace genzoo {

Costs Costs::from_json(const Json& json) try {
  Costs costs;
  costs.parameters = json.at("parameters");
  costs.training_flops = json.at("training_flops");
  costs.steps = json.at("steps");
  costs.training_seconds = json.at("training_seconds");
  costs.items_per_s = json.at("items_per_s");
  costs.item = json.at("item");
  costs.peak_memory = json.at("peak_memory");
  if (!json.at("samples_per_s").is_null()) costs.samples_per_s = json.at("samples_per_s").get<double>();
  return costs;
} catch (const Json::exception& error) {
  throw RunError(std::string("the costs of a run are damaged: ") + error.what());
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
  run.stopped_by = json.at("stopped_by");
  return run;
} catch (const Json::exception& error) {
  throw RunError(std::string("a measured run is damaged: ") + error.what());
}

}  // namespace genzoo
