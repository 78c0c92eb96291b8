#pragma once
// What the layers of a transformer read and add to: x + f1(norm(x)) + f2(norm(x + f1(...))) + ... Elhage et al., A
// Mathematical Framework for Transformer Circuits, 2021, name it so; pre-norm layers are Radford et al.'s (2019).

#include <utility>

#include "models/layers.h"

namespace genzoo {

class ResidualStream final {
 public:
  explicit ResidualStream(Tensor x) : sum_(std::move(x)) {}

  void add(const Tensor& update);          ///< (B, T, C)
  Tensor normalized(LayerNormImpl& norm);  ///< norm(the sum so far), (B, T, C)

 private:
  Tensor sum_;
  Tensor update_;  ///< still to be added: the next norm does that on its way
};

}  // namespace genzoo
