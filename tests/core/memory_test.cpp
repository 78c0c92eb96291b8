#include "core/memory.h"

#include "tests/support.h"

namespace genzoo {
namespace {

TEST_CASE("the peak is what was held at most, since the watch began", "[core]") {
  constexpr int64_t kHundred = 100 << 20;
  if (!peak_memory()) SKIP("this system does not tell");
  start_peak_memory();
  const int64_t before = *peak_memory();
  { const torch::Tensor large = torch::ones({kHundred / 4}); }
  const int64_t with = *peak_memory();
  CHECK(with >= before + kHundred * 9 / 10);  // the kernel counts pages in lots
  CHECK(*peak_memory() >= with);              // it does not sink by itself
  start_peak_memory();
  CHECK(*peak_memory() < with - kHundred / 2);
}

}  // namespace
}  // namespace genzoo
