// What nearly every file of genzoo includes, parsed once. Files still include what they use: the build must also pass
// with -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON. Not torch/torch.h: loading it costs every file 3 s more. What a header's
// inline functions use of templates is instantiated again in every file, which for this one takes 2.5 s.
#pragma once

#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>
