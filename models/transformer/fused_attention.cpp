#include "models/transformer/fused_attention.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/record_function.h>
#include <torch/autograd.h>
#include <torch/utils.h>

#include <cmath>

#include "core/kernels/kernels.h"
#include "models/gradients_of_gradients.h"
#include "models/transformer/attention.h"

namespace genzoo {
namespace {

using c10::BFloat16;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// What the forward and the backward pass read and write, all of it contiguous.
struct Attention {
  Tensor qkv;       ///< (B, T, 3 C)
  Tensor y;         ///< (B, T, C)
  Tensor log_sums;  ///< (B, H, T), float32
  Tensor cos, sin;  ///< (T, 1, D / 2), or undefined

  int64_t batch() const { return qkv.size(0); }
  int64_t tokens() const { return qkv.size(1); }
  int64_t channels() const { return y.size(2); }
  int64_t heads() const { return log_sums.size(1); }
  int64_t head_channels() const { return channels() / heads(); }

  /// Where the head h of text b begins, in memory laid out like qkv and like y.
  int64_t in_qkv(int64_t b, int64_t h) const { return b * tokens() * 3 * channels() + h * head_channels(); }
  int64_t in_y(int64_t b, int64_t h) const { return b * tokens() * channels() + h * head_channels(); }

  template <class T>
  CausalHead<T> head(int64_t b, int64_t h, float* scratch) const {
    const T* q = qkv.const_data_ptr<T>() + in_qkv(b, h);
    return {.q = q,
            .k = q + channels(),
            .v = q + 2 * channels(),
            .stride = 3 * channels(),
            .tokens = tokens(),
            .channels = head_channels(),
            .scale = 1.0F / std::sqrt(static_cast<float>(head_channels())),
            .cos = cos.defined() ? cos.const_data_ptr<float>() : nullptr,
            .sin = sin.defined() ? sin.const_data_ptr<float>() : nullptr,
            .y = y.mutable_data_ptr<T>() + in_y(b, h),
            .y_stride = channels(),
            .log_sums = log_sums.mutable_data_ptr<float>() + (b * heads() + h) * tokens(),
            .scratch = scratch};
  }
};

/// f(b, h, scratch) for every head of every text, each by one thread: their number changes no bit.
template <class F>
void for_heads(const Attention& a, bool gradients, const F& f) {
  const int64_t room = kernels().causal_attention_scratch(a.tokens(), a.head_channels(), gradients);
  at::parallel_for(0, a.batch() * a.heads(), /*grain_size=*/1, [&](int64_t begin, int64_t end) {
    const Tensor scratch = at::empty({room}, at::TensorOptions().dtype(at::kFloat));
    for (int64_t i = begin; i < end; ++i) f(i / a.heads(), i % a.heads(), scratch.mutable_data_ptr<float>());
  });
}

Attention compute(const Tensor& qkv, int64_t n_head, const Tensor& cos, const Tensor& sin) {
  const int64_t B = qkv.size(0), T = qkv.size(1), C = qkv.size(2) / 3;
  // Under a name by which trainers/estimate.cpp counts its FLOPs.
  const c10::IValue input(qkv);
  RECORD_FUNCTION("genzoo::causal_attention", c10::ArrayRef<const c10::IValue>(&input, 1));
  const Attention a{qkv, at::empty({B, T, C}, qkv.options()),
                    at::empty({B, n_head, T}, qkv.options().dtype(torch::kFloat)), cos, sin};
  for_heads(a, /*gradients=*/false, [&](int64_t b, int64_t h, float* scratch) {
    if (qkv.scalar_type() == torch::kBFloat16) {
      kernels().causal_attention_16(a.head<BFloat16>(b, h, scratch));
    } else {
      kernels().causal_attention(a.head<float>(b, h, scratch));
    }
  });
  return a;
}

template <class T>
CausalHeadGradients<T> head_gradients(const Attention& a, const Tensor& dy, const Tensor& dqkv, int64_t b, int64_t h) {
  T* dq = dqkv.mutable_data_ptr<T>() + a.in_qkv(b, h);
  return {.dy = dy.const_data_ptr<T>() + a.in_y(b, h), .dq = dq, .dk = dq + a.channels(), .dv = dq + 2 * a.channels()};
}

/// The gradient of qkv.
Tensor compute_backward(const Attention& a, const Tensor& dy) {
  const c10::IValue input(a.qkv);
  RECORD_FUNCTION("genzoo::causal_attention_backward", c10::ArrayRef<const c10::IValue>(&input, 1));
  Tensor dqkv = at::empty(a.qkv.sizes(), a.qkv.options());
  for_heads(a, /*gradients=*/true, [&](int64_t b, int64_t h, float* scratch) {
    if (dqkv.scalar_type() == torch::kBFloat16) {
      kernels().causal_attention_backward_16(a.head<BFloat16>(b, h, scratch),
                                             head_gradients<BFloat16>(a, dy, dqkv, b, h));
    } else {
      kernels().causal_attention_backward(a.head<float>(b, h, scratch), head_gradients<float>(a, dy, dqkv, b, h));
    }
  });
  return dqkv;
}

class FusedCausalAttention final : public torch::autograd::Function<FusedCausalAttention> {
 public:
  static Tensor forward(AutogradContext* ctx, const Tensor& qkv, int64_t n_head, const std::optional<Tensor>& cos,
                        const std::optional<Tensor>& sin) {
    const Attention a = compute(qkv, n_head, cos.value_or(Tensor()), sin.value_or(Tensor()));
    ctx->save_for_backward({a.qkv, a.y, a.log_sums, a.cos, a.sin});
    return a.y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const variable_list saved = ctx->get_saved_variables();
    const Attention a{saved[0], saved[1], saved[2], saved[3], saved[4]};
    if (!at::GradMode::is_enabled()) return {compute_backward(a, gradients[0].contiguous()), {}, {}, {}};
    // LibTorch's attention has no gradients of gradients, but its operators have.
    const Heads heads = heads_of(a.qkv, a.heads(), {.cos = a.cos, .sin = a.sin});
    const Tensor y = attend_by_steps(heads.q, heads.k, heads.v, /*sight=*/{}, /*dropout=*/{});
    variable_list all = gradients_with_graph({y.transpose(1, 2).reshape(a.y.sizes())}, {gradients[0]}, {a.qkv});
    all.resize(4);
    return all;
  }
};

bool fits_kernels(const Tensor& qkv, int64_t n_head, const PositionTable& positions) {
  const int64_t head_channels = qkv.size(2) / (3 * n_head), angles = qkv.size(1) * (head_channels / 2);
  const auto is_table = [&](const Tensor& t) {
    return !t.defined() || (t.is_cpu() && t.scalar_type() == torch::kFloat && t.is_contiguous() &&
                            t.numel() == angles && head_channels % 2 == 0 && !t.requires_grad());
  };
  // Without vectors wide enough the library's products, which find the processor's instructions themselves, are faster:
  // three times, measured.
  const bool has_vectors = &kernels() != &kernels_plain::kTable;
  return has_vectors && qkv.is_cpu() && qkv.numel() > 0 &&
         (qkv.scalar_type() == torch::kFloat || qkv.scalar_type() == torch::kBFloat16) && is_table(positions.cos) &&
         is_table(positions.sin);
}

}  // namespace

Tensor plain_causal_attention(const Tensor& qkv, int64_t n_head, const PositionTable& positions) {
  const Heads heads = heads_of(qkv, n_head, positions);
  const Tensor y = attend(heads.q, heads.k, heads.v, /*sight=*/{}, /*dropout=*/{});
  return y.transpose(1, 2).flatten(/*start_dim=*/2);
}

Tensor fused_causal_attention(const Tensor& qkv, int64_t n_head, const PositionTable& positions) {
  TORCH_CHECK(qkv.dim() == 3 && qkv.size(2) % (3 * n_head) == 0, "queries, keys and values of ", n_head,
              " heads, (B, T, 3 H D), not ", qkv.sizes());
  if (!fits_kernels(qkv, n_head, positions)) return plain_causal_attention(qkv, n_head, positions);
  const Tensor in = qkv.contiguous();
  const auto given = [](const Tensor& t) { return t.defined() ? std::optional<Tensor>(t) : std::nullopt; };
  if (at::GradMode::is_enabled()) {
    return FusedCausalAttention::apply(in, n_head, given(positions.cos), given(positions.sin));
  }
  return compute(in, n_head, positions.cos, positions.sin).y;
}

}  // namespace genzoo
