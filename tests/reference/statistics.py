"""Writes statistics.json: the incomplete beta function, Welch's t-test, Hedges' g and Holm's correction, by SciPy and NumPy.

betainc   rows a, b, x, I_x(a, b)
welch     a, b: two sets of numbers; t, degrees_of_freedom, p: scipy.stats.ttest_ind(equal_var=False); g
holm      p: as found; corrected: by the definition, max over j <= i of min(1, (m - j + 1) p_(j))

Run with Python, NumPy and SciPy 1.11 or newer at hand; the file is committed, so the tests need none of them.
"""

import json
import pathlib

import numpy as np
from scipy import special, stats


def hedges_g(a, b):
    df = len(a) + len(b) - 2
    pooled = np.sqrt(((len(a) - 1) * np.var(a, ddof=1) + (len(b) - 1) * np.var(b, ddof=1)) / df)
    unbiased = np.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / np.sqrt(df / 2)
    return unbiased * (np.mean(a) - np.mean(b)) / pooled


def welch(a, b):
    test = stats.ttest_ind(a, b, equal_var=False)
    return dict(a=list(a), b=list(b), t=test.statistic, degrees_of_freedom=test.df, p=test.pvalue, g=hedges_g(a, b))


def holm(p):
    order = np.argsort(p)
    steps = [min(1.0, (len(p) - i) * p[j]) for i, j in enumerate(order)]
    corrected = np.empty(len(p))
    corrected[order] = np.maximum.accumulate(steps)
    return dict(p=list(p), corrected=list(corrected))


rng = np.random.default_rng(0)
shapes = [0.5, 1.0, 1.2345, 3.0, 17.5, 250.0]
places = [1e-9, 1e-3, 0.2, 0.5, 0.77, 0.999, 1 - 1e-9]
pairs = [([1.0, 2.0], [1.5, 4.0]), ([3.451, 3.449, 3.46], [3.339, 3.341, 3.3]), ([5.0, 5.0, 5.0], [5.1, 5.2, 4.9]),
         ([-1366.9, -1367.2], [-91.5, -91.4, -91.6, -91.48]), ([0.1, 0.2, 0.3], [0.1, 0.2, 0.3])]
pairs += [(rng.normal(size=n).tolist(), (rng.normal(size=m) * s + d).tolist())
          for n, m, s, d in [(5, 5, 1, 0.3), (3, 12, 10, -2), (30, 2, 0.01, 1), (200, 300, 1, 0.4), (8, 9, 1, 40)]]
numbers = dict(
    betainc=[[a, b, x, special.betainc(a, b, x)] for a in shapes for b in shapes for x in places],
    welch=[welch(a, b) for a, b in pairs],
    holm=[holm(p) for p in ([0.01, 0.04, 0.03, 0.005], [0.5], [0.9, 0.6, 0.6], rng.uniform(size=10) ** 3)],
)
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(numbers, indent=None, separators=(",", ":"), default=float) + "\n")
print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB")
