#include "trainers/samples.h"

#include "core/error.h"
#include "models/registry.h"
#include "tests/support.h"
#include "tests/trainers/tiny_experiment.h"

namespace genzoo {
namespace {

using tiny::contains;
using tiny::experiment;
using tiny::message_of;

DataSpec images(int64_t size) {
  DataSpec spec;
  spec.kind = DataKind::images;
  spec.dataset = "test";
  spec.shape = {1, size, size};
  spec.levels = 256;
  return spec;
}

TEST_CASE("the way between two latents stays as far out as they are, also between opposite ones", "[trainers]") {
  // In one dimension every pair has the same direction or the opposite one, and spans no circle.
  for (const int64_t latent_dim : {1, 16}) {
    const auto config = experiment(
        fmt::format("{{vae: {{latent_dim: {}, network: {{mlp: {{hidden: [8]}}}}, likelihood: gaussian}}}}", latent_dim),
        tiny::kPoints);
    const Dataset dataset = open_dataset(config.data, {});
    AnyModel model = make_model(config.model, dataset.spec, 0);
    model.can.decode = [](const Tensor& z) { return z; };  // so that the way itself is seen
    const int64_t n = 20, steps = 5;
    const Tensor way = interpolate_latents(model, n, steps, 1, torch::kCPU).view({n, steps, latent_dim});
    const Tensor length = way.norm(2, /*dim=*/2);
    const Tensor longer = at::maximum(length.select(1, 0), length.select(1, steps - 1));
    INFO("dimensions " << latent_dim);
    CHECK((length <= longer.unsqueeze(1) * 1.5).all().item<bool>());
    CHECK(at::isfinite(way).all().item<bool>());
    if (latent_dim > 1) {  // on a circle, no point comes much nearer to the origin than the ends are
      const Tensor shorter = at::minimum(length.select(1, 0), length.select(1, steps - 1));
      CHECK((length > shorter.unsqueeze(1) * 0.6).all().item<bool>());
    }
  }
}

TEST_CASE("a picture is never wider than its images, and shrinks before it grows too tall", "[trainers]") {
  const Tensor few = picture_of(torch::zeros({3, 1, 8, 8}, torch::kByte), images(8), 100);
  CHECK(few.size(2) > 3 * 8);
  CHECK(few.size(2) / few.size(1) <= 4);  // three in a row, not a hundred
  const Tensor tall = picture_of(torch::zeros({3000, 1, 8, 8}, torch::kByte), images(8), 1);
  CHECK(tall.size(1) <= 65'500);
  CHECK(tall.size(1) >= 3000 * 8);
}

TEST_CASE("what cannot be shown or held is refused before it is drawn", "[trainers]") {
  require_picture(64, images(28), 8);
  CHECK(contains(message_of<UsageError>([] { require_picture(10'000, images(28), 1); }), "10000 images, 1 a row"));
  require_room(10'000, images(28));
  CHECK(contains(message_of<UsageError>([] { require_room(1'000'000'000'000, images(28)); }), "at most"));
}

}  // namespace
}  // namespace genzoo
