// The network against pytorch-fid's (tests/reference/inception.py), with the weights that the script's formula makes.
#include "evaluation/inception.h"

#include "core/error.h"
#include "core/safetensors.h"
#include "tests/evaluation/tiny_models.h"
#include "tests/support.h"
#include "trainers/named_state.h"

namespace genzoo {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMask = 0xFFFFFFFF;

/// The script's words(): a hash of each index, begun at a hash of the name.
Tensor words(const std::string& name, int64_t count) {
  uint32_t start = 2166136261U;
  for (const char c : name) start = (start ^ static_cast<unsigned char>(c)) * 16777619U;
  Tensor z = (at::arange(count, at::kLong) + static_cast<int64_t>(start)).bitwise_and_(kMask);
  z = at::bitwise_xor(z, at::bitwise_right_shift(z, 16)).mul_(0x85EBCA6BLL).bitwise_and_(kMask);
  z = at::bitwise_xor(z, at::bitwise_right_shift(z, 13)).mul_(0xC2B2AE35LL).bitwise_and_(kMask);
  return at::bitwise_xor(z, at::bitwise_right_shift(z, 16));
}

/// The script's tensor_of().
Tensor tensor_of(const std::string& name, const std::vector<int64_t>& shape) {
  const int64_t count = c10::multiply_integers(shape);
  const Tensor centered = words(name, count).to(torch::kDouble) / 4294967296.0 - 0.5;
  Tensor values = centered / 2;
  if (name.ends_with("conv.weight")) {
    values = centered * std::sqrt(24.0 / static_cast<double>(count / shape[0]));
  } else if (name.ends_with("bn.weight") || name.ends_with("running_var")) {
    values = 1 + centered;
  }
  return values.to(torch::kFloat).reshape(shape);
}

/// The script's bytes_of().
Tensor bytes_of(const std::string& name, const std::vector<int64_t>& shape) {
  return at::bitwise_right_shift(words(name, c10::multiply_integers(shape)), 24).to(torch::kByte).reshape(shape);
}

/// A whole set of weights, all of them zero, in few bytes.
NamedTensors blank() {
  NamedTensors tensors;
  for (const auto& [name, shape] : inception_layout()) tensors[name] = torch::zeros(shape, torch::kHalf);
  return tensors;
}

DataSpec pictures(int64_t channels, int64_t levels) {
  DataSpec spec;
  spec.dataset = "pictures";
  spec.kind = DataKind::images;
  spec.shape = {channels, 8, 8};
  spec.levels = levels;
  return spec;
}

Features features_of(const fs::path& path) { return inception_features(path, pictures(3, 256), torch::kCPU); }

TEST_CASE("Inception features are those of pytorch-fid", "[evaluation][reference]") {
  const NamedTensors reference = read_safetensors(GENZOO_SOURCE_DIR "/tests/reference/inception.safetensors").tensors;
  NamedTensors weights;
  for (const auto& [name, shape] : inception_layout()) weights[name] = tensor_of(name, shape);
  const std::string digest = state_digest(weights);
  weights["fc.weight"] = torch::zeros({1008, kInceptionFeatures});  // what else such files hold
  weights["Conv2d_1a_3x3.bn.num_batches_tracked"] = torch::zeros({}, torch::kLong);
  const TempDir folder;
  write_safetensors(folder / "weights.safetensors", weights);
  const Features features = features_of(folder / "weights.safetensors");
  CHECK(features.name == "inception");
  CHECK(features.of == "inception " + digest.substr(0, 8) + " (FID, KID) of pixels of 256 levels");
  CHECK_THAT(features.detail, Catch::Matchers::Contains(digest));
  CHECK_THAT(features.detail, Catch::Matchers::Contains((folder / "weights.safetensors").string()));

  const Tensor large = bytes_of("large", {1, 3, 330, 400});  // this one is made smaller
  const Tensor found =
      at::cat({features.map(reference.at("color")), features.map(reference.at("grey")), features.map(large)});
  const Tensor expected = reference.at("features");
  CHECK(found.scalar_type() == torch::kFloat);
  CHECK_THAT(found, IsClose(expected, 1e-4));
  CHECK((found - expected).norm().item<double>() < 1e-5 * expected.norm().item<double>());
}

TEST_CASE("a file that is no InceptionV3 is refused in one line", "[evaluation]") {
  const TempDir folder;
  const fs::path path = folder / "weights.safetensors";
  const auto refusal = [&](const NamedTensors& tensors) -> std::string {
    write_safetensors(path, tensors);
    try {
      features_of(path);
    } catch (const UsageError& error) {
      CHECK(std::string(error.what()).find('\n') == std::string::npos);
      return error.what();
    }
    return "";
  };
  NamedTensors tensors = blank();
  tensors["Mixed_6b.branch_pool.bn.running_var"][5] = -1;
  CHECK_THAT(refusal(tensors), Catch::Matchers::Contains("Mixed_6b.branch_pool.bn make weights that are not finite"));
  tensors.erase("Mixed_7c.branch3x3_2b.conv.weight");
  tensors["Mixed_5b.branch1x1.conv.weight"] = torch::zeros({64, 192, 3, 3});
  tensors["Mixed_5b.branch1x1.bn.bias"] = torch::zeros({64}, torch::kLong);
  CHECK_THAT(refusal(tensors),
             Catch::Matchers::Contains(
                 path.string() +
                 ": it lacks Mixed_7c.branch3x3_2b.conv.weight; Mixed_5b.branch1x1.bn.bias is Long (64), wanted float "
                 "(64), Mixed_5b.branch1x1.conv.weight is Float (64, 192, 3, 3), wanted float (64, 192, 1, 1); wanted "
                 "are the tensors of InceptionV3 under the names of torchvision's inception_v3"));
  CHECK_THAT(refusal({{"weight", torch::zeros({1})}}), Catch::Matchers::Contains(" and 467 more"));
  fs::remove(path);
  CHECK_THROWS_AS(features_of(path), UsageError);
}

TEST_CASE("Inception features are of images of 256 levels, grey or of three colors", "[evaluation]") {
  const TempDir folder;
  const fs::path path = folder / "weights.safetensors";
  NamedTensors tensors = blank();
  tensors["fc.weight"] = torch::zeros({1000, kInceptionFeatures}, torch::kHalf);
  write_safetensors(path, tensors);
  for (const DataSpec& spec : {pictures(3, 2), pictures(2, 256), tiny::points(1).spec}) {
    CHECK_THROWS_AS(inception_features(path, spec, torch::kCPU), UsageError);
  }
  // They stand beside the pixels, and where they cannot, nothing does in silence.
  const Progress progress = [](const std::string&) {};
  CHECK_THROWS_AS(features_for({}, tiny::images(2, 4), {}, progress, path), UsageError);
  const auto spaces = features_for({}, tiny::images(256, 4), {}, progress, path);
  REQUIRE(spaces.size() == 2);
  CHECK(spaces[0].name == "inception");
  CHECK(spaces[1].name == "pixels");
  // Torchvision's own weights are not those of published FIDs.
  CHECK(spaces[0].of.find("FID") == std::string::npos);
  CHECK_THAT(spaces[0].detail, Catch::Matchers::Contains("not those of FID"));
  CHECK(spaces[0].frechet_name.empty());
  CHECK(spaces[0].kernel_name.empty());
}

}  // namespace
}  // namespace genzoo
