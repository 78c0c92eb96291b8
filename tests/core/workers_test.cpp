#include "core/workers.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include <atomic>

#include "tests/support.h"

namespace genzoo {

TEST_CASE("every worker gets every task, on one thread and under the caller's modes", "[core]") {
  Workers workers(3);
  REQUIRE(workers.count() == 3);
  const int before = at::get_num_threads();
  for (int round = 0; round < 50; ++round) {
    std::vector<int> done(3), threads(3), gradients(3);
    const torch::NoGradGuard no_grad;
    workers.run([&](int worker) {
      const auto w = static_cast<size_t>(worker);
      ++done[w];
      threads[w] = at::get_num_threads();
      gradients[w] = at::GradMode::is_enabled() ? 1 : 0;
    });
    CHECK(done == std::vector<int>{1, 1, 1});
    CHECK(threads == std::vector<int>{1, 1, 1});
    CHECK(gradients == std::vector<int>{0, 0, 0});
  }
  CHECK(at::get_num_threads() == before);
}

TEST_CASE("what a worker throws reaches the caller, and the workers go on", "[core]") {
  Workers workers(2);
  for (const int thrower : {0, 1}) {
    CHECK_THROWS_WITH(workers.run([&](int worker) {
      if (worker == thrower) throw std::runtime_error("from " + std::to_string(worker));
    }),
                      "from " + std::to_string(thrower));
  }
  std::atomic<int> sum = 0;
  workers.run([&](int worker) { sum += worker + 1; });
  CHECK(sum == 3);
}

TEST_CASE("ranges cover everything once, cut at multiples", "[core]") {
  Workers three(3);
  for (Workers* workers : {static_cast<Workers*>(nullptr), &three}) {
    for (const int64_t n : {0, 1, 63, 100, 20000, 65536, 100001}) {
      std::vector<std::atomic<int>> seen(static_cast<size_t>(n));
      std::atomic<bool> aligned = true;
      for_ranges(workers, n, /*align=*/64, [&](int64_t begin, int64_t end) {
        if (begin % 64 != 0 || (end % 64 != 0 && end != n)) aligned = false;
        for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
      });
      INFO(n);
      CHECK(aligned);
      CHECK(std::all_of(seen.begin(), seen.end(), [](const std::atomic<int>& count) { return count == 1; }));
    }
  }
}

}  // namespace genzoo
