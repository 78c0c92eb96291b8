#pragma once

#include <string>

namespace genzoo {

std::string program_version();    ///< "0.1.0"
std::string git_commit();         ///< of the source it was built from, or "unknown"
std::string libtorch_version();   ///< "2.15.0"
std::string build_description();  ///< "CPU" or "CUDA 13.0", capability of the CPU chosen by LibTorch

}  // namespace genzoo
