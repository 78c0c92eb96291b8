#pragma once
// bfloat16 autocast as a guard: products, convolutions and attention in bfloat16, parameters and losses in float32.

#include <torch/types.h>

namespace genzoo {

enum class Precision { float32, bfloat16 };
inline constexpr const char* kPrecisionNames[] = {"float32", "bfloat16"};

/// While it lives, this thread's operators on `device` run under autocast to bfloat16; nothing for float32.
class Autocast final {
 public:
  Autocast(torch::Device device, Precision precision);
  ~Autocast();
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  at::DeviceType device_;
  bool on_;
  bool was_enabled_ = false;
  at::ScalarType was_type_ = at::kBFloat16;
};

}  // namespace genzoo
