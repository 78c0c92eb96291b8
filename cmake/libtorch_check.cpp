// Built and run at configure time (cmake/CheckLibTorch.cmake). Light headers keep it at a few seconds.
#include <ATen/Version.h>     // std::string out of libtorch_cpu
#include <c10/core/Device.h>  // std::string into libc10

#include <cstdio>
#include <string>
#if defined(GENZOO_CUDA)
#include <c10/cuda/CUDAFunctions.h>  // needs CUDA's headers and libc10_cuda
#endif

int main() {
  const c10::Device device(std::string("cpu"));
#if defined(GENZOO_CUDA)
  // Zero devices are fine: a machine may build for another.
  std::printf("%d CUDA devices\n", static_cast<int>(c10::cuda::device_count()));
#endif
  std::printf("%s\n", at::get_cpu_capability().c_str());
  return device.is_cpu() ? 0 : 1;
}
