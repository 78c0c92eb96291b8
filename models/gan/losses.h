#pragma once
// The losses of the two players and the penalties on the discriminator, as functions of its outputs.
//
// Scores are the discriminator's outputs before any squashing, one an example: (B). For non_saturating and minimax
// they are logits: D(x) = sigmoid(score).

#include <torch/types.h>

#include <functional>

#include "core/random.h"

namespace genzoo::gan {

using torch::Tensor;

enum class Objective {
  non_saturating,  ///< Goodfellow et al. (2014), eq. (1); G maximizes log D(G(z)), section 3
  minimax,         ///< Goodfellow et al. (2014), eq. (1) for both players
  least_squares,   ///< Mao et al. (2017), eq. (9): labels 1 for data, 0 for fakes; G wants 1
  hinge,           ///< Lim & Ye (2017); Miyato et al. (2018), eq. (16), (17)
  wasserstein,     ///< Arjovsky et al. (2017); a critic, kept 1-Lipschitz by gradient_penalty
};
inline constexpr const char* kObjectiveNames[] = {"non_saturating", "minimax", "least_squares", "hinge", "wasserstein"};

/// What the discriminator minimizes: mean over the batch, ().
Tensor discriminator_objective(Objective objective, const Tensor& real_scores, const Tensor& fake_scores);

/// What the generator minimizes: mean over the batch, ().
Tensor generator_objective(Objective objective, const Tensor& fake_scores);

/// How much the discriminator takes the examples for data, for the log: the mean of D(x) in [0, 1] where scores are
/// logits, else the mean score. (), detached.
Tensor mean_belief(Objective objective, const Tensor& scores);

/// E[(|grad_x D(x)| - 1)^2] at x uniform on the lines between pairs of an example and a fake. ()
/// Gulrajani et al. (2017), eq. (3), without its weight lambda. Differentiable in the critic's parameters; leaves
/// every .grad alone. Draws (B) numbers.
Tensor gradient_penalty(const std::function<Tensor(const Tensor&)>& critic, const Tensor& real, const Tensor& fake,
                        Rng& rng);

/// 1/2 E[|grad_x D(x)|^2] at the data: Mescheder et al. (2018), eq. (9), without its weight gamma. ()
/// `real` requires gradients and `scores` were computed from it. Leaves every .grad alone.
Tensor r1_penalty(const Tensor& scores, const Tensor& real);

}  // namespace genzoo::gan
