#pragma once
// Safetensors files whose data are read when they are looked at, and not before.

#include <filesystem>

#include "core/safetensors.h"

namespace genzoo {

/// As read_safetensors, but the tensors lie in the file: nothing of them is read until they are used, several processes
/// share the memory, and they must not be written to. A checksum is not verified. Throws UsageError if the file is
/// missing, RunError with one line if its header is damaged or does not fit its size. A file that becomes shorter while
/// it is used ends the program.
TensorFile map_safetensors(const std::filesystem::path& path);

}  // namespace genzoo
