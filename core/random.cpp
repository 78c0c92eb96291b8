#include "core/random.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/randperm.h>
#include <ATen/ops/where.h>
#include <fmt/format.h>

#include <stdexcept>
#include <utility>

namespace genzoo {
namespace {

// The finalizer of splitmix64 (Steele, Lea & Flood, 2014, "Fast splittable pseudorandom number generators"), after
// the golden-ratio increment that keeps 0 from being a fixed point. A bijection of the 64-bit integers.
uint64_t mix64(uint64_t z) {
  z += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

// The finalizer of MurmurHash3 (Appleby, 2011): a bijection of the 32-bit integers.
uint32_t mix32(uint32_t z) {
  z = (z ^ (z >> 16)) * 0x85ebca6bU;
  z = (z ^ (z >> 13)) * 0xc2b2ae35U;
  return z ^ (z >> 16);
}

at::Generator make_stream(uint64_t key, torch::Device device) {
  if (device.is_cpu()) return at::make_generator<at::CPUGeneratorImpl>(key);
  // Cloning the default generator draws nothing from it, and is the one way to a new generator of any device that
  // LibTorch 2.6 to 2.15 share.
  at::Generator stream = at::globalContext().defaultGenerator(device).clone();
  stream.set_current_seed(key);
  return stream;
}

// Draws are compared with probabilities in at least float32: the 8 bits of a bfloat16 uniform would round them.
at::ScalarType comparison_type(const Tensor& p) { return p.scalar_type() == at::kDouble ? at::kDouble : at::kFloat; }

void fill_normal(Tensor& t, at::Generator& stream) { t.normal_(0.0, 1.0, stream); }
void fill_uniform(Tensor& t, at::Generator& stream) { t.uniform_(0.0, 1.0, stream); }

}  // namespace

uint64_t stream_key(uint64_t seed, Purpose purpose, uint64_t a, uint64_t b) {
  uint64_t family = mix64(seed);
  family = mix64(family ^ static_cast<uint64_t>(purpose));
  family = mix64(family ^ b);
  family = mix64(family ^ (a >> 32));
  // The low half goes through two bijections with a key between them instead of a hash, so that no two steps or rows
  // of one family (up to 2^32 of them) can share a CPU stream; of 50,000 hashed rows some would, one time in four.
  uint32_t low = mix32(static_cast<uint32_t>(a) ^ static_cast<uint32_t>(family));
  low = mix32(low + static_cast<uint32_t>(family >> 32));
  const uint64_t high = mix64(family ^ (a << 32)) & 0xffffffff00000000;
  return high | low;
}

Rng::Rng(std::vector<at::Generator> streams, bool per_row, torch::Device device)
    : streams_(std::move(streams)), per_row_(per_row), device_(device) {}

Rng Rng::for_batch(uint64_t seed, Purpose purpose, uint64_t step, uint64_t shard, torch::Device device) {
  return Rng({make_stream(stream_key(seed, purpose, step, shard), device)}, /*per_row=*/false, device);
}

Rng Rng::for_rows(uint64_t seed, Purpose purpose, uint64_t first_row, int64_t rows, torch::Device device) {
  std::vector<at::Generator> streams;
  streams.reserve(static_cast<size_t>(rows));
  for (int64_t i = 0; i < rows; ++i) {
    streams.push_back(make_stream(stream_key(seed, purpose, first_row + static_cast<uint64_t>(i)), torch::kCPU));
  }
  return Rng(std::move(streams), /*per_row=*/true, device);
}

Rng Rng::row(int64_t i) const {
  if (!per_row_) return *this;  // copies of a generator share its state
  return Rng({streams_.at(static_cast<size_t>(i))}, /*per_row=*/true, device_);
}

Rng Rng::clone() const {
  if (tape_) throw std::logic_error("core/random: what is drawn from a tape cannot be drawn again");
  std::vector<at::Generator> streams;
  streams.reserve(streams_.size());
  for (const at::Generator& stream : streams_) streams.push_back(stream.clone());
  return Rng(std::move(streams), per_row_, device_);
}

Tensor Rng::draw(at::IntArrayRef size, at::ScalarType dtype, const Fill& fill) {
  const at::NoGradGuard no_grad;
  if (tape_) return tape_->next(size, dtype, device_, fill);
  if (!per_row_) {
    Tensor drawn = at::empty(size, at::TensorOptions(device_).dtype(dtype));
    fill(drawn, streams_.front());
    return drawn;
  }
  if (size.empty() || size.front() != rows()) {
    throw std::logic_error(
        fmt::format("core/random: {} row streams asked for {} rows; the first dimension must be rows()", rows(),
                    size.empty() ? 0 : size.front()));
  }
  // On the CPU whatever the device: one copy is cheaper than a kernel a row, and samples start from equal noise
  // everywhere. Every row has the same number of elements, so each takes the same path through LibTorch's samplers
  // (normal_ has one for fewer than 16 elements and one for more) as it would alone.
  Tensor drawn = at::empty(size, at::TensorOptions(torch::kCPU).dtype(dtype));
  std::vector<Tensor> rows = drawn.unbind(0);
  for (size_t i = 0; i < rows.size(); ++i) fill(rows[i], streams_[i]);
  return drawn.to(device_);
}

Tensor Rng::normal(at::IntArrayRef size) { return draw(size, at::kFloat, fill_normal); }
Tensor Rng::uniform(at::IntArrayRef size) { return draw(size, at::kFloat, fill_uniform); }
Tensor Rng::normal_like(const Tensor& x) { return draw(x.sizes(), x.scalar_type(), fill_normal); }
Tensor Rng::uniform_like(const Tensor& x) { return draw(x.sizes(), x.scalar_type(), fill_uniform); }

Tensor Rng::bernoulli(const Tensor& p) {
  const at::ScalarType dtype = comparison_type(p);
  return draw(p.sizes(), dtype, fill_uniform).lt(p.detach().to(dtype)).to(p.scalar_type());
}

Tensor Rng::integers(int64_t high, at::IntArrayRef size) {
  if (high < 1) throw std::logic_error(fmt::format("core/random: integers in [0, {}): the range is empty", high));
  return draw(size, at::kLong, [high](Tensor& t, at::Generator& stream) { t.random_(0, high, stream); });
}

Tensor Rng::categorical(const Tensor& probabilities) {
  if (probabilities.dim() != 2) {
    throw std::logic_error(
        fmt::format("core/random: categorical wants probabilities (B, K), got {} dimensions", probabilities.dim()));
  }
  if (tape_) throw std::logic_error("core/random: classes are drawn on the CPU and cannot be on a tape");
  // Inverse of the cumulative distribution, in double: the first class whose cumulative probability exceeds u times
  // the total. On the CPU, whatever the device: CUDA's parallel cumulative sum is not deterministic, nor monotone in
  // its last bits. Classes of probability zero are excluded by name; a row without a candidate falls back on its most
  // probable class.
  const Tensor p = probabilities.detach().to(at::kCPU, at::kDouble);
  const Tensor cumulative = p.cumsum(/*dim=*/1);
  const Tensor u = draw({p.size(0), 1}, at::kDouble, fill_uniform).to(at::kCPU);
  const Tensor threshold = u * cumulative.slice(/*dim=*/1, /*start=*/-1);
  const Tensor candidates = cumulative.gt(threshold).logical_and_(p.gt(0));
  const Tensor first = candidates.to(at::kByte).argmax(/*dim=*/1);
  return at::where(candidates.any(/*dim=*/1), first, p.argmax(/*dim=*/1)).to(device_);
}

Tensor Rng::permutation(int64_t n) {
  if (per_row_ || tape_) {
    throw std::logic_error("core/random: a permutation needs a batch stream; this is a tape or row streams");
  }
  return at::randperm(n, streams_.front(), at::TensorOptions(device_).dtype(at::kLong)).to(torch::kCPU);
}

Tensor Rng::dropout(const Tensor& x, double p) {
  if (!(p >= 0 && p <= 1)) throw std::logic_error(fmt::format("core/random: dropout of {}; wanted in [0, 1]", p));
  if (p == 0) return x;
  if (p == 1) return x * 0;
  const double keep = 1 - p;
  // In place: the draw becomes the mask, 0 or 1, and then the scale.
  const Tensor mask = draw(x.sizes(), at::kFloat, fill_uniform).lt_(keep).mul_(1 / keep);
  return (x * mask).to(x.scalar_type());  // the scale in float: bfloat16 has no 1 / 0.9
}

Rng DrawTape::stream(torch::Device device) {
  next_ = 0;
  Rng rng({}, /*per_row=*/false, device);
  rng.tape_ = this;
  return rng;
}

Tensor DrawTape::next(at::IntArrayRef size, at::ScalarType dtype, torch::Device device, const Rng::Fill& fill) {
  if (next_ == draws_.size()) draws_.push_back({at::empty(size, at::TensorOptions(device).dtype(dtype)), fill});
  const Tensor& values = draws_[next_].values;
  if (values.sizes() != size || values.scalar_type() != dtype) {
    throw std::logic_error(
        fmt::format("core/random: draw {} of a tape has another size or type than when it was noted", next_));
  }
  ++next_;
  return values.detach();  // a tensor of its own, whatever is asked of it, over the same memory
}

void DrawTape::draw_anew(const Rng& stream) {
  if (stream.per_row_ || stream.tape_) throw std::logic_error("core/random: a tape is drawn from a batch stream");
  const at::NoGradGuard no_grad;
  at::Generator generator = stream.streams_.front();
  for (Draw& draw : draws_) draw.fill(draw.values, generator);
}

}  // namespace genzoo
