#include "evaluation/shards_choice.h"

#include <algorithm>

namespace genzoo {

std::vector<int64_t> shards_to_try(int64_t batch_size, int64_t threads) {
  std::vector<int64_t> numbers;
  for (int64_t shards = 1; shards <= std::max<int64_t>(2, threads) && batch_size % shards == 0; shards *= 2) {
    numbers.push_back(shards);
  }
  return numbers;
}

ShardsChoice choose_shards(std::span<const ShardsTime> times) {
  const ShardsTime* chosen = &times.front();
  for (const ShardsTime& time : times) {
    if (time.rounds.max() < chosen->rounds.min()) chosen = &time;
  }
  const auto fastest = std::ranges::min_element(times, {}, [](const ShardsTime& time) { return time.rounds.median(); });
  return {chosen->shards, times.front().rounds.median() / chosen->rounds.median(), fastest->shards};
}

}  // namespace genzoo
