#pragma once
// Into how many shards a batch is best split: faster on some models and machines, slower on others, so it is measured
// once, for the config.

#include <cstdint>
#include <span>
#include <vector>

#include "trainers/timing.h"

namespace genzoo {

/// What a step took with a number of shards.
struct ShardsTime {
  int64_t shards = 1;
  Timing rounds;  ///< seconds a step, of each round; not empty
};

/// A number of shards for a config.
struct ShardsChoice {
  int64_t shards = 1;   ///< the chosen number
  double speedup = 1;   ///< median of one shard / of the chosen number
  int64_t fastest = 1;  ///< the number with the least median; another than the chosen one if that is within the spread
};

/// The numbers to try for a batch: 1, 2, 4, ... up to the number of threads, and 2 on one thread, that divide it.
std::vector<int64_t> shards_to_try(int64_t batch_size, int64_t threads);

/// The fewest shards that no larger number beats beyond doubt: in its slowest round, the other's fastest. `times` are
/// by ascending number, one shard first.
ShardsChoice choose_shards(std::span<const ShardsTime> times);

}  // namespace genzoo
