// What a training step asks of LibTorch: how many operators it dispatches and how often it takes memory for tensors.
// Small models spend a good part of a step on either, and a count, unlike a time, is the same on a loaded machine.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/record_function.h>
#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <cmath>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "core/kernels/kernels.h"
#include "core/version.h"
#include "tests/support.h"
#include "tests/trainers/tiny_experiment.h"
#include "trainers/trainer.h"

namespace genzoo {
namespace {

constexpr const char* kCountedWith = "2.15.";  // LibTorch; others call other operators within their own
constexpr double kTolerance = 0.05;

struct Counts {
  int64_t operators = 0;    ///< dispatched, those that operators call included
  int64_t allocations = 0;  ///< of memory for tensors
  bool operator==(const Counts&) const = default;
  friend std::ostream& operator<<(std::ostream& out, const Counts& c) {
    return out << "{" << c.operators << ", " << c.allocations << "}";
  }
};

/// LibTorch tells it of every block of memory that it takes. A convolution, or a product of matrices, counts as one
/// operator, since which others it needs depends on the processor; and so does which blocks a convolution takes.
class Tally final : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, int64_t bytes, size_t, size_t, c10::Device) override {
    if (bytes > 0 && convolutions_ == 0) ++counts_.allocations;
  }
  bool memoryProfilingEnabled() const override { return true; }

  void begin(const at::RecordFunction& f) {
    if (convolutions_ + products_ == 0) ++counts_.operators;
    convolutions_ += is_convolution(f);
    products_ += is_product(f);
  }
  void end(const at::RecordFunction& f) {
    convolutions_ -= is_convolution(f);
    products_ -= is_product(f);
  }

  const Counts& counts() const { return counts_; }

 private:
  static bool is_convolution(const at::RecordFunction& f) { return tiny::contains(f.name(), "convolution"); }
  static bool is_product(const at::RecordFunction& f) {
    const std::string name = f.name();
    return name == "genzoo::product" || name == "aten::mm" || name == "aten::addmm";
  }

  Counts counts_;
  int convolutions_ = 0, products_ = 0;  ///< that are running, one within the other
};

/// Counts what this thread does, backward passes included, while it lives. One at a time.
class Counting final {
 public:
  Counting() : told_(c10::DebugInfoKind::PROFILER_STATE, tally_) {
    current = tally_.get();
    handle_ = at::addThreadLocalCallback(at::RecordFunctionCallback(begin, end).scopes({at::RecordScope::FUNCTION}));
  }
  ~Counting() { at::removeCallback(handle_); }
  Counting(const Counting&) = delete;
  Counting& operator=(const Counting&) = delete;

  Counts so_far() const { return tally_->counts(); }

 private:
  static std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction& f) {
    current->begin(f);
    return nullptr;
  }
  static void end(const at::RecordFunction& f, at::ObserverContext*) { current->end(f); }

  static inline Tally* current = nullptr;  // LibTorch's callbacks are plain functions

  std::shared_ptr<Tally> tally_ = std::make_shared<Tally>();
  c10::DebugInfoGuard told_;
  at::CallbackHandle handle_ = at::INVALID_CALLBACK_HANDLE;
};

// More examples than the updates use, since the end of an epoch adds a permutation.
constexpr const char* kPoints = "{eight_gaussians: {examples: 256, validation: 16, test: 16}}";

/// As many labelled grey images of `side` x `side`.
Dataset images(int64_t side) {
  Rng rng = Rng::for_batch(0, Purpose::synthetic_data, 0);
  Dataset dataset;
  dataset.spec.dataset = "images";
  dataset.spec.kind = DataKind::images;
  dataset.spec.shape = {1, side, side};
  dataset.spec.levels = 256;
  dataset.spec.classes = 10;
  dataset.train.x = rng.integers(256, {256, 1, side, side}).to(torch::kByte);
  dataset.train.y = rng.integers(10, {256});
  return dataset;
}

enum class Data { images8, images16, points, text };

struct Guarded {
  const char* name;
  Counts recorded;
  Data data;
  const char* model;
  int shards = 1;
};

constexpr const char* kTransformer = "{transformer: {n_layer: 2, n_head: 2, n_embd: 16, block_size: 16}}";

// The numbers to keep small. A row that fails prints what to write here.
const Guarded kGuarded[] = {
    {"vae, mlp",
     {216, 43},
     Data::images8,
     "{vae: {latent_dim: 4, network: {mlp: {hidden: [16]}}, likelihood: bernoulli}}"},
    {"vae, conv", {578, 178}, Data::images8, "{vae: {latent_dim: 4, network: {conv: {channels: [4, 8], hidden: 16}}}}"},
    {"gan",
     {637, 180},
     Data::images16,
     "{gan: {latent_dim: 4, generator_width: 4, discriminator_width: 4, discriminator_norm: batch}}"},
    {"realnvp, points", {734, 187}, Data::points, "{realnvp: {couplings: 4, hidden_dim: 16}}"},
    {"realnvp, flat",
     {563, 134},
     Data::images8,
     "{realnvp: {architecture: flat, couplings: 4, hidden_dim: 16, normalization: none}}"},
    {"realnvp, images", {1638, 452}, Data::images8, "{realnvp: {scales: 2, couplings: 2, hidden_dim: 4, blocks: 1}}"},
    {"transformer", {477, 106}, Data::text, kTransformer},
    {"transformer, 2 shards", {960, 211}, Data::text, kTransformer, 2},
    {"pixel_transformer", {532, 116}, Data::images8, "{pixel_transformer: {n_layer: 2, n_head: 2, n_embd: 16}}"},
    {"recurrent", {2700, 54}, Data::text, "{recurrent: {n_layer: 2, n_embd: 16, hidden: 16, block_size: 16}}"},
    {"recurrent, gru",
     {2548, 56},
     Data::text,
     "{recurrent: {cell: gru, n_layer: 2, n_embd: 16, hidden: 16, block_size: 16}}"},
    {"classifier", {302, 93}, Data::images8, "{classifier: {channels: [4, 8], feature_dim: 8}}"},
};

/// The fourth and the fifth update of a training: the first make the optimizer's moments and the like.
std::vector<Counts> counts_of(const Guarded& guarded) {
  const bool text = guarded.data == Data::text;
  const ExperimentConfig config =
      tiny::experiment(guarded.model, text ? tiny::kText : kPoints, {fmt::format("train.shards={}", guarded.shards)});
  const Dataset dataset = text || guarded.data == Data::points ? open_dataset(config.data, {})
                                                               : images(guarded.data == Data::images8 ? 8 : 16);
  Trainer trainer(config, dataset, RunFolder(std::filesystem::path()));
  std::vector<Counts> counts;
  for (int update = 1; update <= 5; ++update) {
    const Counting counting;
    trainer.update();
    if (update >= 4) counts.push_back(counting.so_far());
  }
  return counts;
}

/// Why a count is not what was recorded, and what to do; empty when it is near enough.
std::string complaint(const char* what, int64_t recorded, int64_t counted) {
  if (std::abs(static_cast<double>(counted - recorded)) <= kTolerance * static_cast<double>(recorded)) return "";
  const std::string numbers = fmt::format("{} of a step: {} recorded, {} counted", what, recorded, counted);
  if (counted < recorded) return numbers + ". Better: write the new number, so that it stays so.\n";
  return numbers + ". Find what added them; if it is worth them, write the new number and say why in the commit.\n";
}

}  // namespace

TEST_CASE("a training step dispatches and allocates no more than was recorded", "[trainers][dispatch]") {
#ifndef __x86_64__
  SKIP("the numbers were counted on x86-64, where oneDNN computes convolutions");
#endif
  if (!libtorch_version().starts_with(kCountedWith) || !at::globalContext().hasMKLDNN()) {
    SKIP("the numbers were counted with LibTorch " << kCountedWith << "x and oneDNN, this is " << libtorch_version());
  }
  if (&kernels() == &kernels_plain::kTable) {
    SKIP("the numbers were counted with the kernels of AVX2 or AVX-512; without them attention is LibTorch's");
  }
  const int threads = at::get_num_threads();
  set_up_compute(/*threads=*/1, /*deterministic=*/true);
  for (const Guarded& guarded : kGuarded) {
    const std::vector<Counts> counts = counts_of(guarded);
    INFO("the row of \"" << guarded.name << "\" in " << __FILE__ << " would be " << counts[0]);
    CHECK(counts[0] == counts[1]);
    const std::string complaints = complaint("operators", guarded.recorded.operators, counts[0].operators) +
                                   complaint("allocations", guarded.recorded.allocations, counts[0].allocations);
    if (!complaints.empty()) FAIL_CHECK(complaints);
  }
  at::set_num_threads(threads);
}

}  // namespace genzoo
