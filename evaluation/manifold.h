#pragma once
// Samples and real data compared through nearest neighbors: do samples look real, are all kinds of real data among the
// samples, is a sample a copy of a training example?

#include <torch/types.h>

#include <cstdint>

namespace genzoo {

using torch::Tensor;

/// How many neighbors make the sphere around a point, the point itself not counted.
struct NeighborCounts {
  int64_t precision_recall = 3;
  int64_t density_coverage = 5;
};

/// Shares of points in spheres. A sphere reaches from its center to the k-th nearest other point of the center's own
/// set and is closed: a point exactly as far counts as inside.
struct ManifoldMetrics {
  double precision = 0.0;  ///< generated points in the sphere of any real one (Kynkaanniemi et al., 2019, eq. 2)
  double recall = 0.0;     ///< real points in the sphere of any generated one
  /// Real spheres that a generated point is in, over k; may exceed 1 (Naeem et al., 2020, sec. 3).
  double density = 0.0;
  double coverage = 0.0;  ///< real spheres with a generated point in them (there)
};

/// Of features (N, F) real and (M, F) generated of any floating type. Distances are computed in double from products,
/// by blocks of 32 MB; two distances that differ by less than about 1e-12 of the points' squared distance from the
/// middle of the data count as equal, so copies and ties come out as they should. For equal distributions
/// E density = 1 and E coverage = expected_coverage. Throws UsageError unless both sets have more points than
/// neighbors are asked for, RunError for features that are not finite.
ManifoldMetrics manifold_metrics(const Tensor& real, const Tensor& generated, const NeighborCounts& k = {});

/// The same with one set of real points for many of generated ones: the spheres around the real ones, a third of the
/// work, are computed once.
class RealManifold final {
 public:
  explicit RealManifold(const Tensor& real, const NeighborCounts& k = {});
  ManifoldMetrics metrics_of(const Tensor& generated) const;

 private:
  NeighborCounts k_;
  Tensor middle_;  ///< (F) that all points are centered at: small norms, small rounding errors
  Tensor points_;  ///< (N, F), centered
  Tensor squared_radii_, wider_squared_radii_;  ///< (N) of either count of neighbors
};

/// What coverage is on average when both sets are drawn from one density, of whatever dimension: the chance that of the
/// k nearest neighbors a real point has in both sets one or more are generated,
/// 1 - (N-1)...(N-k) / ((M+N-1)...(M+N-k)) (Naeem et al., 2020, sec. 3).
double expected_coverage(int64_t real, int64_t generated, int64_t k);

/// The nearest of some points to each query.
struct Nearest {
  /// (B) int64, row of the points; of several equally near (to rounding, exactly for integers) the first.
  Tensor index;
  Tensor distance;  ///< (B) float64, Euclidean, in units of the points; exactly zero for a copy
};

/// Of queries (B, ...) among points (N, ...), N > 0, both integers (pixels as stored) or both floating. In double, the
/// points by blocks, so the memory is about that of the queries. Throws std::logic_error when the sizes differ.
Nearest nearest_neighbors(const Tensor& queries, const Tensor& points);

}  // namespace genzoo
