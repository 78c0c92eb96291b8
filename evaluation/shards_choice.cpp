#include "evaluation/shards_choice.h"

#include <algorithm>

namespace genzoo {

double ShardsTime::median() const {
  std::vector<double> sorted = seconds;
  std::ranges::sort(sorted);
  const size_t half = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

double ShardsTime::min() const { return *std::ranges::min_element(seconds); }
double ShardsTime::max() const { return *std::ranges::max_element(seconds); }

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
    if (time.max() < chosen->min()) chosen = &time;
  }
  const auto fastest = std::ranges::min_element(times, {}, &ShardsTime::median);
  return {chosen->shards, times.front().median() / chosen->median(), fastest->shards};
}

}  // namespace genzoo
