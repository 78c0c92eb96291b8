#pragma once
// What the layers of a transformer read and add to: x + f1(norm(x)) + f2(norm(x + f1(...))) + ... Elhage et al., A
// Mathematical Framework for Transformer Circuits, 2021, name it so; pre-norm layers are Radford et al.'s (2019).

#include <utility>

#include "models/layers.h"

namespace genzoo {

class ResidualStream final {
 public:
  /// x + update, or x alone: (B, T, C) each.
  explicit ResidualStream(Tensor x, Tensor update = {}) : sum_(std::move(x)), update_(std::move(update)) {}

  void add(const Tensor& update);                                          ///< (B, T, C)
  Tensor normalized(NormImpl& norm, Result result = Result::as_products);  ///< norm(the sum so far), (B, T, C)
  bool settle();  ///< adds what is still to be added; whether there was anything

  /// The stream is sum() + update(); nothing is to be added when update() is undefined.
  const Tensor& sum() const { return sum_; }
  const Tensor& update() const { return update_; }

 private:
  Tensor sum_;
  Tensor update_;  ///< still to be added: the next norm does that on its way
};

}  // namespace genzoo
