#include "models/pixels.h"

#include "core/random.h"
#include "tests/support.h"

namespace genzoo {

TEST_CASE("scaled pixels are those of LibTorch's operators, to the bit and in the same places", "[models][pixels]") {
  Rng rng = Rng::for_batch(1, Purpose::synthetic_data, 0);
  const Tensor all = torch::arange(256).to(torch::kByte).view({4, 4, 4, 4});
  const Tensor many = rng.integers(256, {9, 3, 28, 29}).to(torch::kByte);
  for (const Tensor& x : {all, many, many.narrow(0, 2, 5), many.contiguous(at::MemoryFormat::ChannelsLast),
                          many.narrow(2, 1, 7), many.flatten().narrow(0, 3, 17), many.narrow(0, 0, 0)}) {
    INFO(x.sizes() << ", strides " << x.strides());
    for (const auto& [divisor, shift] : {std::pair{255.0, 0.0}, std::pair{127.5, -1.0}, std::pair{1.0, 0.0}}) {
      const Tensor plain = x.to(torch::kFloat) / divisor + shift;
      const Tensor got = scaled_pixels(x, divisor, shift, torch::kFloat);
      CHECK(torch::equal(got, plain));
      CHECK(got.strides() == x.to(torch::kFloat).strides());
      CHECK_THAT(scaled_pixels(x, divisor, shift, torch::kDouble), IsClose(plain, 1e-6));
    }
    CHECK(torch::equal(scaled_pixels(x.to(torch::kFloat), 255, 0, torch::kFloat), x / 255.0));
  }
}

}  // namespace genzoo
