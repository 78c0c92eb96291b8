// A model's health while it trains: what is looked at, who is told of it, and that training does not notice.
#include "trainers/monitoring.h"

#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "tests/support.h"
#include "tests/trainers/tiny_experiment.h"
#include "trainers/observer.h"
#include "trainers/step.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;
using tiny::contains;
using tiny::experiment;
using tiny::train;

/// What is written to stderr meanwhile.
template <class F>
std::string told_on_stderr(F&& f) {
  const TempDir folder;
  const fs::path path = folder / "stderr";
  std::fflush(stderr);
  const int kept = ::dup(STDERR_FILENO);
  FILE* file = std::fopen(path.c_str(), "w");
  ::dup2(::fileno(file), STDERR_FILENO);
  f();
  std::fflush(stderr);
  ::dup2(kept, STDERR_FILENO);
  ::close(kept);
  std::fclose(file);
  return read_file(path);
}

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

/// The bytes of a run's only event file.
std::string events_of(const RunFolder& run) {
  for (const auto& item : fs::directory_iterator(run.path())) {
    if (item.path().filename().string().starts_with("events.out.tfevents.")) return read_file(item.path());
  }
  return "";
}

TEST_CASE("every family's monitors stand in the log at validations, on lines of their own", "[trainers][monitors]") {
  const std::vector<std::pair<const char*, const char*>> families{{tiny::kFlow, tiny::kPoints},
                                                                  {tiny::kVae, tiny::kPoints},
                                                                  {tiny::kGan, tiny::kNoise},
                                                                  {tiny::kTransformer, tiny::kText}};
  for (const auto& [model, data] : families) {
    INFO(model);
    const TempDir folder;
    const RunFolder run(folder / "run");
    train(experiment(model, data), run.path());
    std::vector<int64_t> steps;
    for (const Json& line : tiny::log_lines(run)) {
      if (!line.contains("monitors")) continue;
      INFO(line.dump());
      steps.push_back(line.at("step").get<int64_t>());
      CHECK(line.at("split") == "validation");
      CHECK_FALSE(line.contains("loss"));
      CHECK(line.at("warnings").is_array());
      REQUIRE(line.at("monitors").size() >= 2);
      for (const auto& [name, value] : line.at("monitors").items()) {
        CHECK(value.is_number());
        CHECK(contains(events_of(run), "monitors/" + name));
      }
    }
    CHECK(steps == std::vector<int64_t>{2, 4, 6});
    // Readers of losses and of seconds see what they saw.
    const bool has_loss = std::string(model) != tiny::kGan;
    CHECK(validation_losses(run).size() == (has_loss ? 3 : 0));
    CHECK(seconds_logged(run, 6) > 0);
  }
}

TEST_CASE("how often a run is looked at does not change a bit of it", "[trainers][monitors]") {
  for (const auto& [model, data] : std::vector<std::pair<const char*, const char*>>{
           {tiny::kFlow, tiny::kPoints}, {tiny::kGan, tiny::kNoise}, {tiny::kTransformer, tiny::kText}}) {
    INFO(model);
    const TempDir folder;
    const RunFolder often(folder / "often"), seldom(folder / "seldom");
    train(experiment(model, data, {"train.every={log: 1, validate: 1, save: 6, histogram: 1}"}), often.path());
    train(experiment(model, data, {"train.every={log: 6, validate: 6, save: 6}"}), seldom.path());
    const NamedTensors a = read_checkpoint(often.checkpoint(6)).tensors,
                       b = read_checkpoint(seldom.checkpoint(6)).tensors;
    REQUIRE(a.size() == b.size());
    for (const auto& [name, tensor] : a) {
      INFO(name);
      CHECK(torch::equal(tensor, b.at(name)));
    }
  }
}

TEST_CASE("a step that is measured tells how far it went, and goes as far as another", "[trainers][monitors]") {
  for (const auto& [model, data, players] : std::vector<std::tuple<const char*, const char*, std::vector<std::string>>>{
           {tiny::kFlow, tiny::kPoints, {""}}, {tiny::kGan, tiny::kNoise, {"discriminator_", "generator_"}}}) {
    INFO(model);
    const auto config = experiment(model, data);
    const Dataset dataset = open_dataset(config.data, {});
    const BatchSource source = [&](int64_t) { return Batch{dataset.train.x.narrow(0, 0, 16), {}}; };
    const OptimizerConfig plain = SGDConfig{.lr = 0.1, .momentum = 0.0, .weight_decay = 0.0};
    AnyModel looked = make_model(config.model, dataset.spec, 0), unlooked = make_model(config.model, dataset.spec, 0);
    looked.can.game ? looked.can.game->n_critic = 1 : 0;
    unlooked.can.game ? unlooked.can.game->n_critic = 1 : 0;
    const auto measured = make_step(looked, plain, plain, plain, {}),
               other = make_step(unlooked, plain, plain, plain, {});
    std::map<std::string, double> weights;
    for (const auto& [name, optimizer] : measured->optimizers()) {
      weights[name.empty() ? "" : name + "_"] = at::cat([&] {
                                                  std::vector<Tensor> all;
                                                  for (const auto& g : optimizer->parameters().groups())
                                                    all.push_back(g.values);
                                                  return all;
                                                }())
                                                    .norm()
                                                    .item<double>();
    }
    const Terms terms = measured->update(source, 0, /*measured=*/true), few = other->update(source, 0);
    for (const std::string& player : players) {
      const double norm = terms.at(player + "gradient_norm").item<double>();
      CHECK(norm > 0);
      // Plain descent: the change is lr times the gradient.
      CHECK(std::abs(terms.at(player + "update_ratio").item<double>() / (0.1 * norm / weights.at(player)) - 1) < 1e-3);
      CHECK_FALSE(few.contains(player + "gradient_norm"));
      CHECK_FALSE(few.contains(player + "update_ratio"));
    }
    const NamedTensors a = module_state(*looked.module), b = module_state(*unlooked.module);
    for (const auto& [name, tensor] : a) CHECK(torch::equal(tensor, b.at(name)));
  }
}

TEST_CASE("the norm and the ratio stand in the log without clipping too", "[trainers][monitors]") {
  const TempDir folder;
  const RunFolder run(folder / "run");
  train(experiment(tiny::kFlow, tiny::kPoints, {"train.clip_norm=0", "train.every.log=2"}), run.path());
  int lines = 0;
  for (const Json& line : tiny::log_lines(run)) {
    if (!line.contains("lr")) continue;
    ++lines;
    CHECK(line.at("gradient_norm").get<double>() > 0);
    CHECK(line.at("update_ratio").get<double>() > 0);
    CHECK(line.at("update_ratio").get<double>() < 0.1);
  }
  CHECK(lines == 3);
}

TEST_CASE("a warning is told once, however often it is found", "[trainers][monitors]") {
  const MonitorLine sick{
      5, Split::validation, {{.name = "a", .value = 0, .warning = "a is bad"}, {.name = "b", .value = 1}}};
  const MonitorLine worse{
      6,
      Split::validation,
      {{.name = "a", .value = 0, .warning = "a is worse"}, {.name = "b", .value = 1, .warning = "b is bad"}}};
  const std::string told = told_on_stderr([&] {
    Console console(/*is_terminal=*/false);
    for (const auto* line : {&sick, &sick, &worse, &worse}) console.monitors(*line);
  });
  CHECK(told == "genzoo: warning: step 5: a is bad\ngenzoo: warning: step 6: b is bad\n");
}

TEST_CASE("a sick training warns on the terminal, and the log has the sentence every time", "[trainers][monitors]") {
  // A KL that outweighs everything: the posterior collapses at once.
  const auto config = experiment(tiny::kVae, tiny::kPoints,
                                 {"model.vae.beta=1000", "train.steps=400", "train.optimizer.adamw.lr=0.01",
                                  "train.ema=none", "train.every={log: 400, validate: 100, save: 400, sample: 400}"});
  const TempDir folder;
  const RunFolder run(folder / "run");
  const std::string told = told_on_stderr([&] {
    TrainRequest request = tiny::request(run.path());
    request.quiet = false;
    train_experiment(config, request);
  });
  CHECK(count_of(told, "genzoo: warning: ") == 1);
  CHECK(contains(told, "posterior collapse"));
  CHECK_FALSE(contains(told, "update_ratio"));  // a line of a terminal is short
  int sentences = 0;
  for (const Json& line : tiny::log_lines(run)) sentences += line.contains("warnings") && line["warnings"].size() == 1;
  CHECK(sentences > 1);
}

TEST_CASE("a model is not called sick in the first tenth of its training", "[trainers][monitors]") {
  const auto kept = [](int64_t step) {
    std::vector<Monitor> monitors{{.name = "a", .value = 2, .warning = "bad"}};
    excuse_youth(monitors, step, 100);
    CHECK(monitors[0].value == 2);
    return !monitors[0].warning.empty();
  };
  CHECK_FALSE(kept(0));
  CHECK_FALSE(kept(9));
  CHECK(kept(10));
  CHECK(kept(100));
}

TEST_CASE("what is looked at is the beginning of the split", "[trainers][monitors]") {
  const auto config = experiment(tiny::kFlow, "{eight_gaussians: {examples: 300, validation: 280, test: 40}}");
  const Dataset dataset = open_dataset(config.data, {});
  const AnyModel flow = make_model(config.model, dataset.spec, 0);
  const Batch all = monitored_batch(dataset, Split::validation, flow.can, 0, torch::kCPU);
  CHECK(torch::equal(all.x, dataset.validation.x.narrow(0, 0, 256)));
  CHECK(monitored_batch(dataset, Split::validation, flow.can, 7, torch::kCPU).size() == 7);
  CHECK(monitored_batch(dataset, Split::test, flow.can, 0, torch::kCPU).size() == 40);
}

/// Keeps what it is shown to make histograms of.
class Keeper final : public Observer {
 public:
  explicit Keeper(std::vector<NamedTensors>& kept) : kept_(kept) {}
  void begin(int64_t, int64_t, bool) override {}
  void line(const LogLine&) override {}
  void samples(int64_t, const SampleOutput&) override {}
  void histograms(int64_t, const NamedTensors& tensors) override {
    kept_.emplace_back();
    for (const auto& [name, tensor] : tensors) kept_.back()[name] = tensor.clone();
  }
  void end(int64_t, const std::string&) override {}

 private:
  std::vector<NamedTensors>& kept_;
};

TEST_CASE("a histogram is of the step's own gradient and of the weights after it", "[trainers][monitors]") {
  const auto config = experiment(tiny::kFlow, tiny::kPoints,
                                 {"train.optimizer={sgd: {lr: 0.01, momentum: 0, weight_decay: 0}}",
                                  "train.clip_norm=0", "train.steps=2", "train.every.histogram=1"});
  const TempDir folder;
  std::vector<NamedTensors> kept;
  Trainer trainer(config, open_dataset(config.data, {}), RunFolder(folder / "run"));
  trainer.add(std::make_unique<Keeper>(kept));
  trainer.run();
  REQUIRE(kept.size() == 2);
  for (const auto& item : trainer.model().module->named_parameters()) {
    INFO(item.key());
    const Tensor before = kept[0].at("weights/" + item.key()), after = kept[1].at("weights/" + item.key());
    CHECK(torch::equal(after, item.value()));
    CHECK_THAT(after, IsClose(before - 0.01 * kept[1].at("gradients/" + item.key()), 1e-6));
  }
}

TEST_CASE("histograms of weights and gradients are there when asked for, and only then", "[trainers][monitors]") {
  const TempDir folder;
  const RunFolder with(folder / "with"), without(folder / "without");
  train(experiment(tiny::kGan, tiny::kNoise, {"train.every.histogram=4"}), with.path());
  train(experiment(tiny::kGan, tiny::kNoise), without.path());
  CHECK_FALSE(contains(events_of(without), "weights/"));
  const AnyModel model = make_model(experiment(tiny::kGan, tiny::kNoise).model,
                                    open_dataset(experiment(tiny::kGan, tiny::kNoise).data, {}).spec, 0);
  const std::string events = events_of(with);
  for (const auto& item : model.module->named_parameters()) {
    INFO(item.key());
    CHECK(count_of(events, "weights/" + item.key()) == 2);  // steps 4 and 6, the last
    CHECK(count_of(events, "gradients/" + item.key()) == 2);
  }
}

}  // namespace
}  // namespace genzoo
