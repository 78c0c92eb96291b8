// All steps of a recurrent cell as one node of the graph. Between its products a step is a few operators on memory that
// stays in cache, in place and below autograd; the gradient of the weights is one product over all steps.

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/autograd.h>
#include <torch/utils.h>

#include <optional>
#include <utility>
#include <vector>

#include "models/below_autograd.h"
#include "models/fused_linear.h"
#include "models/gradients_of_gradients.h"
#include "models/linear_pass.h"
#include "models/recurrent/cell.h"

namespace genzoo {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// A product with the same weights at every step: a (B, K) w -> y (B, N), float32.
class StepProduct final {
 public:
  /// w (K, N), for left factors of the size of `like`.
  StepProduct(const Tensor& like, const Tensor& w, bool reduced)
      : reduced_(reduced), product_(LinearPass::rows_of(like, reduced), w.contiguous()) {}
  void operator()(const Tensor& a, const Tensor& y) const { product_(LinearPass::rows_of(a, reduced_), y); }

 private:
  bool reduced_;
  LinearPass::Product product_;
};

/// What the backward pass needs of the forward pass.
struct Kept {
  Tensor gates;      ///< (T, B, G H), after their activations
  Tensor h;          ///< (T + 1, B, H), the start's first
  Tensor c;          ///< of an LSTM (T + 1, B, H)
  Tensor activated;  ///< (T, B, H): tanh(c) of an LSTM; W_n h_{t-1} of a GRU

  Kept(Cell cell, const Tensor& z, const CellState& start)
      : gates(at::empty(z.sizes(), z.options())),
        activated(at::empty({z.size(0), z.size(1), start.h.size(1)}, z.options())) {
    const auto with_start = [&](const Tensor& first) {
      Tensor states = at::empty({z.size(0) + 1, z.size(1), first.size(1)}, z.options());
      states[0].copy_(first);
      return states;
    };
    h = with_start(start.h);
    if (cell == Cell::lstm) c = with_start(start.c);
  }
  Kept(Tensor gates_, Tensor h_, Tensor c_, Tensor activated_)
      : gates(std::move(gates_)), h(std::move(h_)), c(std::move(c_)), activated(std::move(activated_)) {}

  int64_t steps() const { return gates.size(0); }
  int64_t hidden() const { return h.size(2); }
};

using Steps = std::vector<Tensor>;  // views of a tensor's steps, made at once: a step has few operators but these

/// Gates first ... first + count - 1 of (T, B, G H): (B, count H) of each step.
Steps parts(const Tensor& gates, int64_t first, int64_t hidden, int64_t count = 1) {
  return gates.narrow(/*dim=*/2, first * hidden, count * hidden).unbind(/*dim=*/0);
}

void lstm_forward(const Tensor& z, const Kept& k, const StepProduct& product) {
  const int64_t H = k.hidden();
  const Steps inputs = z.unbind(0), gates = k.gates.unbind(0);
  const Steps i = parts(k.gates, 0, H), f = parts(k.gates, 1, H), g = parts(k.gates, 2, H), o = parts(k.gates, 3, H);
  const Steps i_and_f = parts(k.gates, 0, H, 2);
  Steps h = k.h.unbind(0), c = k.c.unbind(0), tanh_c = k.activated.unbind(0);
  for (size_t t = 0; t < gates.size(); ++t) {
    product(h[t], gates[t]);
    gates[t].add_(inputs[t]);
    i_and_f[t].sigmoid_();
    g[t].tanh_();
    o[t].sigmoid_();
    at::mul_out(c[t + 1], f[t], c[t]).addcmul_(i[t], g[t]);
    at::tanh_out(tanh_c[t], c[t + 1]);
    at::mul_out(h[t + 1], o[t], tanh_c[t]);
  }
}

void gru_forward(const Tensor& z, const Kept& k, const StepProduct& product) {
  const int64_t H = k.hidden();
  const Tensor recurrent = at::empty(k.gates.sizes().slice(1), k.gates.options());
  const Tensor recurrent_ru = recurrent.narrow(/*dim=*/1, 0, 2 * H), recurrent_n = recurrent.narrow(1, 2 * H, H);
  const Steps inputs_ru = parts(z, 0, H, 2), inputs_n = parts(z, 2, H);
  const Steps r = parts(k.gates, 0, H), u = parts(k.gates, 1, H), kept = k.activated.unbind(0);
  Steps ru = parts(k.gates, 0, H, 2), n = parts(k.gates, 2, H), h = k.h.unbind(0);
  for (size_t t = 0; t < r.size(); ++t) {
    product(h[t], recurrent);
    at::add_out(ru[t], inputs_ru[t], recurrent_ru).sigmoid_();
    kept[t].copy_(recurrent_n);
    at::addcmul_out(n[t], inputs_n[t], r[t], kept[t]).tanh_();
    at::lerp_out(h[t + 1], n[t], h[t], u[t]);
  }
}

/// The gradients of a state, of which those of the start remain after the last step.
struct StateGradients {
  Tensor h, c;         ///< (B, H)
  Steps all_h, all_c;  ///< (B, H) each, what comes from outside; empty: nothing does

  StateGradients(const Tensor& outside_h, const Tensor& outside_c) {
    if (outside_h.defined()) all_h = outside_h.unbind(0);
    if (outside_c.defined()) all_c = outside_c.unbind(0);
  }

  void take_in(size_t t) const {
    if (!all_h.empty()) h.add_(all_h[t]);
    if (!all_c.empty()) c.add_(all_c[t]);
  }
};

/// Writes the gradients of z, which are those of W h, too: (T, B, 4 H).
void lstm_backward(const Kept& k, const StepProduct& product, const StateGradients& d, const Tensor& dz) {
  const int64_t H = k.hidden();
  const Steps i = parts(k.gates, 0, H), f = parts(k.gates, 1, H), g = parts(k.gates, 2, H), o = parts(k.gates, 3, H);
  Steps di = parts(dz, 0, H), df = parts(dz, 1, H), dg = parts(dz, 2, H), d_o = parts(dz, 3, H);
  const Steps dgates = dz.unbind(0), c = k.c.unbind(0), tanh_c = k.activated.unbind(0);
  Tensor scratch = at::empty(d.h.sizes(), d.h.options());
  for (size_t t = dgates.size(); t-- > 0;) {
    d.take_in(t);
    at::sigmoid_backward_out(d_o[t], at::mul_out(scratch, d.h, tanh_c[t]), o[t]);
    d.c.add_(at::tanh_backward_out(scratch, d.h.mul_(o[t]), tanh_c[t]));
    at::sigmoid_backward_out(di[t], at::mul_out(scratch, d.c, g[t]), i[t]);
    at::sigmoid_backward_out(df[t], at::mul_out(scratch, d.c, c[t]), f[t]);
    at::tanh_backward_out(dg[t], at::mul_out(scratch, d.c, i[t]), g[t]);
    d.c.mul_(f[t]);
    product(dgates[t], d.h);
  }
}

/// Writes the gradients of z and of W h: (T, B, 3 H) each.
void gru_backward(const Kept& k, const StepProduct& product, const StateGradients& d, const Tensor& dz,
                  const Tensor& drecurrent) {
  const int64_t H = k.hidden();
  const Steps r = parts(k.gates, 0, H), u = parts(k.gates, 1, H), n = parts(k.gates, 2, H);
  Steps dr = parts(dz, 0, H), du = parts(dz, 1, H), dn = parts(dz, 2, H), dru = parts(dz, 0, H, 2);
  Steps drecurrent_ru = parts(drecurrent, 0, H, 2), drecurrent_n = parts(drecurrent, 2, H);
  const Steps dw = drecurrent.unbind(0), h = k.h.unbind(0), kept = k.activated.unbind(0);
  Tensor scratch = at::empty(d.h.sizes(), d.h.options()), through_product = at::empty_like(scratch);
  for (size_t t = dw.size(); t-- > 0;) {
    d.take_in(t);
    at::sigmoid_backward_out(du[t], at::sub_out(scratch, h[t], n[t]).mul_(d.h), u[t]);
    at::tanh_backward_out(dn[t], at::addcmul_out(scratch, d.h, d.h, u[t], -1), n[t]);
    at::sigmoid_backward_out(dr[t], at::mul_out(scratch, dn[t], kept[t]), r[t]);
    at::mul_out(drecurrent_n[t], dn[t], r[t]);
    drecurrent_ru[t].copy_(dru[t]);
    product(dw[t], through_product);
    d.h.mul_(u[t]).add_(through_product);
  }
}

class FusedCell final : public torch::autograd::Function<FusedCell> {
 public:
  static variable_list forward(AutogradContext* ctx, const Tensor& z, const Tensor& weight, const Tensor& h,
                               const std::optional<Tensor>& c, bool reduced) {
    const BelowAutograd below;
    const Cell cell = c ? Cell::lstm : Cell::gru;
    const Kept k = compute(cell, z, weight, {h, c.value_or(Tensor())}, reduced);
    ctx->save_for_backward({z, weight, h, c.value_or(Tensor()), k.gates, k.h, k.c, k.activated});
    ctx->saved_data["reduced"] = reduced;
    ctx->set_materialize_grads(false);
    variable_list states{k.h.slice(/*dim=*/0, 1)};
    if (c) states.push_back(k.c.slice(/*dim=*/0, 1));
    return states;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    const variable_list saved = ctx->get_saved_variables();
    const Tensor &z = saved[0], &weight = saved[1];
    const Cell cell = saved[3].defined() ? Cell::lstm : Cell::gru;
    if (at::GradMode::is_enabled()) {
      const CellStates states = run_cell_by_steps(cell, z, weight, {saved[2], saved[3]});
      variable_list outputs, known;
      for (size_t i = 0; i < gradients.size(); ++i) {
        if (!gradients[i].defined()) continue;
        outputs.push_back(i == 0 ? states.h : states.c);
        known.push_back(gradients[i]);
      }
      variable_list all = gradients_with_graph(outputs, known, {z, weight, saved[2], saved[3]});
      all.resize(5);
      return all;
    }
    const BelowAutograd below;
    const bool reduced = ctx->saved_data["reduced"].toBool();
    const Kept k(saved[4], saved[5], saved[6], saved[7]);
    const bool lstm = cell == Cell::lstm;
    StateGradients d(gradients[0], lstm ? gradients[1] : Tensor());
    d.h = at::zeros({z.size(1), k.hidden()}, z.options());
    if (lstm) d.c = at::zeros_like(d.h);
    const Tensor dz = at::empty(z.sizes(), z.options());
    const StepProduct product(dz[0], weight.detach(), reduced);
    Tensor drecurrent = dz;
    if (lstm) {
      lstm_backward(k, product, d, dz);
    } else {
      drecurrent = at::empty_like(dz);
      gru_backward(k, product, d, dz, drecurrent);
    }
    variable_list results{dz, Tensor(), d.h, d.c, Tensor()};
    if (ctx->needs_input_grad(1)) {
      results[1] = LinearPass::add_product(weight, LinearPass::rows_of(drecurrent, reduced).t(),
                                           LinearPass::rows_of(k.h.slice(/*dim=*/0, 0, k.steps()), reduced));
    }
    return results;
  }

  static Kept compute(Cell cell, const Tensor& z, const Tensor& weight, const CellState& start, bool reduced) {
    const Kept k(cell, z, start);
    const StepProduct product(start.h, weight.detach().t(), reduced);
    cell == Cell::lstm ? lstm_forward(z, k, product) : gru_forward(z, k, product);
    return k;
  }
};

}  // namespace

CellStates run_cell(Cell cell, const Tensor& z, const Tensor& weight, const CellState& start) {
  const auto is_float = [](const Tensor& t) {
    return !t.defined() || (t.is_cpu() && t.scalar_type() == torch::kFloat);
  };
  const bool reduced = computes_in_bfloat16();
  const bool fits = is_float(z) && is_float(weight) && is_float(start.h) && is_float(start.c) && z.numel() > 0 &&
                    (reduced || !at::autocast::is_autocast_enabled(at::kCPU));
  if (!fits) return run_cell_by_steps(cell, z, weight, start);
  if (at::GradMode::is_enabled()) {
    const auto c = start.c.defined() ? std::optional<Tensor>(start.c) : std::nullopt;
    const variable_list states = FusedCell::apply(z, weight, start.h, c, reduced);
    return {states[0], states.size() > 1 ? states[1] : Tensor()};
  }
  const Kept k = FusedCell::compute(cell, z, weight, start, reduced);
  return {k.h.slice(/*dim=*/0, 1), cell == Cell::lstm ? k.c.slice(/*dim=*/0, 1) : Tensor()};
}

}  // namespace genzoo
