#pragma once
// The randomness of data that are made, not read: a function of the config's own seed, never of the experiment's.

#include "core/random.h"
#include "data/dataset.h"

namespace genzoo {

/// The stream of piece `piece` of a split. Each split has its own, so the size of one does not change another.
inline Rng synthetic_stream(int64_t data_seed, Split split, int64_t piece = 0) {
  return Rng::for_batch(static_cast<uint64_t>(data_seed), Purpose::synthetic_data, static_cast<uint64_t>(piece),
                        static_cast<uint64_t>(split));
}

inline constexpr Range kSplitSize{1, 1e8, false, false, "in [1, 1e8]"};
inline constexpr const char* kDataSeedDoc = "seed of the data themselves, apart from the experiment's";

}  // namespace genzoo
