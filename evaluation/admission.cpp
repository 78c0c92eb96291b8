#include "evaluation/admission.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <set>
#include <string>

#include "core/error.h"
#include "core/file.h"
#include "evaluation/evaluate.h"
#include "evaluation/external.h"
#include "evaluation/inception.h"
#include "evaluation/likelihood.h"
#include "models/registry.h"
#include "trainers/train_experiment.h"
#include "trainers/trainer.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

void require_one_data_set(const std::vector<Contestant>& contestants, SharedData& data) {
  const Dataset& first = data.of(contestants[0].config);
  for (const Contestant& c : contestants) {
    const Dataset& other = data.of(c.config);
    if (data.same(contestants[0].config, c.config)) continue;
    throw UsageError(
        fmt::format("{} learns from {} ({}, {} to train on) and {} from {} ({}, {} to train on), which are not the "
                    "same examples; one comparison is of one data set, split in one way",
                    contestants[0].name, first.spec.dataset, first.spec.describe(), first.count(Split::train), c.name,
                    other.spec.dataset, other.spec.describe(), other.count(Split::train)));
  }
}

void require_models(const std::vector<Contestant>& contestants, SharedData& data) {
  for (const Contestant& c : contestants) {
    const DataSpec& spec = data.of(c.config).spec;
    const AnyModel model = make_model(c.config.model, spec, /*seed=*/0);
    if (model.can.sample || model.can.log_prob || model.can.generate || model.can.pair_logits) continue;
    if (model.can.class_logits && spec.kind == DataKind::documents) continue;
    throw UsageError(
        fmt::format("{}: {} draws no samples and has no likelihood, so there is nothing to compare; it can: {}", c.name,
                    model.family, fmt::join(model.can.names(), ", ")));
  }
}

void require_externals(const CompareRequest& request, const std::vector<Contestant>& contestants,
                       const Dataset& dataset) {
  std::set<std::string> names;
  for (const Contestant& c : contestants) names.insert(c.name);
  for (const ExternalSource& e : request.externals) {
    if (!names.insert(e.name).second) {
      throw UsageError(
          fmt::format("--external {}: there is another model of that name; give it one of its own", e.name));
    }
    if (dataset.spec.has_tokens()) {
      throw UsageError(
          fmt::format("--external {}: the data are text; external samples are of images or vectors", e.name));
    }
    read_external_samples(e, dataset.spec);
    if (!e.log_prob.empty()) read_external_likelihood(e, dataset, default_split(dataset), request.examples);
  }
}

}  // namespace

void require_comparable(const CompareRequest& request, const std::vector<Contestant>& contestants, SharedData& data) {
  require_one_data_set(contestants, data);
  if (!request.inception.empty()) {
    for (const Contestant& c : contestants) require_inception(request.inception, data.of(c.config).spec);
  }
  require_models(contestants, data);
  require_externals(request, contestants, data.of(contestants[0].config));
}

Json what_decides(const CompareRequest& request, const std::vector<Contestant>& contestants, SharedData& data) {
  Json inputs = Json::array(), externals = Json::array();
  for (const Contestant& c : contestants) {
    Json trainings = Json::array();
    for (const Training& t : c.trainings) {
      trainings.push_back(c.to_train ? Json(t.seed) : Json(fs::weakly_canonical(t.run).string()));
    }
    inputs.push_back({{"name", c.name},
                      {"config", experiment_identity(c.config)},
                      {"trainings", trainings},
                      {"data", data.of(c.config).digest()},
                      {"device", resolve_device(c.config.device).str()}});
  }
  for (const ExternalSource& e : request.externals) {
    externals.push_back({{"name", e.name},
                         {"samples", sha256_of_file(e.samples)},
                         {"log_prob", e.log_prob.empty() ? "" : sha256_of_file(e.log_prob)},
                         {"unit", unit_name(e.unit)},
                         {"kind", kind_name(e.kind)}});
  }
  Json decides = {
      {"inputs", inputs},       {"externals", externals},       {"budget", describe(request.budget)},
      {"seeds", request.seeds}, {"samples", request.samples},   {"sampling_seconds", request.sampling_seconds},
      {"k", request.k},         {"examples", request.examples}, {"threads", request.threads}};
  if (!request.inception.empty()) decides["inception"] = sha256_of_file(request.inception);
  return decides;
}

}  // namespace genzoo
