#include "core/process.h"

#include "tests/support.h"

namespace genzoo {

TEST_CASE("the clocks of process and machine run forward", "[core]") {
  const double start = seconds_since_process_start();
  CHECK(start > 0);
  CHECK(start < 7200);
  const CpuSeconds before = cpu_seconds();
  torch::Tensor x = torch::ones({300, 300});
  for (int i = 0; i < 100; ++i) x = x.mm(x).clamp(0, 1);
  const CpuSeconds after = cpu_seconds();
  CHECK(after.own > before.own);
  CHECK(after.capacity >= before.capacity);
  CHECK(share_of_others(before, after) >= 0);
  CHECK(share_of_others({0, 0, 0}, {10, 6, 4}) == Approx(0.2));
  CHECK(share_of_others({0, 0, 0}, {0, 0, 0}) == 0);
  CHECK(seconds_since_process_start() >= start);
}

}  // namespace genzoo
