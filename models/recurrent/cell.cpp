#include "models/recurrent/cell.h"

#include <ATen/ATen.h>

namespace genzoo {
namespace {

/// The `index`-th part of H columns.
Tensor part(const Tensor& gates, int64_t index, int64_t hidden) {
  return gates.narrow(/*dim=*/1, index * hidden, hidden);
}

/// states (T, B, H) after step (B) of each sequence: (B, H).
Tensor pick(const Tensor& states, const Tensor& step) {
  const Tensor index = step.view({1, -1, 1}).expand({1, states.size(1), states.size(2)});
  return states.gather(/*dim=*/0, index).squeeze(0);
}

}  // namespace

CellState CellState::of(const Tensor& rows) const {
  return {h.index_select(/*dim=*/0, rows), c.defined() ? c.index_select(/*dim=*/0, rows) : Tensor()};
}

CellState CellState::zeros(Cell cell, int64_t batch, int64_t hidden, const Tensor& like) {
  const Tensor none = at::zeros({batch, hidden}, like.options().requires_grad(false));
  return {none, cell == Cell::lstm ? none : Tensor()};
}

CellState CellStates::last() const { return {h[-1], c.defined() ? c[-1] : Tensor()}; }

CellState CellStates::after(const Tensor& step) const {
  return {pick(h, step), c.defined() ? pick(c, step) : Tensor()};
}

CellState cell_step(Cell cell, const Tensor& z, const Tensor& weight, const CellState& before) {
  const int64_t H = before.h.size(1);
  const Tensor recurrent = at::linear(before.h, weight).to(z.scalar_type());
  if (cell == Cell::lstm) {
    const Tensor gates = z + recurrent;
    const Tensor i = part(gates, 0, H).sigmoid(), f = part(gates, 1, H).sigmoid();
    const Tensor g = part(gates, 2, H).tanh(), o = part(gates, 3, H).sigmoid();
    const Tensor c = f * before.c + i * g;
    return {o * c.tanh(), c};
  }
  const Tensor r = (part(z, 0, H) + part(recurrent, 0, H)).sigmoid();
  const Tensor u = (part(z, 1, H) + part(recurrent, 1, H)).sigmoid();
  const Tensor n = (part(z, 2, H) + r * part(recurrent, 2, H)).tanh();
  return {n + u * (before.h - n), {}};
}

CellStates run_cell_by_steps(Cell cell, const Tensor& z, const Tensor& weight, const CellState& start) {
  std::vector<Tensor> h, c;
  CellState state = start;
  for (int64_t t = 0; t < z.size(0); ++t) {
    state = cell_step(cell, z[t], weight, state);
    h.push_back(state.h);
    if (state.c.defined()) c.push_back(state.c);
  }
  return {at::stack(h), c.empty() ? Tensor() : at::stack(c)};
}

}  // namespace genzoo
