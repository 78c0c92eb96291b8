// The only file that includes Catch2. Torch comes first: c10 defines CHECK as well, and included second it would
// silently take its place, so that tests passed without asserting anything.
#pragma once

#include <torch/autograd.h>
#include <torch/nn/module.h>
#include <torch/types.h>
#include <torch/utils.h>
#undef CHECK
#if __has_include(<catch2/catch_all.hpp>)  // Catch2 3
#include <catch2/catch_all.hpp>
using Catch::Approx;
using Catch::Matchers::MatcherBase;
namespace Catch::Matchers {  // for strings, as in version 2
inline auto Contains(const char* text) { return ContainsSubstring(text); }
inline auto Contains(const std::string& text) { return ContainsSubstring(text); }
inline auto Contains(std::string&& text) { return ContainsSubstring(text); }
}  // namespace Catch::Matchers
#else  // Catch2 2.13
#include <catch2/catch.hpp>
using Catch::MatcherBase;
/// Ends the test case, which counts as passed, with the reason in the log.
#define SKIP(why)             \
  do {                        \
    WARN("skipped: " << why); \
    SUCCEED();                \
    return;                   \
  } while (0)
#endif

#include <stdlib.h>  // mkdtemp

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

namespace genzoo {

/// Matches a tensor of the same size whose elements are all within `atol` of the expected ones; compared in double, so
/// of any two types. NaN is close to nothing.
class IsClose final : public MatcherBase<torch::Tensor> {
 public:
  explicit IsClose(torch::Tensor expected, double atol = 1e-5) : expected_(std::move(expected)), atol_(atol) {}

  bool match(const torch::Tensor& t) const override {
    torch::NoGradGuard no_grad;
    same_size_ = t.sizes() == expected_.sizes();
    if (!same_size_) return false;
    if (t.numel() == 0) return true;
    const auto difference = t.to(torch::kCPU, torch::kDouble) - expected_.to(torch::kCPU, torch::kDouble);
    worst_ = difference.abs().max().item<double>();
    return worst_ <= atol_;
  }

  std::string describe() const override {
    if (!same_size_) return c10::str("has size ", expected_.sizes());
    return c10::str("is within ", atol_, " of a ", expected_.sizes(), " tensor; the worst element is off by ", worst_);
  }

 private:
  torch::Tensor expected_;
  double atol_;
  mutable bool same_size_ = true;
  mutable double worst_ = 0;
};

/// Compares the gradient of f at x with a difference quotient, along random directions of input and output. Returns the
/// relative difference: about 1e-6 when they agree. f is evaluated in double precision and must be deterministic.
inline double gradient_error(const std::function<at::Tensor(at::Tensor)>& f, at::Tensor x, at::Generator generator,
                             double h = 1e-6) {
  x = x.to(at::kDouble).detach().clone().requires_grad_();
  const auto y = f(x);
  const auto w = at::randn(y.sizes(), generator, x.options());
  const auto d = at::randn(x.sizes(), generator, x.options());
  const auto g = torch::autograd::grad({(y * w).sum()}, {x})[0];
  torch::NoGradGuard no_grad;
  const auto slope = ((f(x + h * d) - f(x - h * d)) * w).sum() / (2 * h);
  return ((g * d).sum() - slope).abs().item<double>() / (1 + slope.abs().item<double>());
}

/// A new empty folder, removed with all it holds at the end of its scope.
class TempDir final {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "genzoo-test-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::system_error(errno, std::generic_category(), name);
    path_ = name;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// The folder of a data set, $GENZOO_DATA/<name>; nothing if it is not there, and then the test should SKIP.
inline std::optional<std::filesystem::path> data_dir(const std::string& name) {
  const char* root = std::getenv("GENZOO_DATA");
  if (!root || !*root) return std::nullopt;
  const auto folder = std::filesystem::path(root) / name;
  if (!std::filesystem::is_directory(folder)) return std::nullopt;
  return folder;
}

}  // namespace genzoo

/// What a failed assertion prints of a tensor: small ones whole, of large ones what tells them apart.
template <>
struct Catch::StringMaker<torch::Tensor> {
  static std::string convert(const torch::Tensor& t) {
    if (!t.defined()) return "undefined tensor";
    if (t.numel() <= 64) return c10::str(t);
    const auto values = t.detach().to(torch::kCPU, torch::kDouble);
    return c10::str(t.dtype(), " tensor ", t.sizes(), ", mean ", values.mean().item<double>(), ", from ",
                    values.min().item<double>(), " to ", values.max().item<double>());
  }
};
