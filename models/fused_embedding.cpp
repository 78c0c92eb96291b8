#include "models/fused_embedding.h"

#include <ATen/ATen.h>
#include <torch/autograd.h>
#include <torch/utils.h>

#include "core/kernels/kernels.h"
#include "core/workers.h"
#include "models/leaf_gradients.h"

namespace genzoo {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class Embed final : public torch::autograd::Function<Embed> {
 public:
  static Tensor forward(AutogradContext* ctx, const Tensor& weight, const Tensor& index) {
    ctx->save_for_backward({weight, index});
    return at::embedding(weight, index);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const variable_list saved = ctx->get_saved_variables();
    const Tensor &weight = saved[0], &index = saved[1], &dy = gradients[0];
    auto* slot = at::GradMode::is_enabled() ? nullptr : LeafGradients::at(weight);
    if (slot && slot->memory().is_contiguous() && dy.is_cpu() && dy.scalar_type() == torch::kFloat &&
        slot->memory().scalar_type() == torch::kFloat) {
      add_rows(slot->zeroed(), index.contiguous(), dy.contiguous());
      return {Tensor(), Tensor()};
    }
    return {at::embedding_dense_backward(dy, index, weight.size(0), /*padding_idx=*/-1, /*scale_grad_by_freq=*/false),
            Tensor()};
  }

 private:
  /// table[index] += rows, in the order of the rows: who adds which columns changes no bit.
  static void add_rows(const Tensor& table, const Tensor& index, const Tensor& rows) {
    const int64_t channels = table.size(1), count = index.numel();
    constexpr int64_t kLine = 16;  // floats of a cache line
    const auto* at = index.const_data_ptr<int64_t>();
    for_ranges(/*workers=*/nullptr, count * channels, count * kLine, [&](int64_t begin, int64_t end) {
      const int64_t first = begin / count, n = (end - begin) / count;
      for (int64_t i = 0; i < count; ++i) {
        auto* row = table.mutable_data_ptr<float>() + at[i] * channels + first;
        kernels().add(row, row, rows.const_data_ptr<float>() + i * channels + first, n);
      }
    });
  }
};

}  // namespace

Tensor embed(const Tensor& weight, const Tensor& index) {
  return at::GradMode::is_enabled() && weight.requires_grad() ? Embed::apply(weight, index)
                                                              : at::embedding(weight, index);
}

}  // namespace genzoo
