// The discriminative model: p(label | image) sums to one, learns what tells classes apart, refuses what has no labels.
#include "models/classifier/classifier.h"

#include "core/error.h"
#include "tests/support.h"
#include "trainers/optimizer.h"

namespace genzoo {
namespace {

DataSpec labelled(std::vector<int64_t> shape = {1, 8, 8}, int64_t classes = 3) {
  DataSpec spec;
  spec.dataset = "labelled";
  spec.kind = DataKind::images;
  spec.shape = std::move(shape);
  spec.levels = 256;
  spec.classes = classes;
  return spec;
}

ClassifierConfig small() { return {.channels = {4, 8}, .feature_dim = 6, .dropout = 0.0}; }

/// Images whose class is the third of the rows that is bright, under noise.
Batch stripes(int64_t n, uint64_t index) {
  Rng rng = Rng::for_batch(3, Purpose::synthetic_data, index);
  Tensor x = rng.integers(100, {n, 1, 9, 9}).to(torch::kByte);
  const Tensor y = rng.integers(3, {n});
  for (int64_t i = 0; i < n; ++i) x[i].narrow(1, 3 * y[i].item<int64_t>(), 3).add_(100);
  return {x, y};
}

TEST_CASE("class logits and features have the promised sizes, for any side and color", "[models][classifier]") {
  for (const auto& shape : std::vector<std::vector<int64_t>>{{1, 8, 8}, {3, 7, 9}, {1, 4, 4}}) {
    Rng init = Rng::for_batch(0, Purpose::initialization, 0);
    Classifier model(small(), labelled(shape, 5), init);
    model->eval();
    Rng rng = Rng::for_batch(1, Purpose::synthetic_data, 0);
    const Tensor x = rng.integers(256, {4, shape[0], shape[1], shape[2]}).to(torch::kByte);
    CHECK(model->class_logits(x).sizes() == at::IntArrayRef({4, 5}));
    const Tensor features = model->features(x);
    CHECK(features.sizes() == at::IntArrayRef({4, 6}));
    CHECK((features >= 0).all().item<bool>());
    // Rows are independent, but for rounding.
    CHECK(torch::allclose(model->features(x.slice(0, 1, 3)), model->features(x).slice(0, 1, 3), 1e-4, 1e-5));
  }
}

TEST_CASE("untrained, the loss is near the log of the number of classes", "[models][classifier][law]") {
  Rng init = Rng::for_batch(0, Purpose::initialization, 0);
  Classifier model(small(), labelled({1, 9, 9}), init);
  Rng rng = Rng::for_batch(0, Purpose::loss, 0);
  const Loss loss = model->loss(stripes(64, 0), rng, 0);
  CHECK(std::abs(loss.total.item<double>() - std::log(3.0)) < 0.5);
}

TEST_CASE("it learns what tells classes apart, and says how many labels are wrong", "[models][classifier]") {
  Rng init = Rng::for_batch(0, Purpose::initialization, 0);
  Classifier model(small(), labelled({1, 9, 9}), init);
  Optimizer optimizer(*model, AdamConfig{.lr = 1e-2});
  for (uint64_t t = 0; t < 60; ++t) {
    optimizer.parameters().zero_gradients();
    Rng rng = Rng::for_batch(0, Purpose::loss, t);
    model->loss(stripes(32, t), rng, static_cast<int64_t>(t)).total.backward();
    optimizer.step(1e-2);
  }
  model->eval();
  const Batch test = stripes(200, 1000);
  Rng rng = Rng::for_batch(0, Purpose::validation, 0);
  const Loss loss = model->loss(test, rng, kAfterTraining);
  const Tensor wrong = (model->class_logits(test.x).argmax(1) != test.y).to(torch::kFloat).mean();
  CHECK(loss.terms.at("error_rate").item<double>() == wrong.item<double>());
  CHECK(wrong.item<double>() < 0.05);
  CHECK(loss.total.item<double>() < 0.3);
}

TEST_CASE("a classifier needs labelled images that are large enough", "[models][classifier]") {
  const auto refused = [](const DataSpec& data) {
    Rng init = Rng::for_batch(0, Purpose::initialization, 0);
    try {
      Classifier(small(), data, init);
    } catch (const UsageError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(refused(labelled()).empty());
  DataSpec vectors;
  vectors.shape = {2};
  for (const DataSpec& data : {labelled({1, 8, 8}, 0), labelled({1, 8, 8}, 1), vectors}) {
    CHECK(refused(data).find("wanted images with labels") != std::string::npos);
  }
  CHECK(refused(labelled({1, 3, 8})).find("too small") != std::string::npos);
}

}  // namespace
}  // namespace genzoo
