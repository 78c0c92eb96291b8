// Log-likelihoods of given examples and texts.
#include <fmt/format.h>

#include <cmath>

#include "data/tokenizers/tokenizer.h"
#include "evaluation/evaluate.h"
#include "tests/evaluation/tiny_models.h"
#include "tests/support.h"

namespace genzoo {
namespace {

using tiny::contains;
using tiny::loaded;
using tiny::message_of;

double total(const Score& score) { return score.log_prob.sum().item<double>(); }

/// Every prediction by itself: token t given those of its window before it, the window chosen by the rule in words.
double brute_force(const LoadedModel& model, const std::string& text) {
  const EvalMode eval(*model.model.module);
  const Tensor tokens = tokenizer_from_json(model.spec.tokenizer)->encode(text);
  const int64_t context = model.model.can.context;
  double sum = 0;
  for (int64_t t = 1; t < tokens.size(0); ++t) {
    // The first window that reaches token t: windows begin at multiples of half a context.
    int64_t start = 0;
    while (start + context < t) start += context / 2;
    const Tensor x = tokens.slice(0, start, t).unsqueeze(0), y = tokens.slice(0, start + 1, t + 1).unsqueeze(0);
    sum += model.model.can.token_log_prob(x, y)[0][t - start - 1].item<double>();
  }
  return sum;
}

TEST_CASE("a text's score counts every token but the first, once", "[evaluation][score]") {
  const Dataset dataset = tiny::verses();
  const LoadedModel model = loaded(tiny::kTransformer, dataset.spec);
  REQUIRE(model.model.can.context == 8);
  const std::string verse = tiny::kVerse;
  for (const size_t length : {2, 3, 8, 9, 10, 12, 13, 14, 17, 30, 54}) {
    INFO(length << " characters");
    const std::string text = verse.substr(0, length);
    const Score score = score_text(model, text);
    CHECK(score.kind == "exact");
    CHECK(score.tokens == static_cast<int64_t>(length) - 1);
    CHECK(score.bytes == static_cast<int64_t>(length));
    CHECK(std::abs(total(score) - brute_force(model, text)) < 1e-4);
  }
}

TEST_CASE("a text within the context is scored in one piece", "[evaluation][score]") {
  const Dataset dataset = tiny::verses();
  const LoadedModel model = loaded(tiny::kTransformer, dataset.spec);
  const std::string text = "the earth";
  const Tensor tokens = tokenizer_from_json(dataset.spec.tokenizer)->encode(text);
  REQUIRE(tokens.size(0) == model.model.can.context + 1);
  Rng unused = Rng::for_batch(0, Purpose::score, 0);
  const EvalMode eval(*model.model.module);
  const double direct = model.model.can.log_prob(tokens.unsqueeze(0), 1, unused).item<double>();
  CHECK(std::abs(total(score_text(model, text)) - direct) < 1e-4);
}

TEST_CASE("a text that cannot be scored is refused", "[evaluation][score]") {
  const Dataset dataset = tiny::verses();
  const LoadedModel model = loaded(tiny::kTransformer, dataset.spec);
  for (const char* text : {"", "t"}) {
    CHECK(contains(message_of<UsageError>([&] { score_text(model, text); }), "at least 2"));
  }
  CHECK_THROWS_AS(score_text(model, "ZEBRA"), UsageError);  // letters it never saw
  const LoadedModel flow = loaded(tiny::kFlow, tiny::points(4).spec);
  CHECK(contains(message_of<UsageError>([&] { score_text(flow, "the"); }), "not text"));
  CHECK(contains(message_of<UsageError>([&] { score_examples(model, torch::zeros({2, 8}), 1, 0); }), "takes text"));
}

TEST_CASE("an example's score does not depend on those beside it", "[evaluation][score]") {
  const Dataset pictures = tiny::images(256, 4), points = tiny::points(130);
  const Tensor pixels = tiny::pixels(130, 256, 8);  // more than one batch
  struct Case {
    const char* model;
    const DataSpec& spec;
    const Tensor& x;
  };
  for (const auto& [name, spec, x] :
       {Case{tiny::kImageVae, pictures.spec, pixels}, Case{tiny::kImageFlow, pictures.spec, pixels},
        Case{tiny::kFlow, points.spec, points.test.x}}) {
    DYNAMIC_SECTION(name << " of " << spec.dataset) {
      const LoadedModel model = loaded(name, spec);
      for (const int64_t k : {1, 3}) {
        const Tensor all = score_examples(model, x, k, 1).log_prob;
        REQUIRE(all.sizes() == at::IntArrayRef({130}));
        CHECK(all.scalar_type() == torch::kDouble);
        CHECK_THAT(score_examples(model, x.narrow(0, 0, 1), k, 1).log_prob, IsClose(all.narrow(0, 0, 1), 1e-4));
        CHECK_THAT(score_examples(model, x.narrow(0, 0, 37), k, 1).log_prob, IsClose(all.narrow(0, 0, 37), 1e-4));
        CHECK(torch::equal(score_examples(model, x, k, 1).log_prob, all));
      }
    }
  }
}

TEST_CASE("a score's kind is what its model claims for so many draws", "[evaluation][score]") {
  const LoadedModel vae = loaded(tiny::kImageVae, tiny::images(256, 1).spec);
  CHECK(score_examples(vae, tiny::pixels(2, 256), 1, 0).kind == "lower_bound");
  CHECK(score_examples(vae, tiny::pixels(2, 256), 2, 0).kind == "estimate");
  const Dataset points = tiny::points(3);
  const Score exact = score_examples(loaded(tiny::kFlow, points.spec), points.test.x, 2, 0);
  CHECK(exact.kind == "exact");
  const Json json = exact.to_json();
  CHECK(json.at("examples") == 3);
  CHECK(std::abs(json.at("nats").get<double>() + total(exact)) < 1e-9);
  // Another seed, other noise; an exact score has none.
  const Tensor x = tiny::pixels(2, 256);
  CHECK_FALSE(torch::equal(score_examples(vae, x, 1, 0).log_prob, score_examples(vae, x, 1, 1).log_prob));
}

TEST_CASE("examples that are not the model's data are refused with what is wanted", "[evaluation][score]") {
  const LoadedModel vae = loaded(tiny::kImageVae, tiny::images(256, 1).spec);
  const auto complaint = [](const LoadedModel& model, const Tensor& x) {
    return message_of<UsageError>([&] { score_examples(model, x, 1, 0); });
  };
  const std::string shape = complaint(vae, torch::zeros({2, 1, 5, 4}, torch::kByte));
  CHECK(contains(shape, "2x1x5x4"));
  CHECK(contains(shape, "(N, 1, 4, 4) uint8"));
  CHECK(contains(complaint(vae, torch::zeros({2, 1, 4, 4})), "type Float"));
  CHECK(contains(complaint(vae, torch::zeros({1, 4, 4}, torch::kByte)), "(N, 1, 4, 4)"));
  CHECK(contains(complaint(vae, torch::zeros({0, 1, 4, 4}, torch::kByte)), "no examples"));
  const LoadedModel bits = loaded(tiny::kBitVae, tiny::images(2, 1).spec);
  CHECK(contains(complaint(bits, torch::full({1, 1, 4, 4}, 255, torch::kByte)), "values up to 255"));
  const LoadedModel flow = loaded(tiny::kFlow, tiny::points(1).spec);
  CHECK(contains(complaint(flow, torch::full({1, 2}, NAN)), "not finite"));
  CHECK(contains(complaint(flow, torch::zeros({1, 2}, torch::kDouble)), "float32"));
  const LoadedModel gan =
      loaded("{gan: {latent_dim: 3, generator_width: 4, discriminator_width: 4}}", tiny::points(1).spec);
  CHECK(complaint(gan, torch::zeros({1, 2})).starts_with("gan has no likelihood: "));
  CHECK(contains(message_of<UsageError>([&] { encode_examples(gan, torch::zeros({1, 2})); }), "gan has no encoder"));
}

TEST_CASE("a flow encodes and decodes images without loss", "[evaluation][score]") {
  const LoadedModel flow = loaded(tiny::kImageFlow, tiny::images(256, 1).spec);
  const Tensor x = tiny::pixels(70, 256, 4);
  const Tensor z = encode_examples(flow, x);
  CHECK(z.sizes() == at::IntArrayRef({70, 16}));
  CHECK(torch::equal(decode_latents(flow, z), x));
  CHECK_THAT(encode_examples(flow, x.narrow(0, 0, 1)), IsClose(z.narrow(0, 0, 1), 0));
  const std::string message = message_of<UsageError>([&] { decode_latents(flow, torch::zeros({3, 15})); });
  CHECK(contains(message, "3x15"));
  CHECK(contains(message, "(N, 16) float32"));
}

TEST_CASE("an array is found by its name, or those there are are named", "[evaluation][score]") {
  const TempDir folder;
  const auto path = folder / "x.safetensors";
  write_safetensors(path, {{"x", torch::ones({2, 2})}, {"w", torch::ones({1})}});
  CHECK(torch::equal(read_array(path, "x"), torch::ones({2, 2})));
  const std::string message = message_of<UsageError>([&] { read_array(path, "z"); });
  CHECK(contains(message, "no array 'z'"));
  CHECK(contains(message, "w, x"));
  CHECK_THROWS_AS(read_array(folder / "none.safetensors", "x"), UsageError);
}

}  // namespace
}  // namespace genzoo
