#pragma once
// The Frechet distance between two sets of features, taken as Gaussians (Heusel et al., 2017). Only that of Inception
// features is called FID.

#include "evaluation/gaussian.h"

namespace genzoo {

/// |m1 - m2|^2 + tr(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2), the squared Frechet (2-Wasserstein) distance of two Gaussians,
/// in squared units of the features (Dowson & Landau, 1982, eq. 4; Heusel et al., 2017, eq. 6). A biased estimate:
/// from finite counts it is positive also between equal distributions, so it stands beside the distance of real data
/// from real data at the same counts.
///
/// The roots come from two symmetric eigendecompositions in double with eigenvalues below zero taken as zero, so
/// covariances may be singular. Each of the F terms of the trace is right to about 1e-8 of the largest: the sum may be
/// off, and below zero, by F times that, not more. Not both arguments are treated alike, so swapping them changes the
/// last digits. Throws std::logic_error when the numbers of features differ.
double frechet_distance(const GaussianMoments& a, const GaussianMoments& b);

}  // namespace genzoo
