// What goes wrong in a game: the generator finds a few examples that pass and makes only those (mode collapse), or the
// discriminator becomes so sure that nothing can be learned from it (Goodfellow et al., 2014, section 3; Arjovsky &
// Bottou, 2017).

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "models/gan/gan.h"

namespace genzoo {
namespace {

/// The data's own nearest-neighbour distance below which this share of the examples lie: nearer samples are called
/// duplicates. Not the smallest distance, which two equal pictures in the data would make 0. Of samples as varied as
/// the data this share are duplicates; the mean distance of the pairs sees a collapse onto one mode, this one onto a
/// handful of examples however far apart.
constexpr double kNearest = 0.05;

/// Below this diversity, or above this share of duplicates, samples are called collapsed. The trained GANs of configs/
/// have 0.99 and at most 0.33; of eight points on a circle three neighbours have a diversity of 0.52, two of 0.30.
constexpr double kCollapsedDiversity = 0.5;
constexpr double kCollapsedDuplicates = 0.7;

/// Right on so many of both, a discriminator has won; against the trained GANs of configs/ it is right on 0.4 to 0.9 of
/// the one and 0.1 to 0.96 of the other. A critic ought to be right: its gradient is of use then.
constexpr double kWon = 0.99;

/// Where a player's scores say "data" rather than "fake": the middle between the objective's two targets. A critic has
/// none; the middle between its mean scores stands for it.
double threshold(gan::Objective objective, const Tensor& real, const Tensor& fake) {
  if (objective == gan::Objective::least_squares) return 0.5;
  if (objective == gan::Objective::wasserstein) return 0.5 * (real.mean() + fake.mean()).item<double>();
  return 0;
}

/// Distances (N, N) float64 of all pairs of rows, on the CPU.
Tensor distances(const Tensor& x) {
  const Tensor rows = x.flatten(1).to(at::kCPU, at::kDouble);
  // Not by the inner products, which lose small distances to rounding: duplicates are what is looked for.
  return at::cdist(rows, rows, /*p=*/2.0, /*compute_mode=*/2);
}

double mean_of_pairs(const Tensor& distance) {
  const auto n = static_cast<double>(distance.size(0));
  return distance.sum().item<double>() / (n * (n - 1));
}

/// Of each row the distance to its nearest other: (N).
Tensor nearest(const Tensor& distance) {
  return std::get<0>(distance.clone().fill_diagonal_(std::numeric_limits<double>::infinity()).min(/*dim=*/1));
}

/// How much the samples differ from each other, beside as many examples of the data; both as stored.
void add_variety(const Tensor& data, const Tensor& samples, std::vector<Monitor>& found) {
  const Tensor of_data = distances(data), of_samples = distances(samples);
  const double data_spread = mean_of_pairs(of_data);
  if (!(data_spread > 0)) return;  // examples that are all alike are no measure
  const double diversity = mean_of_pairs(of_samples) / data_spread;
  const double near = at::quantile(nearest(of_data), kNearest).item<double>();
  const double duplicates = nearest(of_samples).le(near).to(at::kDouble).mean().item<double>();
  const char* advice = "try r1, spectral norm or loss: wasserstein, or a lower lr";
  found.push_back({.name = "sample_diversity",
                   .value = diversity,
                   .warning = diversity >= kCollapsedDiversity
                                  ? ""
                                  : fmt::format("mode collapse: two samples differ only {:.2g} times as much as two "
                                                "examples of the data; {}",
                                                diversity, advice),
                   .n = samples.size(0),
                   .detail = "mean distance of two samples over that of two examples, as stored"});
  found.push_back(
      {.name = "duplicates",
       .value = duplicates,
       .unit = "share",
       .warning = duplicates <= kCollapsedDuplicates
                      ? ""
                      : fmt::format("mode collapse: {:.0f}% of the samples are nearly copies of another; {}",
                                    100 * duplicates, advice),
       .n = samples.size(0),
       .detail = fmt::format("samples as near to another as {:.0f}% of the examples are to theirs", 100 * kNearest)});
}

}  // namespace

std::vector<Monitor> GANImpl::monitors(const Batch& batch, Rng& rng) {
  const EvalMode evaluating(*this);
  const int64_t n = batch.size();
  const Tensor fake = generate_fake(n, rng);
  const Tensor real_scores = score(to_player(batch.x)), fake_scores = score(fake);
  const double limit = threshold(config_.objective, real_scores, fake_scores);
  const double on_real = real_scores.gt(limit).to(at::kDouble).mean().item<double>();
  const double on_fake = fake_scores.le(limit).to(at::kDouble).mean().item<double>();
  const bool won = std::min(on_real, on_fake) >= kWon && config_.objective != gan::Objective::wasserstein;
  const std::string victory =
      !won ? ""
           : fmt::format(
                 "the discriminator has won: it tells {:.1f}% of the data and {:.1f}% of the samples, and the "
                 "generator learns little from it; try r1, spectral norm, or a lower lr of the discriminator",
                 100 * on_real, 100 * on_fake);
  std::vector<Monitor> found{{.name = "discriminator_accuracy_real",
                              .value = on_real,
                              .unit = "share",
                              .n = n,
                              .detail = "data that the discriminator takes for data"},
                             {.name = "discriminator_accuracy_fake",
                              .value = on_fake,
                              .unit = "share",
                              .warning = victory,
                              .n = n,
                              .detail = "samples that the discriminator takes for samples"}};
  if (n > 1) add_variety(batch.x, to_stored(fake), found);
  return found;
}

}  // namespace genzoo
