// Training of models of pairs: what is logged and shown.
#include "trainers/translations.h"

#include "data/pairs.h"
#include "tests/support.h"
#include "tests/trainers/tiny_experiment.h"
#include "trainers/checkpoint.h"
#include "trainers/estimate.h"

namespace genzoo {
namespace {

constexpr const char* kTranslator =
    "{encoder_decoder: {n_layer: 1, n_head: 2, n_embd: 8, n_inner: 16, dropout: 0.1, label_smoothing: 0.2}}";
constexpr const char* kReversed = "{reverse: {length: 6, alphabet: 3, examples: 100, validation: 0.4}}";

/// The last validation in the log.
Json last_validation(const RunFolder& run) {
  Json found;
  for (const Json& line : tiny::log_lines(run)) {
    if (line.contains("split") && line["split"] == "validation" && line.contains("loss")) found = line;
  }
  return found;
}

}  // namespace

TEST_CASE("a validation of pairs is the mean over all tokens of targets, not smoothed", "[trainers][translation]") {
  const TempDir folder;
  const ExperimentConfig config = tiny::experiment(kTranslator, kReversed, {"train.ema=none"});
  const TrainOutcome outcome = tiny::train(config, folder / "run");
  CHECK(outcome.code == ExitCode::done);
  const LoadedModel m = load_model(folder / "run", Which::newest, Weights::raw, "cpu");
  const Dataset set = open_dataset(config.data, DataPlaces{});
  REQUIRE(set.count(Split::validation) == 40);  // two batches of 16 and one of 8
  const torch::NoGradGuard no_grad;
  const Tensor y = set.validation.y.to(torch::kLong);
  const Tensor log_p = m.model.can.pair_logits(set.validation.x.to(torch::kLong), y).log_softmax(-1);
  const Tensor counts = up_to_end(y, set.spec.end_token);
  const Tensor nats = -log_p.gather(-1, y.unsqueeze(-1)).squeeze(-1).mul(counts).sum() / counts.sum();
  CHECK(last_validation(RunFolder(folder / "run"))["loss"].get<double>() == Approx(nats.item<double>()).epsilon(1e-5));
  CHECK(*outcome.validation_loss == Approx(nats.item<double>()).epsilon(1e-5));
}

TEST_CASE("training shows sources, targets and translations", "[trainers][translation]") {
  const TempDir folder;
  const ExperimentConfig config = tiny::experiment(kTranslator, kReversed);
  tiny::train(config, folder / "run");
  const Dataset set = open_dataset(config.data, DataPlaces{});
  const LoadedModel m = load_model(folder / "run", Which::newest, Weights::ema_if_any, "cpu");
  const Batch first{set.validation.x.to(torch::kLong), set.validation.y.to(torch::kLong)};
  const std::string shown = show_translations(m.model, set.spec, first, 8, torch::kCPU);
  CHECK(read_file(RunFolder(folder / "run").sample(6, ".txt")) == shown);
  const auto tokenizer = tokenizer_from_json(set.spec.tokenizer);
  const std::string source = text_before_end(set.spec, *tokenizer, first.x[0]);
  CHECK(shown.starts_with("source       " + source + "\ntarget       " + std::string(source.rbegin(), source.rend()) +
                          "\ntranslation  "));
  CHECK(std::ranges::count(shown, '\n') == 8 * 3 + 7);
  CHECK(show_translations(m.model, set.spec, {first.x.slice(0, 0, 2), first.y.slice(0, 0, 2)}, 8, torch::kCPU) ==
        shown.substr(0, shown.find("\n\n", shown.find("\n\n") + 2) + 1));
}

TEST_CASE("a draw of a target depends on its number and the seed alone", "[trainers][translation]") {
  const DataSpec spec = open_dataset(tiny::experiment(kTranslator, kReversed).data, DataPlaces{}).spec;
  const AnyModel model = make_model(tiny::experiment(kTranslator, kReversed).model, spec, 0);
  const TranslateOptions draw{.draw = true};
  const auto five = translate_text(model, spec, "abca", 5, draw, 3, torch::kCPU);
  const auto two = translate_text(model, spec, "abca", 2, draw, 3, torch::kCPU);
  CHECK(std::vector<std::string>(five.begin(), five.begin() + 2) == two);
  CHECK(translate_text(model, spec, "abca", 5, draw, 4, torch::kCPU) != five);
}

TEST_CASE("what a training on pairs costs is known beforehand", "[trainers][translation]") {
  const ExperimentConfig config = tiny::experiment(kTranslator, kReversed);
  const CostEstimate cost = estimate_cost(config, open_dataset(config.data, DataPlaces{}));
  CHECK(cost.parameters > 0);
  CHECK(cost.flops_per_step > 0);
  CHECK(cost.trains);
}

}  // namespace genzoo
