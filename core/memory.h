#pragma once
// How much memory the process holds.

#include <cstdint>
#include <optional>

namespace genzoo {

/// Hands free memory back to the system and begins to watch for the largest amount held from now on.
void start_peak_memory();

/// Bytes of main memory held at most since then, or since the process began; nothing where the system does not tell.
std::optional<int64_t> peak_memory();

}  // namespace genzoo
