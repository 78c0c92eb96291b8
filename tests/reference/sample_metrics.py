"""Writes sample_metrics.safetensors: two small sets of features and what numpy and scipy make of them.

    python tests/reference/sample_metrics.py

Every number comes from its definition: matrix roots by scipy's Schur method, kernels pair by pair, expectations as
averages over all choices of different examples, distances as sums of squared differences.

    real (300, 16), generated (250, 16)   float32
    few                                   (3): how many of real and generated, and the first row of both, `*_few` are of
    mean, covariance                      of real
    frechet, kernel, kernel_few, kernel_few_error, precision, recall, density, coverage
    log_density (250)                     of the generated under the Gaussian of the real
"""

import itertools
import math

import numpy as np
import scipy.linalg
import scipy.stats
import torch

import fixture

REAL, GENERATED, FEATURES = 300, 250, 16
FEW = 55, 9  # first row, and how many real ones; of the generated one less


def features():
    """Rectified, of unequal variances and far from zero as a network's are. Some generated ones are copies of real ones,
    some of each other."""
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(FEATURES, FEATURES)) / math.sqrt(FEATURES)
    real = np.maximum(rng.normal(size=(REAL, FEATURES)) @ mix + 1, 0)
    generated = np.maximum(rng.normal(size=(GENERATED, FEATURES)) @ mix * 0.9 + 1.1, 0)
    generated[:40] = real[:40]
    generated[40:52] = generated[40]
    return real.astype(np.float32), generated.astype(np.float32)


def frechet(x, y):
    cov_x, cov_y = np.cov(x.T), np.cov(y.T)
    shift = x.mean(axis=0) - y.mean(axis=0)
    root = scipy.linalg.sqrtm(cov_x @ cov_y)
    return shift @ shift + np.trace(cov_x) + np.trace(cov_y) - 2 * np.trace(root).real


def kernel_matrix(x, y):
    return np.array([[(a @ b / len(a) + 1) ** 3 for b in y] for a in x])


def kernel_distance(x, y):
    m, n = len(x), len(y)
    p, q = kernel_matrix(x, x), kernel_matrix(y, y)
    within_x = np.mean([p[i, j] for i, j in itertools.permutations(range(m), 2)])
    within_y = np.mean([q[i, j] for i, j in itertools.permutations(range(n), 2)])
    return within_x + within_y - 2 * kernel_matrix(x, y).mean()


def average(of, m, n, of_x, of_y):
    """The average of a function of `of_x` different indices below m, then of `of_y` different ones below n."""
    choices = itertools.product(itertools.permutations(range(m), of_x), itertools.permutations(range(n), of_y))
    return np.mean([of(*i, *j) for i, j in choices])


def kernel_error(x, y):
    """Hoeffding's decomposition of the variance, every expectation averaged over all choices of different examples."""
    m, n = len(x), len(y)
    k, p, q = kernel_matrix(x, y), kernel_matrix(x, x), kernel_matrix(y, y)

    def mean(of, of_x, of_y):
        return average(of, m, n, of_x, of_y)

    # Var of f(x) = E k(x, x') - E k(x, y), and the same seen from y.
    both = mean(lambda a, b, c, d: k[a, c] * k[b, d], 2, 2)
    f_x = (
        mean(lambda a, b, c: p[a, b] * p[a, c], 3, 0) - 2 * mean(lambda a, b, c: p[a, b] * k[a, c], 2, 1)
        + mean(lambda a, c, d: k[a, c] * k[a, d], 1, 2)
        - mean(lambda a, b, c, d: p[a, b] * p[c, d], 4, 0) + 2 * mean(lambda a, b, c, d: p[a, b] * k[c, d], 3, 1) - both
    )
    f_y = (
        mean(lambda a, b, c: q[a, b] * q[a, c], 0, 3) - 2 * mean(lambda c, a, b: q[a, b] * k[c, a], 1, 2)
        + mean(lambda c, d, a: k[c, a] * k[d, a], 2, 1)
        - mean(lambda a, b, c, d: q[a, b] * q[c, d], 0, 4) + 2 * mean(lambda d, a, b, c: q[a, b] * k[d, c], 1, 3) - both
    )
    # Means of squares of the kernel less its projections.
    g_x = (
        mean(lambda a, b: p[a, b] ** 2, 2, 0) - 2 * mean(lambda a, b, c: p[a, b] * p[a, c], 3, 0)
        + mean(lambda a, b, c, d: p[a, b] * p[c, d], 4, 0)
    )
    g_y = (
        mean(lambda a, b: q[a, b] ** 2, 0, 2) - 2 * mean(lambda a, b, c: q[a, b] * q[a, c], 0, 3)
        + mean(lambda a, b, c, d: q[a, b] * q[c, d], 0, 4)
    )
    g_xy = (
        mean(lambda a, c: k[a, c] ** 2, 1, 1) - mean(lambda a, c, d: k[a, c] * k[a, d], 1, 2)
        - mean(lambda a, b, c: k[a, c] * k[b, c], 2, 1) + both
    )
    terms = [4 / m * f_x, 4 / n * f_y, 2 / (m * (m - 1)) * g_x, 2 / (n * (n - 1)) * g_y, 4 / (m * n) * g_xy]
    print("terms of the variance:", terms)
    assert min(terms) > 0  # else the fixture would not tell them apart
    return math.sqrt(sum(terms))


def squared_distances(x, y):
    return np.array([[((a - b) ** 2).sum() for b in y] for a in x])


def squared_radii(x, k):
    return np.sort(squared_distances(x, x), axis=1)[:, k]  # column 0 is the point itself


def manifold(real, generated):
    between = squared_distances(real, generated)
    in_real = between <= squared_radii(real, 3)[:, None]
    in_generated = between <= squared_radii(generated, 3)[None, :]
    in_real_5 = between <= squared_radii(real, 5)[:, None]
    return {
        "precision": in_real.any(axis=0).mean(),
        "recall": in_generated.any(axis=1).mean(),
        "density": in_real_5.sum() / (5 * len(generated)),
        "coverage": in_real_5.any(axis=1).mean(),
    }


def main():
    real, generated = features()
    x, y = real.astype(np.float64), generated.astype(np.float64)
    first, few = FEW
    few_x, few_y = x[first : first + few], y[first : first + few - 1]
    values = {
        "frechet": frechet(x, y),
        "kernel": kernel_distance(x, y),
        "kernel_few": kernel_distance(few_x, few_y),
        "kernel_few_error": kernel_error(few_x, few_y),
        **manifold(x, y),
        "mean": x.mean(axis=0),
        "covariance": np.cov(x.T),
        "log_density": scipy.stats.multivariate_normal(x.mean(axis=0), np.cov(x.T)).logpdf(y),
        "few": np.array([few_x.shape[0], few_y.shape[0], first]),
        "real": real,
        "generated": generated,
    }
    print({name: value for name, value in values.items() if np.ndim(value) == 0})
    fixture.save("sample_metrics", {name: torch.tensor(value) for name, value in values.items()}, {})


if __name__ == "__main__":
    main()
