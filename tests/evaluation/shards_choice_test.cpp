#include "evaluation/shards_choice.h"

#include "tests/support.h"

namespace genzoo {
namespace {

using Numbers = std::vector<int64_t>;

}  // namespace

TEST_CASE("the numbers of shards to try are the powers of two that divide the batch, up to the threads",
          "[evaluation][benchmark]") {
  CHECK(shards_to_try(128, 4) == Numbers{1, 2, 4});
  CHECK(shards_to_try(128, 7) == Numbers{1, 2, 4});
  CHECK(shards_to_try(128, 1) == Numbers{1, 2});
  CHECK(shards_to_try(12, 64) == Numbers{1, 2, 4});
  CHECK(shards_to_try(2, 8) == Numbers{1, 2});
  CHECK(shards_to_try(15, 8) == Numbers{1});
}

TEST_CASE("more shards are chosen when their slowest round beats the fastest of fewer", "[evaluation][benchmark]") {
  const std::vector<ShardsTime> faster{{1, {{10.0, 12.0, 11.0}}}, {2, {{6.0, 5.0, 5.5}}}};
  const ShardsChoice two = choose_shards(faster);
  CHECK(two.shards == 2);
  CHECK(two.fastest == 2);
  CHECK(two.speedup == Approx(2.0));

  const std::vector<ShardsTime> slower{{1, {{10.0, 12.0, 11.0}}}, {2, {{13.0, 14.0, 13.5}}}};
  const ShardsChoice one = choose_shards(slower);
  CHECK(one.shards == 1);
  CHECK(one.fastest == 1);
  CHECK(one.speedup == Approx(1.0));
}

TEST_CASE("a difference within the spread chooses the fewer shards", "[evaluation][benchmark]") {
  const ShardsChoice one = choose_shards(std::vector<ShardsTime>{{1, {{10.0, 10.5, 10.2}}}, {2, {{9.0, 9.1, 10.1}}}});
  CHECK(one.shards == 1);
  CHECK(one.fastest == 2);
  CHECK(one.speedup == Approx(1.0));

  // 4 are no better than 2 beyond doubt, 8 are.
  std::vector<ShardsTime> times{{1, {{10.0, 10.1}}}, {2, {{6.0, 6.1}}}, {4, {{5.0, 6.05}}}};
  CHECK(choose_shards(times).shards == 2);
  CHECK(choose_shards(times).fastest == 4);
  times.push_back({8, {{4.0, 4.1}}});
  CHECK(choose_shards(times).shards == 8);
}

TEST_CASE("the median of rounds is the middle one, or the mean of the middle two", "[evaluation][benchmark]") {
  CHECK(ShardsTime{1, {{3.0, 1.0, 9.0}}}.rounds.median() == 3.0);
  CHECK(ShardsTime{1, {{3.0, 1.0, 9.0, 4.0}}}.rounds.median() == 3.5);
  CHECK(ShardsTime{1, {{3.0, 1.0, 9.0}}}.rounds.min() == 1.0);
  CHECK(ShardsTime{1, {{3.0, 1.0, 9.0}}}.rounds.max() == 9.0);
}

}  // namespace genzoo
