#include "evaluation/inception.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/utils.h>

#include <algorithm>
#include <memory>

#include "core/error.h"
#include "core/safetensors.h"
#include "evaluation/likelihood.h"
#include "trainers/named_state.h"

namespace genzoo {
namespace {

// --- The network, as a table ---

/// A convolution without bias, batch normalization, and a rectifier.
struct Convolution {
  std::string name;
  int64_t channels = 0;           ///< that come out
  int64_t height = 1, width = 1;  ///< of the kernel
  int64_t stride = 1;
  bool padded = true;  ///< with zeros around, so that the size stays
};

enum class Pool { none, average, maximum, halving_maximum };  ///< over 3 x 3 pixels; of stride 1 but for the last

/// One way through a block: a pool, convolutions one after the other, and then perhaps two side by side, whose outputs
/// are joined.
struct Branch {
  Pool pool = Pool::none;
  std::vector<Convolution> chain = {};
  std::vector<Convolution> fork = {};
};

/// Branches that see the same input and whose outputs are joined channel by channel.
struct Block {
  std::string prefix;  ///< of its convolutions' names
  std::vector<Branch> branches;
};

Convolution point(const char* name, int64_t channels) { return {name, channels}; }
Convolution square(const char* name, int64_t channels, int64_t size) { return {name, channels, size, size}; }
Convolution row(const char* name, int64_t channels, int64_t size) { return {name, channels, 1, size}; }
Convolution column(const char* name, int64_t channels, int64_t size) { return {name, channels, size, 1}; }
Convolution inner(const char* name, int64_t channels) { return {name, channels, 3, 3, 1, /*padded=*/false}; }
Convolution halving(const char* name, int64_t channels) { return {name, channels, 3, 3, 2, /*padded=*/false}; }

/// 35 x 35 pixels: kernels of three scales. The letters of the blocks are torchvision's.
std::vector<Branch> block_a(int64_t pooled) {
  return {{.chain = {point("branch1x1", 64)}},
          {.chain = {point("branch5x5_1", 48), square("branch5x5_2", 64, 5)}},
          {.chain = {point("branch3x3dbl_1", 64), square("branch3x3dbl_2", 96, 3), square("branch3x3dbl_3", 96, 3)}},
          {.pool = Pool::average, .chain = {point("branch_pool", pooled)}}};
}

/// From 35 x 35 to 17 x 17.
std::vector<Branch> block_b() {
  return {{.chain = {halving("branch3x3", 384)}},
          {.chain = {point("branch3x3dbl_1", 64), square("branch3x3dbl_2", 96, 3), halving("branch3x3dbl_3", 96)}},
          {.pool = Pool::halving_maximum}};
}

/// 17 x 17 pixels: kernels of 7 x 7 as a row and a column, c channels between them.
std::vector<Branch> block_c(int64_t c) {
  return {{.chain = {point("branch1x1", 192)}},
          {.chain = {point("branch7x7_1", c), row("branch7x7_2", c, 7), column("branch7x7_3", 192, 7)}},
          {.chain = {point("branch7x7dbl_1", c), column("branch7x7dbl_2", c, 7), row("branch7x7dbl_3", c, 7),
                     column("branch7x7dbl_4", c, 7), row("branch7x7dbl_5", 192, 7)}},
          {.pool = Pool::average, .chain = {point("branch_pool", 192)}}};
}

/// From 17 x 17 to 8 x 8.
std::vector<Branch> block_d() {
  return {{.chain = {point("branch3x3_1", 192), halving("branch3x3_2", 320)}},
          {.chain = {point("branch7x7x3_1", 192), row("branch7x7x3_2", 192, 7), column("branch7x7x3_3", 192, 7),
                     halving("branch7x7x3_4", 192)}},
          {.pool = Pool::halving_maximum}};
}

/// 8 x 8 pixels: a row and a column of 3 side by side.
std::vector<Branch> block_e(Pool pool) {
  return {{.chain = {point("branch1x1", 320)}},
          {.chain = {point("branch3x3_1", 384)}, .fork = {row("branch3x3_2a", 384, 3), column("branch3x3_2b", 384, 3)}},
          {.chain = {point("branch3x3dbl_1", 448), square("branch3x3dbl_2", 384, 3)},
           .fork = {row("branch3x3dbl_3a", 384, 3), column("branch3x3dbl_3b", 384, 3)}},
          {.pool = pool, .chain = {point("branch_pool", 192)}}};
}

std::vector<Block> inception_blocks() {
  return {{"", {{.chain = {halving("Conv2d_1a_3x3", 32), inner("Conv2d_2a_3x3", 32), square("Conv2d_2b_3x3", 64, 3)}}}},
          {"", {{.pool = Pool::halving_maximum, .chain = {point("Conv2d_3b_1x1", 80), inner("Conv2d_4a_3x3", 192)}}}},
          {"", {{.pool = Pool::halving_maximum}}},
          {"Mixed_5b.", block_a(32)},
          {"Mixed_5c.", block_a(64)},
          {"Mixed_5d.", block_a(64)},
          {"Mixed_6a.", block_b()},
          {"Mixed_6b.", block_c(128)},
          {"Mixed_6c.", block_c(160)},
          {"Mixed_6d.", block_c(160)},
          {"Mixed_6e.", block_c(192)},
          {"Mixed_7a.", block_d()},
          {"Mixed_7b.", block_e(Pool::average)},
          {"Mixed_7c.", block_e(Pool::maximum)}};
}

// --- Its tensors ---

constexpr const char* kNormalizations[] = {"weight", "bias", "running_mean", "running_var"};
constexpr double kVarianceFloor = 1e-3;  // added to every variance

constexpr size_t kShownMistakes = 3;
constexpr size_t kShownDigits = 8;  // of a digest, in names

using Shapes = std::map<std::string, std::vector<int64_t>>;

std::string shape_text(const std::vector<int64_t>& shape) { return fmt::format("({})", fmt::join(shape, ", ")); }

std::string first_few(const std::vector<std::string>& all) {
  const size_t shown = std::min(all.size(), kShownMistakes);
  std::string text = fmt::format("{}", fmt::join(all.begin(), all.begin() + static_cast<int64_t>(shown), ", "));
  if (all.size() > shown) text += fmt::format(" and {} more", all.size() - shown);
  return text;
}

void require_pictures(const DataSpec& spec) {
  const bool fits = spec.kind == DataKind::images && spec.levels == 256 && (spec.shape[0] == 1 || spec.shape[0] == 3);
  if (fits) return;
  throw UsageError(fmt::format(
      "{}: {}; Inception features are of images of 256 levels with one or three channels, leave out --inception",
      spec.dataset, spec.describe()));
}

/// Before anything large is read.
void require_layout(const std::filesystem::path& path, const TensorFileHeader& header) {
  std::vector<std::string> missing, wrong;
  for (const auto& [name, shape] : inception_layout()) {
    const auto found = header.tensors.find(name);
    if (found == header.tensors.end()) {
      missing.push_back(name);
    } else if (found->second.shape != shape || !at::isFloatingType(found->second.dtype)) {
      wrong.push_back(fmt::format("{} is {} {}, wanted float {}", name, c10::toString(found->second.dtype),
                                  shape_text(found->second.shape), shape_text(shape)));
    }
  }
  if (missing.empty() && wrong.empty()) return;
  std::vector<std::string> mistakes;
  if (!missing.empty()) mistakes.push_back("it lacks " + first_few(missing));
  if (!wrong.empty()) mistakes.push_back(first_few(wrong));
  throw UsageError(
      fmt::format("--inception {}: {}; wanted are the tensors of InceptionV3 under the names of torchvision's "
                  "inception_v3, as pytorch-fid's weights have them",
                  path.string(), fmt::join(mistakes, "; ")));
}

/// A convolution with the batch normalization behind it as one.
struct Filter {
  Tensor weight, bias;
};

std::map<std::string, Filter> folded(const NamedTensors& tensors, const std::filesystem::path& path) {
  std::map<std::string, Filter> filters;
  constexpr std::string_view kEnd = ".conv.weight";
  for (const auto& [tensor_name, tensor] : tensors) {
    if (!tensor_name.ends_with(kEnd)) continue;
    const std::string name = tensor_name.substr(0, tensor_name.size() - kEnd.size());
    const auto of = [&](const char* what) { return tensors.at(name + ".bn." + what).to(torch::kDouble); };
    const Tensor scale = of("weight") / (of("running_var") + kVarianceFloor).sqrt();
    Filter filter{.weight = (tensor * scale.view({-1, 1, 1, 1})).to(torch::kFloat),
                  .bias = (of("bias") - of("running_mean") * scale).to(torch::kFloat)};
    if (!filter.weight.isfinite().all().item<bool>() || !filter.bias.isfinite().all().item<bool>()) {
      throw UsageError(
          fmt::format("--inception {}: {}.conv and {}.bn make weights that are not finite; the file is no "
                      "trained InceptionV3, convert it anew",
                      path.string(), name, name));
    }
    filters.emplace(name, std::move(filter));
  }
  return filters;
}

// --- At work ---

constexpr int64_t kSide = 299;  // of the pictures that the network takes
constexpr int64_t kChunk = 16;  // pictures at once: some 0.5 GB

Tensor pooled(Pool pool, const Tensor& x) {
  switch (pool) {
    case Pool::none:
      return x;
    case Pool::average:
      return at::avg_pool2d(x, 3, 1, 1, /*ceil_mode=*/false, /*count_include_pad=*/false);
    case Pool::maximum:
      return at::max_pool2d(x, 3, 1, 1);
    case Pool::halving_maximum:
      return at::max_pool2d(x, 3, 2);
  }
  throw std::logic_error("inception: an unknown pool");
}

/// The network with its weights on a device, frozen.
class Inception final {
 public:
  Inception(std::map<std::string, Filter> filters, torch::Device device)
      : filters_(std::move(filters)), device_(device) {
    for (auto& [name, filter] : filters_) {  // this layout is 1.5 times as fast on the CPU
      filter.weight = filter.weight.to(device).contiguous(at::MemoryFormat::ChannelsLast);
      filter.bias = filter.bias.to(device);
    }
  }

  /// Images (N, 1 or 3, H, W) uint8 -> (N, 2048) float32 on the CPU.
  Tensor features(const Tensor& images) const {
    const torch::NoGradGuard no_grad;
    const int64_t n = images.size(0);
    Tensor all = torch::empty({n, kInceptionFeatures});
    for (int64_t first = 0; first < n; first += kChunk) {
      const int64_t count = std::min(kChunk, n - first);
      all.narrow(0, first, count).copy_(of_chunk(images.narrow(0, first, count)));
    }
    return all;
  }

 private:
  Tensor of_chunk(const Tensor& images) const {
    Tensor x = images.to(device_).to(torch::kFloat) / 255;
    x = 2 * at::upsample_bilinear2d(x, {kSide, kSide}, /*align_corners=*/false) - 1;
    x = x.expand({-1, 3, -1, -1}).contiguous(at::MemoryFormat::ChannelsLast);
    for (const Block& block : blocks_) x = through(block, x);
    return x.mean({2, 3});
  }

  Tensor through(const Block& block, const Tensor& x) const {
    std::vector<Tensor> joined;
    for (const Branch& branch : block.branches) {
      Tensor y = pooled(branch.pool, x);
      for (const Convolution& c : branch.chain) y = convolved(block.prefix + c.name, c, y);
      if (branch.fork.empty()) joined.push_back(y);
      for (const Convolution& c : branch.fork) joined.push_back(convolved(block.prefix + c.name, c, y));
    }
    return joined.size() == 1 ? joined[0] : at::cat(joined, 1);
  }

  Tensor convolved(const std::string& name, const Convolution& c, const Tensor& x) const {
    const Filter& filter = filters_.at(name);
    const int64_t above = c.padded ? c.height / 2 : 0, left = c.padded ? c.width / 2 : 0;
    return at::conv2d(x, filter.weight, filter.bias, c.stride, at::IntArrayRef({above, left})).relu_();
  }

  std::vector<Block> blocks_ = inception_blocks();
  std::map<std::string, Filter> filters_;
  torch::Device device_;
};

/// The network of published FIDs tells 1008 classes apart, torchvision's own 1000.
bool is_of_fid(const NamedTensors& tensors) {
  const auto last = tensors.find("fc.weight");
  return last != tensors.end() && last->second.dim() == 2 && last->second.size(0) == 1008;
}

}  // namespace

Shapes inception_layout() {
  Shapes shapes;
  int64_t channels = 3;
  const auto add = [&](const std::string& name, const Convolution& c, int64_t in) {
    shapes[name + ".conv.weight"] = {c.channels, in, c.height, c.width};
    for (const char* what : kNormalizations) shapes[name + ".bn." + what] = {c.channels};
    return c.channels;
  };
  for (const Block& block : inception_blocks()) {
    int64_t joined = 0;
    for (const Branch& branch : block.branches) {
      int64_t in = channels;
      for (const Convolution& c : branch.chain) in = add(block.prefix + c.name, c, in);
      if (branch.fork.empty()) joined += in;
      for (const Convolution& c : branch.fork) joined += add(block.prefix + c.name, c, in);
    }
    channels = joined;
  }
  return shapes;
}

void require_inception(const std::filesystem::path& weights, const DataSpec& spec) {
  require_pictures(spec);
  require_layout(weights, read_safetensors_header(weights));
}

Features inception_features(const std::filesystem::path& weights, const DataSpec& spec, torch::Device device) {
  require_inception(weights, spec);
  TensorFile file = read_safetensors(weights);
  NamedTensors needed;
  for (const auto& [name, shape] : inception_layout()) needed[name] = std::move(file.tensors.at(name));
  const std::string digest = state_digest(needed);
  const bool fid = is_of_fid(file.tensors);
  const auto network = std::make_shared<const Inception>(folded(needed, weights), device);
  return {
      .name = "inception",
      .of = fmt::format("inception {}{} of {}", digest.substr(0, kShownDigits), fid ? " (FID, KID)" : "",
                        treatment_of(spec)),
      .detail = fmt::format("last pooling layer of InceptionV3, weights {} with SHA-256 {}{}", weights.string(), digest,
                            fid ? "" : "; without an fc.weight of 1008 classes, so not those of FID and KID"),
      .map = [network](const Tensor& x) { return network->features(x); },
      .frechet_name = fid ? "FID" : "",
      .kernel_name = fid ? "KID" : ""};
}

}  // namespace genzoo
