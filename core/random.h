#pragma once
// Explicit randomness. Nothing in the zoo draws from LibTorch's default generators: every draw comes from a stream
// that is a pure function of (seed, purpose, step, shard) or (seed, purpose, row). So there is no generator state to
// save, a resumed run draws what an uninterrupted one would have drawn, and shards and worker threads cannot race.

#include <ATen/core/Generator.h>
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace genzoo {

using torch::Tensor;

/// What a stream is for. The values are part of every run's identity: append, never renumber.
enum class Purpose : uint64_t {
  initialization = 1,  ///< of parameters
  batch = 2,           ///< which examples form a batch
  data_noise = 3,      ///< dynamic binarization, augmentation
  loss = 4,            ///< noise, dequantization and dropout inside a training loss
  validation = 5,
  sample = 6,
  score = 7,
  synthetic_data = 8,  ///< toys, noise images, Markov text: the data themselves
  latent = 9,          ///< fixed latents of grids and interpolations
  monitors = 10,       ///< the fixed draws by which a model's health is watched
};

/// A well-mixed 64-bit key of (seed, purpose, a, b). LibTorch's CPU engine looks at its low 32 bits only: these are
/// well mixed alone, and differ for any two a below 2^32 of one (seed, purpose, b), so no two rows or steps of a run
/// share a stream. splitmix64, Steele et al. (2014).
uint64_t stream_key(uint64_t seed, Purpose purpose, uint64_t a, uint64_t b = 0);

class DrawTape;

/// Where a model's draws come from, always an argument.
///
/// Two forms behind one interface. A batch stream draws a whole tensor at once: training. Row streams draw row i from
/// stream i: sampling and scoring, where row i must not depend on how many rows share its batch. The first dimension
/// of everything drawn is the batch, (B, ...), in both forms; with row streams B must be rows(), else std::logic_error.
/// Row streams are drawn on the CPU and moved, so a sample starts from the same noise on every device.
///
/// Not thread-safe; each shard has its own.
class Rng final {
 public:
  /// One stream for the whole batch, keyed by (seed, purpose, step, shard).
  static Rng for_batch(uint64_t seed, Purpose purpose, uint64_t step, uint64_t shard = 0,
                       torch::Device device = torch::kCPU);

  /// One stream a row, keyed by (seed, purpose, first_row + i).
  static Rng for_rows(uint64_t seed, Purpose purpose, uint64_t first_row, int64_t rows,
                      torch::Device device = torch::kCPU);

  Tensor normal(at::IntArrayRef size);   ///< N(0, 1), float32, on the stream's device
  Tensor uniform(at::IntArrayRef size);  ///< U[0, 1), float32
  Tensor normal_like(const Tensor& x);   ///< N(0, 1) of x's size and dtype
  Tensor uniform_like(const Tensor& x);  ///< U[0, 1) of x's size and dtype
  Tensor bernoulli(const Tensor& p);     ///< 0 or 1 in p's dtype, probability p each; not differentiable

  /// Uniform integers in [0, high), int64.
  Tensor integers(int64_t high, at::IntArrayRef size);

  /// Class indices (B), int64, drawn from probabilities (B, K), each row non-negative with a positive sum (it need
  /// not be 1). A class of probability zero is never drawn.
  Tensor categorical(const Tensor& probabilities);

  /// A permutation of 0..n-1 (n), int64, on the CPU. Batch streams only, else std::logic_error.
  Tensor permutation(int64_t n);

  /// x with a share p of its elements zeroed and the rest scaled by 1 / (1 - p); x itself when p is 0. Differentiable.
  Tensor dropout(const Tensor& x, double p);

  /// The stream of row i alone, which goes on where this one stands, and this one where it stops: they are the same. Of
  /// a batch stream: that stream.
  Rng row(int64_t i) const;

  /// Streams that draw from here on what these will draw, and leave these where they are.
  Rng clone() const;

  int64_t rows() const { return static_cast<int64_t>(streams_.size()); }
  torch::Device device() const { return device_; }

 private:
  friend class DrawTape;
  Rng(std::vector<at::Generator> streams, bool per_row, torch::Device device);
  using Fill = std::function<void(Tensor&, at::Generator&)>;
  Tensor draw(at::IntArrayRef size, at::ScalarType dtype, const Fill& fill);

  std::vector<at::Generator> streams_;
  bool per_row_;
  torch::Device device_;
  DrawTape* tape_ = nullptr;  ///< whose draws these are; it has no generator then
};

/// The draws of a batch stream as tensors that stay where they are, for work that is recorded once and then repeated on
/// other numbers: what it draws is noted the first time, and drawn anew before each repetition.
class DrawTape final {
 public:
  DrawTape() = default;
  DrawTape(const DrawTape&) = delete;  // its streams refer to it
  DrawTape& operator=(const DrawTape&) = delete;

  /// A stream whose draws are the tape's tensors, from the first on; they hold what draw_anew() left there, new ones
  /// nothing yet. It can do neither permutations nor classes, and has no clones. Drawing otherwise than the first time
  /// is a std::logic_error.
  Rng stream(torch::Device device);

  /// Draws all that was asked for, in that order, from a batch stream: the bytes that the work would have drawn itself.
  void draw_anew(const Rng& stream);

 private:
  friend class Rng;
  Tensor next(at::IntArrayRef size, at::ScalarType dtype, torch::Device device, const Rng::Fill& fill);

  struct Draw {
    Tensor values;
    Rng::Fill fill;
  };
  std::vector<Draw> draws_;
  size_t next_ = 0;
};

}  // namespace genzoo
