#include "models/transformer/recompute.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/autograd.h>
#include <torch/custom_class.h>
#include <torch/utils.h>

#include <memory>
#include <optional>
#include <vector>

#include "models/gradients_of_gradients.h"

namespace genzoo {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Autocast of a device's type as it is on this thread.
struct AutocastState {
  at::DeviceType device;
  bool enabled;
  at::ScalarType dtype;

  explicit AutocastState(at::DeviceType d)
      : device(d), enabled(at::autocast::is_autocast_enabled(d)), dtype(at::autocast::get_autocast_dtype(d)) {}
  void set() const {
    at::autocast::set_autocast_dtype(device, dtype);
    at::autocast::set_autocast_enabled(device, enabled);
  }
};

/// While it lives, autocast is as it was when `state` was taken, and keeps no casts of weights: one made in the first
/// run would hide the weight from the second's graph.
class AutocastAs final {
 public:
  explicit AutocastAs(const AutocastState& state)
      : before_(state.device), cached_(at::autocast::is_autocast_cache_enabled()) {
    at::autocast::set_autocast_cache_enabled(false);
    state.set();
  }
  ~AutocastAs() {
    before_.set();
    at::autocast::set_autocast_cache_enabled(cached_);
  }
  AutocastAs(const AutocastAs&) = delete;
  AutocastAs& operator=(const AutocastAs&) = delete;

 private:
  AutocastState before_;
  bool cached_;
};

/// What is needed, besides tensors that learn, to run a block the same way again.
struct Recipe final : torch::CustomClassHolder {
  Recipe(std::shared_ptr<TransformerBlockImpl> b, PositionTable p, const Dropout& dropout, bool settled,
         at::DeviceType device)
      : block(std::move(b)), positions(std::move(p)), p_drop(dropout.p), was_settled(settled), autocast(device) {
    if (dropout.active()) stream = dropout.rng->clone();
  }

  std::shared_ptr<TransformerBlockImpl> block;
  PositionTable positions;
  double p_drop;
  std::optional<Rng> stream;  ///< where dropout's draws began
  bool was_settled;           ///< whether x is the sum of a stream that had an update to add
  AutocastState autocast;

  /// The stream behind the block.
  ResidualStream run(const Tensor& x, Rng* rng) const {
    const AutocastAs as_then(autocast);
    // The block's first norm adds the update of the block before it, and its backward pass the gradients of both. An
    // update of zeros in place of the one that x has already lets the same operators round in the same way.
    ResidualStream stream_of_x = was_settled ? ResidualStream(x, at::zeros_like(x.detach())) : ResidualStream(x);
    block->forward(stream_of_x, positions, {p_drop, rng});
    return stream_of_x;
  }

  ResidualStream run_again(const Tensor& x) const {
    if (!stream) return run(x, nullptr);
    Rng same_draws = stream->clone();  // this graph may be run backward more than once
    return run(x, &same_draws);
  }
};

class RecomputedBlock final : public torch::autograd::Function<RecomputedBlock> {
 public:
  /// x (B, T, C) and the block's parameters -> the stream behind the block: its sum and the update still to be added.
  static variable_list forward(AutogradContext* ctx, const Tensor& x, at::TensorList parameters,
                               const c10::intrusive_ptr<Recipe>& recipe, Rng* rng) {
    variable_list kept{x};
    kept.insert(kept.end(), parameters.begin(), parameters.end());
    ctx->save_for_backward(kept);  // the parameters for their versions: they must not change before the second run
    ctx->saved_data["recipe"] = c10::IValue::make_capsule(recipe);
    ctx->set_materialize_grads(false);
    // With a graph, which is dropped at once: without one layers may choose other operators, which round otherwise.
    const torch::AutoGradMode with_graph(true);
    const ResidualStream after = recipe->run(x.detach().requires_grad_(x.requires_grad()), rng);
    return {after.sum().detach(), after.update().detach()};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    if (!gradients[0].defined() && !gradients[1].defined()) return variable_list(ctx->get_saved_variables().size() + 2);
    const auto recipe = c10::static_intrusive_pointer_cast<Recipe>(ctx->saved_data["recipe"].toCapsule());
    variable_list inputs = ctx->get_saved_variables();
    const bool differentiable = at::GradMode::is_enabled();
    if (!differentiable) inputs[0] = inputs[0].detach().requires_grad_(ctx->needs_input_grad(0));

    const torch::AutoGradMode with_graph(true);
    const ResidualStream after = recipe->run_again(inputs[0]);
    variable_list outputs, of_outputs;
    const Tensor made[] = {after.sum(), after.update()};
    for (size_t i = 0; i < 2; ++i) {
      if (!gradients[i].defined() || !made[i].requires_grad()) continue;  // nothing that learns leads there
      outputs.push_back(made[i]);
      of_outputs.push_back(gradients[i]);
    }
    variable_list results = differentiable ? gradients_with_graph(outputs, of_outputs, inputs)
                                           : gradients_without(outputs, of_outputs, inputs);
    results.resize(inputs.size() + 2);  // nothing for the recipe and the draws
    return results;
  }

 private:
  /// The gradients of inputs; undefined where none is wanted, or where a layer wrote it where it belongs.
  static variable_list gradients_without(const variable_list& outputs, const variable_list& of_outputs,
                                         const variable_list& inputs) {
    variable_list wanted, results;
    for (const Tensor& input : inputs) {
      if (input.requires_grad()) wanted.push_back(input);
    }
    const variable_list found =
        torch::autograd::grad(outputs, wanted, of_outputs, /*retain_graph=*/false, /*create_graph=*/false,
                              /*allow_unused=*/true);
    size_t next = 0;
    for (const Tensor& input : inputs) results.push_back(input.requires_grad() ? found[next++] : Tensor());
    return results;
  }
};

}  // namespace

void recomputed_forward(const std::shared_ptr<TransformerBlockImpl>& block, ResidualStream& x,
                        const PositionTable& positions, const Dropout& dropout) {
  const bool settled = x.settle();
  const auto recipe = c10::make_intrusive<Recipe>(block, positions, dropout, settled, x.sum().device().type());
  const variable_list made = RecomputedBlock::apply(x.sum(), at::TensorList(block->parameters()), recipe,
                                                    dropout.active() ? dropout.rng : nullptr);
  x = ResidualStream(made[0], made[1]);
}

}  // namespace genzoo
