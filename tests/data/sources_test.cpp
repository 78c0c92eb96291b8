#include <algorithm>

#include "core/error.h"
#include "data/dataset.h"
#include "data/images.h"
#include "data/text.h"
#include "tests/support.h"

namespace genzoo {
namespace {

// Vectors (N, 1) that hold their own number, labelled with twice that.
Dataset numbered(int64_t count) {
  Dataset set;
  set.spec.dataset = "numbered";
  set.spec.shape = {1};
  set.train.x = torch::arange(count, torch::kFloat).unsqueeze(1);
  set.train.y = 2 * torch::arange(count, torch::kLong);
  set.validation = set.train;
  return set;
}

// A text of tokens 0, 1, 2, ...; 200 for training, 100 to 130 for validation.
Dataset counting_text() {
  Dataset set;
  set.spec.dataset = "counting";
  set.spec.kind = DataKind::tokens;
  set.spec.vocabulary = 200;
  set.train.x = torch::arange(200, torch::kByte);
  set.validation.x = torch::arange(100, 131, torch::kByte);
  return set;
}

bool same(const Batch& a, const Batch& b) {
  return torch::equal(a.x, b.x) && a.y.defined() == b.y.defined() && (!a.y.defined() || torch::equal(a.y, b.y));
}

}  // namespace

TEST_CASE("a training batch is a pure function of seed and index", "[data]") {
  const Dataset image_set = [] {
    ImageOptions options;
    options.validation = 10;
    options.binarize = Binarize::dynamic;
    const Tensor x = torch::arange(60 * 16, torch::kLong).remainder(256).to(torch::kByte).view({60, 1, 4, 4});
    return make_image_dataset("bits", {x, {}}, {}, 0, options);
  }();
  for (const auto& [name, set] :
       {std::pair("vectors", numbered(50)), std::pair("images", image_set), std::pair("text", counting_text())}) {
    DYNAMIC_SECTION(name) {
      const TrainingSource source(set, 16, /*context=*/8, /*seed=*/3, torch::kCPU);
      std::vector<Batch> forwards;
      for (int64_t i = 0; i < 12; ++i) forwards.push_back(source.batch(i));
      const TrainingSource again(set, 16, 8, 3, torch::kCPU);
      const TrainingSource other(set, 16, 8, 4, torch::kCPU);
      for (int64_t i = 11; i >= 0; --i) {
        CHECK(same(again.batch(i), forwards[i]));
        CHECK(same(source.batch(i), forwards[i]));
        CHECK_FALSE(same(other.batch(i), forwards[i]));
        CHECK(forwards[i].size() == 16);
        if (i > 0) CHECK_FALSE(same(forwards[i], forwards[i - 1]));
      }
    }
  }
}

TEST_CASE("every epoch is a permutation of the examples, another each time, cut into batches", "[data]") {
  // 50 examples in batches of 16: batches lie across the ends of epochs; in batches of 120, over several.
  for (const int64_t batch_size : {16, 120}) {
    const TrainingSource source(numbered(50), batch_size, 0, 7, torch::kCPU);
    std::vector<Tensor> rows;
    for (int64_t i = 0; i * batch_size < 500; ++i) {
      const Batch batch = source.batch(i);
      CHECK(torch::equal(batch.y, 2 * batch.x.squeeze(1).to(torch::kLong)));
      rows.push_back(batch.x.squeeze(1));
    }
    const auto epochs = torch::cat(rows).slice(0, 0, 500).view({10, 50});
    for (int64_t e = 0; e < 10; ++e) {
      CHECK(torch::equal(std::get<0>(epochs[e].sort()), torch::arange(50, torch::kFloat)));
      for (int64_t before = 0; before < e; ++before) CHECK_FALSE(torch::equal(epochs[e], epochs[before]));
    }
  }
}

TEST_CASE("dynamic binarization draws anew in every batch, with the brightness as probability", "[data]") {
  ImageOptions options;
  options.validation = 1;
  options.binarize = Binarize::dynamic;
  const Tensor x = torch::full({401, 1, 10, 10}, 51, torch::kByte);  // 51 / 255 = 1/5
  const TrainingSource source(make_image_dataset("grey", {x, {}}, {}, 0, options), 400, 0, 0, torch::kCPU);
  const Tensor first = source.batch(0).x, second = source.batch(1).x;
  CHECK(first.scalar_type() == torch::kByte);
  CHECK(first.max().item<int64_t>() == 1);
  CHECK(std::abs(first.to(torch::kDouble).mean().item<double>() - 0.2) < 5 * 0.4 / 200);
  // Equal with probability 0.2^2 + 0.8^2 = 0.68.
  CHECK(std::abs(first.eq(second).to(torch::kDouble).mean().item<double>() - 0.68) < 5 * 0.47 / 200);
}

TEST_CASE("training windows of text lie at uniform places and predict the next token", "[data]") {
  const TrainingSource source(counting_text(), 500, /*context=*/8, 0, torch::kCPU);
  std::vector<int64_t> starts(192, 0);
  for (int64_t i = 0; i < 40; ++i) {
    const Batch batch = source.batch(i);
    REQUIRE(batch.x.sizes() == torch::IntArrayRef({500, 8}));
    CHECK(batch.x.scalar_type() == torch::kLong);
    CHECK(torch::equal(batch.y, batch.x + 1));
    CHECK(torch::equal(batch.x, batch.x.slice(1, 0, 1) + torch::arange(8, torch::kLong)));
    for (int64_t r = 0; r < 500; ++r) ++starts.at(static_cast<size_t>(batch.x[r][0].item<int64_t>()));
  }
  // 20,000 draws of 192 places, the first and last included: mean 104, standard deviation 10.2.
  CHECK(*std::min_element(starts.begin(), starts.end()) > 104 - 5 * 10.2);
  CHECK(*std::max_element(starts.begin(), starts.end()) < 104 + 5 * 10.2);
}

TEST_CASE("a text shorter than a window is a mistake of the user", "[data]") {
  Dataset set = counting_text();
  CHECK_NOTHROW(TrainingSource(set, 4, 199, 0, torch::kCPU).batch(0));
  CHECK_THROWS_AS(TrainingSource(set, 4, 200, 0, torch::kCPU), UsageError);
  CHECK_THROWS_WITH(TrainingSource(set, 4, 200, 0, torch::kCPU),
                    Catch::Matchers::Contains("its train text has 200 tokens, wanted at least 201"));
  CHECK_THROWS_AS(EvaluationSource(set, Split::validation, 4, 31, 0, torch::kCPU), UsageError);
  CHECK_THROWS_WITH(EvaluationSource(set, Split::test, 4, 8, 0, torch::kCPU),
                    Catch::Matchers::Contains("has no test split"));
}

TEST_CASE("a split is read in its own order, whole or its beginning", "[data]") {
  const Dataset set = numbered(50);
  for (const int64_t limit : {0, 33, 100}) {
    const EvaluationSource source(set, Split::validation, 16, 0, limit, torch::kCPU);
    const int64_t expected = limit == 33 ? 33 : 50;
    CHECK(source.examples() == expected);
    CHECK(source.batches() == (limit == 33 ? 3 : 4));
    std::vector<Tensor> rows;
    for (int64_t i = 0; i < source.batches(); ++i) {
      CHECK(source.first_row(i) == 16 * i);
      rows.push_back(source.batch(i).x);
    }
    CHECK(torch::equal(torch::cat(rows).squeeze(1), torch::arange(expected, torch::kFloat)));
  }
}

TEST_CASE("evaluation windows of text follow one another, and each token but the first is predicted once", "[data]") {
  // 31 tokens, context 8: windows 100 ... 107, 108 ... 115, 116 ... 123; the fourth, incomplete, is left out.
  const EvaluationSource source(counting_text(), Split::validation, 2, 8, 0, torch::kCPU);
  CHECK(source.examples() == 3);
  REQUIRE(source.batches() == 2);
  const Tensor x = torch::cat({source.batch(0).x, source.batch(1).x}),
               y = torch::cat({source.batch(0).y, source.batch(1).y});
  CHECK(torch::equal(x, torch::arange(100, 124, torch::kLong).view({3, 8})));
  CHECK(torch::equal(y, torch::arange(101, 125, torch::kLong).view({3, 8})));
  CHECK(EvaluationSource(counting_text(), Split::validation, 2, 8, 2, torch::kCPU).examples() == 2);
  // 25 tokens are three windows exactly; of 24 the third has no last token to predict.
  Dataset exact = counting_text();
  exact.validation.x = exact.validation.x.slice(0, 0, 25);
  CHECK(EvaluationSource(exact, Split::validation, 2, 8, 0, torch::kCPU).examples() == 3);
  exact.validation.x = exact.validation.x.slice(0, 0, 24);
  CHECK(EvaluationSource(exact, Split::validation, 2, 8, 0, torch::kCPU).examples() == 2);
}

TEST_CASE("training images looked at in order have their fixed bits, as many levels as the spec says", "[data]") {
  ImageOptions options;
  options.validation = 2;
  options.binarize = Binarize::dynamic;
  const Tensor x = torch::full({12, 1, 4, 4}, 128, torch::kByte);
  const Dataset set = make_image_dataset("grey", {x, {}}, {}, 0, options);
  const EvaluationSource source(set, Split::train, 6, 0, 6, torch::kCPU);
  CHECK(source.batch(0).x.max().item<int64_t>() == 1);
  CHECK(torch::equal(source.batch(0).x, binarize_once(set.train.x, Split::train).slice(0, 0, 6)));
}

}  // namespace genzoo
