// Every family under autocast to bfloat16, beside itself in float32.

#include "trainers/precision.h"

#include <torch/autograd.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "models/layers.h"
#include "models/registry.h"
#include "tests/models/kinds_of_data.h"
#include "tests/models/small_settings.h"
#include "tests/support.h"

namespace genzoo {
namespace {

struct Slope {
  double loss = 0;
  Tensor gradient;  ///< of all parameters that learn, one behind the other; float32
};

Slope slope_of(AnyModel& model, const Batch& batch, Precision precision) {
  std::vector<Tensor> parameters;
  for (const Tensor& p : model.module->parameters()) {
    if (p.requires_grad()) parameters.push_back(p);
  }
  Rng rng = Rng::for_batch(5, Purpose::loss, 0);
  Tensor total;
  {
    const Autocast autocast(torch::kCPU, precision);
    total = model.can.loss(batch, rng, /*step=*/0).total;
  }
  std::vector<Tensor> parts;
  const auto gradients = torch::autograd::grad({total}, parameters, {}, /*retain_graph=*/std::nullopt,
                                               /*create_graph=*/false, /*allow_unused=*/true);
  for (const Tensor& gradient : gradients) {
    if (!gradient.defined()) continue;
    REQUIRE(gradient.scalar_type() == torch::kFloat);  // parameters stay in it, and so do their updates
    parts.push_back(gradient.flatten());
  }
  REQUIRE(total.scalar_type() == torch::kFloat);
  return {total.item<double>(), torch::cat(parts)};
}

/// Rounding to eight bits changes a loss by its last digits and a gradient's direction hardly.
void check_alike(AnyModel& model, const Batch& batch) {
  const Slope exact = slope_of(model, batch, Precision::float32), rounded = slope_of(model, batch, Precision::bfloat16);
  CHECK(std::isfinite(rounded.loss));
  CHECK(rounded.loss == Approx(exact.loss).epsilon(0.02).margin(0.02));
  const double lengths = exact.gradient.norm().item<double>() * rounded.gradient.norm().item<double>();
  const double cosine = exact.gradient.dot(rounded.gradient).item<double>() / lengths;
  INFO("cosine of the gradients " << cosine);
  CHECK(cosine > 0.98);
}

/// Whether models of a family descend one loss: not those that count, nor two players.
bool has_loss(const ModelEntry& entry) {
  const Choice choice = variants_of(entry).front().choice;
  return std::ranges::any_of(kinds_of_data(), [&](const DataSpec& data) {
    const auto model = model_if_fit(choice, data);
    return model && model->can.loss;
  });
}

TEST_CASE("a loss in bfloat16 leads where the same in float32 leads", "[models][precision]") {
  REQUIRE(std::ranges::count_if(models(), has_loss) >= 8);
  for (const ModelEntry& entry : models()) {
    if (!has_loss(entry)) continue;
    DYNAMIC_SECTION(entry.name) {
      for (const auto& [choice, description] : variants_of(entry)) {
        for (const DataSpec& data : kinds_of_data()) {
          auto model = model_if_fit(choice, data);
          if (!model || !model->can.loss) continue;
          INFO(description << " of " << data.dataset);
          model->module->eval();  // dropout draws by shapes, which are the same, and from types, which are not
          check_alike(*model, batch_for(data, *model, 0));
        }
      }
    }
  }
}

TEST_CASE("low-rank updates in bfloat16 lead where those in float32 lead", "[models][precision]") {
  for (const ModelEntry& entry : models()) {
    const Choice choice = variants_of(entry).front().choice;
    for (const DataSpec& data : kinds_of_data()) {
      auto model = model_if_fit(choice, data);
      if (!model || !model->can.loss) continue;
      for (Tensor& p : model->module->parameters()) p.set_requires_grad(false);
      Rng init = Rng::for_batch(1, Purpose::initialization, 1);
      bool adapted = false;
      for (const auto& item : model->module->named_modules()) {
        auto* linear = item.value()->as<LinearImpl>();
        if (!linear) continue;
        linear->adapt(/*rank=*/2, /*scale=*/1.0, init);
        adapted = true;
      }
      if (!adapted) continue;
      INFO(entry.name << " of " << data.dataset);
      const torch::NoGradGuard no_grad;
      for (auto& item : model->module->named_parameters()) {
        if (item.key().ends_with("lora_b")) item.value().add_(init.normal(item.value().sizes()), 0.1);
      }
      const torch::AutoGradMode with_graph(true);
      model->module->eval();
      check_alike(*model, batch_for(data, *model, 0));
    }
  }
}

}  // namespace
}  // namespace genzoo
