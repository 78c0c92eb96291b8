// Every fixture of a model that Python PyTorch wrote (tests/reference/*.py), replayed through the registry and the
// project's own steps and optimizers: the same loss, the same gradients, the same parameters after ten steps.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "core/config.h"
#include "core/json.h"
#include "core/safetensors.h"
#include "models/registry.h"
#include "tests/support.h"
#include "trainers/checkpoint.h"
#include "trainers/step.h"

namespace genzoo {
namespace {

struct ReferenceConfig {
  Choice model;
  OptimizerConfig optimizer;
  void fields(Fields& f) {
    f("model", model, model_choices(), "");
    f("optimizer", optimizer, "");
  }
};

std::vector<std::filesystem::path> fixtures() {
  std::vector<std::filesystem::path> paths;
  for (const auto& item : std::filesystem::directory_iterator(GENZOO_SOURCE_DIR "/tests/reference")) {
    if (item.path().extension() != ".safetensors") continue;
    if (read_safetensors_header(item.path()).metadata.contains("model")) paths.push_back(item.path());
  }
  std::ranges::sort(paths);
  return paths;
}

NamedTensors below(const NamedTensors& tensors, const std::string& prefix) {
  NamedTensors result;
  for (const auto& [name, tensor] : tensors) {
    if (name.starts_with(prefix)) result[name.substr(prefix.size())] = tensor;
  }
  return result;
}

/// Largest difference in units of the expected tensor's largest value.
double relative_difference(const Tensor& got, const Tensor& expected) {
  const double scale = std::max(expected.abs().max().item<double>(), 1e-3);
  return (got.to(torch::kDouble) - expected.to(torch::kDouble)).abs().max().item<double>() / scale;
}

struct Replay {
  explicit Replay(const std::filesystem::path& path) : file(read_safetensors(path)) {
    const auto& meta = file.metadata;
    const std::string yaml = fmt::format("model:\n  {}\noptimizer: {{{}}}\n", meta.at("model"), meta.at("optimizer"));
    config = read_config<ReferenceConfig>(ConfigSource::from_text(yaml, path.string()));
    const DataSpec spec = DataSpec::from_json(parse_json(meta.at("spec"), path.string()));
    model = make_model(config.model, spec, 0);
    load_module_state(*model.module, below(file.tensors, "model."), path.string());
    model.module->train();
    batch.x = file.tensors.at("x");
    if (file.tensors.contains("y")) batch.y = file.tensors.at("y");
    StepConfig step_config;
    step_config.steps = 10;
    if (!meta.at("clip_norm").empty()) step_config.clip_norm = std::stod(meta.at("clip_norm"));
    step = make_step(model, config.optimizer, config.optimizer, config.optimizer, step_config);
  }

  TensorFile file;
  ReferenceConfig config;
  AnyModel model;
  Batch batch;
  std::unique_ptr<Step> step;
};

TEST_CASE("losses and ten optimizer steps are those of Python PyTorch", "[trainers][reference]") {
  REQUIRE(fixtures().size() >= 8);
  for (const auto& path : fixtures()) {
    DYNAMIC_SECTION(path.stem().string()) {
      Replay replay(path);
      const auto& expected = replay.file.tensors;
      const BatchSource source = [&](int64_t) { return replay.batch; };
      const bool two_players = replay.model.can.game.has_value();
      for (int64_t t = 0; t < 10; ++t) {
        const Terms terms = replay.step->update(source, t);
        for (const char* player : {"", "discriminator", "generator"}) {
          if (two_players == (*player == 0)) continue;
          const std::string term = two_players ? std::string(player) + "_loss" : "loss";
          const Tensor losses = expected.at(two_players ? std::string("losses.") + player : "losses");
          INFO(term << " of step " << t);
          const double want = losses[t].item<double>();
          CHECK(std::abs(terms.at(term).item<double>() - want) < 2e-5 + 2e-4 * std::abs(want));
        }
      }
      const NamedTensors after = module_state(*replay.model.module);
      const NamedTensors wanted = below(expected, "after.");
      REQUIRE(after.size() == wanted.size());
      for (const auto& [name, tensor] : wanted) {
        INFO(name << " after ten steps");
        REQUIRE(after.contains(name));
        CHECK(relative_difference(after.at(name), tensor) < 2e-3);
      }
    }
  }
}

TEST_CASE("gradients of the first step are those of Python PyTorch", "[trainers][reference]") {
  for (const auto& path : fixtures()) {
    DYNAMIC_SECTION(path.stem().string()) {
      Replay replay(path);
      if (!replay.model.can.loss) {
        SUCCEED("two players: their gradients show in the parameters after ten steps");
        continue;
      }
      Rng rng = Rng::for_batch(0, Purpose::loss, 0);
      const Loss loss = replay.model.can.loss(replay.batch, rng, 0);
      CHECK(relative_difference(loss.total.detach(), replay.file.tensors.at("loss")) < 1e-5);
      loss.total.backward();
      const NamedTensors wanted = below(replay.file.tensors, "grad.");
      const auto parameters = replay.model.module->named_parameters();
      REQUIRE(parameters.size() == wanted.size());
      for (const auto& [name, gradient] : wanted) {
        INFO("gradient of " << name);
        CHECK(relative_difference(parameters[name].grad(), gradient) < 2e-4);
      }
    }
  }
}

}  // namespace
}  // namespace genzoo
