#pragma once
// Recurrent cells: what they compute at one step, and all steps of a sequence.
//
// The long short-term memory of Hochreiter & Schmidhuber (1997), https://doi.org/10.1162/neco.1997.9.8.1735, with the
// forget gate of Gers et al. (2000), https://doi.org/10.1162/089976600300015015:
//
//   i, f, g, o = z_t + W h_{t-1}, four parts;  c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(g);  h_t = sigmoid(o)
//   tanh(c_t)
//
// The gated recurrent unit of Cho et al. (2014), https://arxiv.org/abs/1406.1078, in cuDNN's and LibTorch's form, where
// the reset gate acts after the product with the state instead of before it, so that a step is one product:
//
//   r, u, n = z_t and W h_{t-1}, three parts each;  r = sigmoid(r_z + r_h), u = sigmoid(u_z + u_h),
//   n = tanh(n_z + r n_h);  h_t = (1 - u) n + u h_{t-1}
//
// z_t = V x_t + b is what the input contributes, with one bias a gate. LibTorch's modules have two, one of z_t and one
// of W h_{t-1}; with the second zero they are these, weight for weight.
//
// Legend: T steps, B sequences, H hidden, G gates: 4 of an LSTM, 3 of a GRU.

#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace genzoo {

using torch::Tensor;

enum class Cell { lstm, gru };
inline constexpr const char* kCellNames[] = {"lstm", "gru"};

constexpr int64_t gates_of(Cell cell) { return cell == Cell::lstm ? 4 : 3; }

/// What a cell knows of the sequences so far.
struct CellState {
  Tensor h;  ///< (B, H), what it tells
  Tensor c;  ///< (B, H), what an LSTM keeps for itself; undefined of a GRU

  /// That of the sequences rows (N) int64: (N, H).
  CellState of(const Tensor& rows) const;
  /// Before the first step: zeros. like: a tensor of its type and device.
  static CellState zeros(Cell cell, int64_t batch, int64_t hidden, const Tensor& like);
};

/// The states after each step.
struct CellStates {
  Tensor h;  ///< (T, B, H)
  Tensor c;  ///< (T, B, H); undefined of a GRU

  CellState last() const;
  /// That after step[i] of sequence i: step (B) int64.
  CellState after(const Tensor& step) const;
};

/// All steps: z (T, B, G H), weight W (G H, H), from `start` on.
///
/// On the CPU in float32, or under autocast to bfloat16 where the processor has such products, one node of the graph by
/// this processor's products; else, and where gradients of gradients are asked for, cell_step by cell_step. The
/// states' type is z's; in bfloat16 only the factors of products are rounded.
CellStates run_cell(Cell cell, const Tensor& z, const Tensor& weight, const CellState& start);

/// The same step by step, everywhere.
CellStates run_cell_by_steps(Cell cell, const Tensor& z, const Tensor& weight, const CellState& start);

/// One step: z_t (B, G H).
CellState cell_step(Cell cell, const Tensor& z, const Tensor& weight, const CellState& before);

}  // namespace genzoo
