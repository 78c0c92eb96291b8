#pragma once
// Recurrent cells one upon the other: what each tells is what the next one reads.
//
// Legend: T steps, B sequences, I inputs, H hidden, G gates.

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <vector>

#include "core/random.h"
#include "models/recurrent/cell.h"

namespace genzoo {

struct StackShape {
  Cell cell = Cell::lstm;
  int64_t layers = 1;
  int64_t inputs = 1;  ///< I
  int64_t hidden = 1;  ///< H
};

/// Of each layer, the lowest first.
using StackState = std::vector<CellState>;

/// The states of all layers after each step.
struct StackStates {
  std::vector<CellStates> layers;

  const Tensor& told() const { return layers.back().h; }  ///< (T, B, H), of the highest layer
  StackState last() const;
  StackState after(const Tensor& step) const;  ///< see CellStates
};

/// state of the sequences rows (N).
StackState state_of(const StackState& state, const Tensor& rows);

/// Parameters are named and laid out as those of torch.nn.LSTM and torch.nn.GRU, gates in the order i f g o, r u n
/// (there: r z n); of the two biases there is bias_ih, for bias_hh is zero.
///
/// Drawn from U(-1/sqrt(H), 1/sqrt(H)), as there; biases of the forget gates are 1, so that what is remembered is kept
/// at first: Jozefowicz et al. (2015), section 2.2.
class RecurrentStackImpl final : public torch::nn::Module {
 public:
  RecurrentStackImpl(const StackShape& shape, Rng& init);

  /// x (T, B, I), from `start` on. Between layers a share `dropout` is set to zero, drawn from `rng`, if that is given:
  /// Zaremba et al. (2014), https://arxiv.org/abs/1409.2329.
  StackStates forward(const Tensor& x, const StackState& start, double dropout = 0, Rng* rng = nullptr);

  /// Before the first step.
  StackState start(int64_t batch) const;

 private:
  struct Layer {
    Tensor weight_ih;  ///< (G H, I), above the lowest layer (G H, H)
    Tensor weight_hh;  ///< (G H, H)
    Tensor bias;       ///< (G H)
  };

  StackShape shape_;
  std::vector<Layer> layers_;
};
TORCH_MODULE(RecurrentStack);

}  // namespace genzoo
