#include "models/gan/losses.h"

#include <torch/autograd.h>

namespace genzoo::gan {
namespace {

/// The gradient of each example's score with respect to that example, flattened: (B, D), itself differentiable.
///
/// torch::autograd::grad and not backward(): the parameters' own gradients must not see this pass. The sum over the
/// batch separates into the examples as long as no layer mixes them; GANConfig refuses batch normalization here.
Tensor example_gradients(const Tensor& scores, const Tensor& x) {
  const auto gradients = torch::autograd::grad({scores.sum()}, {x}, /*grad_outputs=*/{}, /*retain_graph=*/true,
                                               /*create_graph=*/true);
  return gradients.front().flatten(1);
}

}  // namespace

Tensor discriminator_objective(Objective objective, const Tensor& real_scores, const Tensor& fake_scores) {
  switch (objective) {
    case Objective::non_saturating:
    case Objective::minimax:
      // -log sigmoid(s) = softplus(-s) and -log(1 - sigmoid(s)) = softplus(s), without overflow.
      return at::softplus(-real_scores).mean() + at::softplus(fake_scores).mean();
    case Objective::least_squares:
      return 0.5 * (real_scores - 1).square().mean() + 0.5 * fake_scores.square().mean();
    case Objective::hinge:
      return at::relu(1 - real_scores).mean() + at::relu(1 + fake_scores).mean();
    case Objective::wasserstein:
      return fake_scores.mean() - real_scores.mean();
  }
  TORCH_INTERNAL_ASSERT(false, "an objective outside its enumeration");
}

Tensor generator_objective(Objective objective, const Tensor& fake_scores) {
  switch (objective) {
    case Objective::non_saturating:
      return at::softplus(-fake_scores).mean();
    case Objective::minimax:
      return -at::softplus(fake_scores).mean();
    case Objective::least_squares:
      return 0.5 * (fake_scores - 1).square().mean();
    case Objective::hinge:
    case Objective::wasserstein:
      return -fake_scores.mean();
  }
  TORCH_INTERNAL_ASSERT(false, "an objective outside its enumeration");
}

Tensor mean_belief(Objective objective, const Tensor& scores) {
  const bool logits = objective == Objective::non_saturating || objective == Objective::minimax;
  return (logits ? scores.detach().sigmoid() : scores.detach()).mean();
}

Tensor gradient_penalty(const std::function<Tensor(const Tensor&)>& critic, const Tensor& real, const Tensor& fake,
                        Rng& rng) {
  std::vector<int64_t> one_per_example(static_cast<size_t>(real.dim()), 1);
  one_per_example.front() = real.size(0);
  const Tensor epsilon = rng.uniform_like(torch::empty(one_per_example, real.options()));  // (B, 1, ...)
  const Tensor x_hat = (epsilon * real.detach() + (1 - epsilon) * fake.detach()).requires_grad_();
  const Tensor slope = example_gradients(critic(x_hat), x_hat).norm(/*p=*/2, /*dim=*/1);  // (B)
  return (slope - 1).square().mean();
}

Tensor r1_penalty(const Tensor& scores, const Tensor& real) {
  return 0.5 * example_gradients(scores, real).square().sum(/*dim=*/1).mean();
}

}  // namespace genzoo::gan
