#include "models/recurrent/stack.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include "models/fused_linear.h"

namespace genzoo {

StackState StackStates::last() const {
  StackState state;
  for (const CellStates& layer : layers) state.push_back(layer.last());
  return state;
}

StackState StackStates::after(const Tensor& step) const {
  StackState state;
  for (const CellStates& layer : layers) state.push_back(layer.after(step));
  return state;
}

StackState state_of(const StackState& state, const Tensor& rows) {
  StackState chosen;
  for (const CellState& layer : state) chosen.push_back(layer.of(rows));
  return chosen;
}

RecurrentStackImpl::RecurrentStackImpl(const StackShape& shape, Rng& init) : shape_(shape) {
  const int64_t H = shape.hidden, rows = gates_of(shape.cell) * H;
  const double bound = 1 / std::sqrt(static_cast<double>(H));
  for (int64_t l = 0; l < shape.layers; ++l) {
    const auto parameter = [&](const char* name, at::IntArrayRef size) {
      return register_parameter(fmt::format("{}_l{}", name, l), init.uniform(size) * (2 * bound) - bound);
    };
    Layer layer{parameter("weight_ih", {rows, l == 0 ? shape.inputs : H}), parameter("weight_hh", {rows, H}),
                parameter("bias_ih", {rows})};
    if (shape.cell == Cell::lstm) {
      const torch::NoGradGuard no_grad;
      layer.bias.narrow(/*dim=*/0, H, H).fill_(1);
    }
    layers_.push_back(std::move(layer));
  }
}

StackStates RecurrentStackImpl::forward(const Tensor& x, const StackState& start, double dropout, Rng* rng) {
  StackStates states;
  Tensor inputs = x;
  for (size_t l = 0; l < layers_.size(); ++l) {
    const Layer& layer = layers_[l];
    if (l > 0 && rng) inputs = rng->dropout(inputs, dropout);
    const Tensor z = fused_linear(inputs, layer.weight_ih, layer.bias, Activation::none, Result::float32);
    states.layers.push_back(run_cell(shape_.cell, z, layer.weight_hh, start[l]));
    inputs = states.told();
  }
  return states;
}

StackState RecurrentStackImpl::start(int64_t batch) const {
  return StackState(layers_.size(), CellState::zeros(shape_.cell, batch, shape_.hidden, layers_[0].weight_hh));
}

}  // namespace genzoo
