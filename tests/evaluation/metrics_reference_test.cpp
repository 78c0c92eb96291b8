// Sample metrics of two small sets of features, against numpy and scipy (tests/reference/sample_metrics.py).
#include <cmath>

#include "core/safetensors.h"
#include "evaluation/frechet.h"
#include "evaluation/kernel_distance.h"
#include "evaluation/manifold.h"
#include "tests/support.h"

namespace genzoo {

TEST_CASE("sample metrics are those of numpy and scipy", "[evaluation][reference]") {
  const NamedTensors file = read_safetensors(GENZOO_SOURCE_DIR "/tests/reference/sample_metrics.safetensors").tensors;
  const Tensor real = file.at("real"), generated = file.at("generated");
  const auto expected = [&](const char* name) { return Approx(file.at(name).item<double>()).epsilon(1e-6).margin(0); };

  const auto of_real = GaussianMoments::of(real), of_generated = GaussianMoments::of(generated);
  CHECK_THAT(of_real.mean, IsClose(file.at("mean"), 1e-12));
  CHECK_THAT(of_real.covariance, IsClose(file.at("covariance"), 1e-12));
  CHECK_THAT(of_real.log_density(generated), IsClose(file.at("log_density"), 1e-9));
  CHECK(frechet_distance(of_real, of_generated) == expected("frechet"));

  CHECK(kernel_distance(real, generated).squared == expected("kernel"));
  const auto few = file.at("few");
  const auto rows = [&](const Tensor& x, int64_t count) {
    return x.narrow(/*dim=*/0, few[2].item<int64_t>(), few[count].item<int64_t>());
  };
  const KernelDistance of_few = kernel_distance(rows(real, 0), rows(generated, 1));
  CHECK(of_few.squared == expected("kernel_few"));
  CHECK(of_few.standard_error == expected("kernel_few_error"));

  const ManifoldMetrics metrics = manifold_metrics(real, generated);
  CHECK(metrics.precision == expected("precision"));
  CHECK(metrics.recall == expected("recall"));
  CHECK(metrics.density == expected("density"));
  CHECK(metrics.coverage == expected("coverage"));
}

}  // namespace genzoo
