#include "models/gradients_of_gradients.h"

#include <torch/autograd.h>

namespace genzoo {

std::vector<Tensor> gradients_with_graph(const std::vector<Tensor>& outputs, const std::vector<Tensor>& gradients,
                                         const std::vector<Tensor>& inputs) {
  const auto wants = [](const Tensor& t) { return t.defined() && t.requires_grad(); };
  std::vector<Tensor> wanted;
  for (const Tensor& t : inputs) {
    if (wants(t)) wanted.push_back(t);
  }
  const auto found = torch::autograd::grad(outputs, wanted, gradients, /*retain_graph=*/true, /*create_graph=*/true,
                                           /*allow_unused=*/true);
  std::vector<Tensor> all(inputs.size());
  for (size_t i = 0, next = 0; i < inputs.size(); ++i) {
    if (wants(inputs[i])) all[i] = found[next++];
  }
  return all;
}

}  // namespace genzoo
