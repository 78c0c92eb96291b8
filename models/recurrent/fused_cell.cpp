// All steps of a recurrent cell as one node of the graph. Between its products a step is a few operators on memory that
// stays in cache, in place and below autograd; the gradient of the weights is one product over all steps.

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/autograd.h>
#include <torch/utils.h>

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

/// Gates first ... first + count - 1 of (B, G H).
Tensor part(const Tensor& gates, int64_t first, int64_t hidden, int64_t count = 1) {
  return gates.narrow(/*dim=*/1, first * hidden, count * hidden);
}

void lstm_forward(const Tensor& z, const Kept& k, const StepProduct& product) {
  const int64_t H = k.hidden();
  for (int64_t t = 0; t < k.steps(); ++t) {
    const Tensor gates = k.gates[t];
    Tensor c = k.c[t + 1], tanh_c = k.activated[t], h = k.h[t + 1];
    product(k.h[t], gates);
    gates.add_(z[t]);
    part(gates, 0, H, 2).sigmoid_();
    part(gates, 2, H).tanh_();
    part(gates, 3, H).sigmoid_();
    at::mul_out(c, part(gates, 1, H), k.c[t]);
    c.addcmul_(part(gates, 0, H), part(gates, 2, H));
    at::tanh_out(tanh_c, c);
    at::mul_out(h, part(gates, 3, H), tanh_c);
  }
}

void gru_forward(const Tensor& z, const Kept& k, const StepProduct& product) {
  const int64_t H = k.hidden();
  const Tensor recurrent = at::empty(k.gates[0].sizes(), k.gates.options());
  for (int64_t t = 0; t < k.steps(); ++t) {
    const Tensor gates = k.gates[t];
    Tensor ru = part(gates, 0, H, 2), n = part(gates, 2, H), h = k.h[t + 1];
    product(k.h[t], recurrent);
    at::add_out(ru, part(z[t], 0, H, 2), part(recurrent, 0, H, 2));
    ru.sigmoid_();
    k.activated[t].copy_(part(recurrent, 2, H));
    at::addcmul_out(n, part(z[t], 2, H), part(gates, 0, H), k.activated[t]);
    n.tanh_();
    at::lerp_out(h, n, k.h[t], part(gates, 1, H));
  }
}

/// The gradients of a state, of which those of the start remain after the last step.
struct StateGradients {
  Tensor h, c;          ///< (B, H)
  Tensor all_h, all_c;  ///< (T, B, H), what comes from outside; undefined: nothing does

  void take_in(int64_t t) const {
    if (all_h.defined()) h.add_(all_h[t]);
    if (all_c.defined()) c.add_(all_c[t]);
  }
};

/// Writes the gradients of z, which are those of W h, too: (T, B, 4 H).
void lstm_backward(const Kept& k, const StepProduct& product, const StateGradients& d, const Tensor& dz) {
  const int64_t H = k.hidden();
  Tensor scratch = at::empty_like(d.h), dh = d.h;
  for (int64_t t = k.steps() - 1; t >= 0; --t) {
    const Tensor gates = k.gates[t];
    const Tensor i = part(gates, 0, H), f = part(gates, 1, H), g = part(gates, 2, H), o = part(gates, 3, H);
    Tensor di = part(dz[t], 0, H), df = part(dz[t], 1, H), dg = part(dz[t], 2, H), d_o = part(dz[t], 3, H);
    d.take_in(t);
    at::sigmoid_backward_out(d_o, at::mul_out(scratch, dh, k.activated[t]), o);
    d.c.add_(at::tanh_backward_out(scratch, dh.mul_(o), k.activated[t]));
    at::sigmoid_backward_out(di, at::mul_out(scratch, d.c, g), i);
    at::sigmoid_backward_out(df, at::mul_out(scratch, d.c, k.c[t]), f);
    at::tanh_backward_out(dg, at::mul_out(scratch, d.c, i), g);
    d.c.mul_(f);
    product(dz[t], dh);
  }
}

/// Writes the gradients of z and of W h: (T, B, 3 H) each.
void gru_backward(const Kept& k, const StepProduct& product, const StateGradients& d, const Tensor& dz,
                  const Tensor& drecurrent) {
  const int64_t H = k.hidden();
  Tensor scratch = at::empty_like(d.h), through_product = at::empty_like(d.h);
  for (int64_t t = k.steps() - 1; t >= 0; --t) {
    const Tensor gates = k.gates[t], dw = drecurrent[t];
    const Tensor r = part(gates, 0, H), u = part(gates, 1, H), n = part(gates, 2, H);
    Tensor dr = part(dz[t], 0, H), du = part(dz[t], 1, H), dn = part(dz[t], 2, H), dwn = part(dw, 2, H);
    d.take_in(t);
    at::sub_out(scratch, k.h[t], n);
    at::sigmoid_backward_out(du, scratch.mul_(d.h), u);
    at::sub_out(scratch, d.h, at::mul(d.h, u));
    at::tanh_backward_out(dn, scratch, n);
    at::sigmoid_backward_out(dr, at::mul_out(scratch, dn, k.activated[t]), r);
    at::mul_out(dwn, dn, r);
    part(dw, 0, H, 2).copy_(part(dz[t], 0, H, 2));
    product(dw, through_product);
    d.h.mul_(u).add_(through_product);
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
    variable_list states{k.h.slice(/*dim=*/0, 1).clone()};
    if (c) states.push_back(k.c.slice(/*dim=*/0, 1).clone());
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
    const Tensor zeros = at::zeros({z.size(1), k.hidden()}, z.options());
    const StateGradients d{zeros, cell == Cell::lstm ? zeros.clone() : Tensor(), gradients[0],
                           cell == Cell::lstm ? gradients[1] : Tensor()};
    const Tensor dz = at::empty(z.sizes(), z.options());
    const StepProduct product(dz[0], weight.detach(), reduced);
    Tensor drecurrent = dz;
    if (cell == Cell::lstm) {
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
