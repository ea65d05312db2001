"""The critical batch size: where the two halves of k(m) = k_min (1 + B_crit / m) are equal.

McCandlish et al. 2018 (S = S_min (1 + B_crit / B), fitted in log space); Ma et al. 2017 derive the same shape for a
convex, interpolated problem. Far below B_crit the steps fall as 1/m, far above they stay at k_min; at B_crit both the
steps and the examples are twice their least.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bsgap.analysis.regimes import log2_points

MIN_BATCHES = 3
BEYOND = 10  # octaves outside the batch sizes in which B_crit is sought
EDGE = 0.5  # octaves: nearer than this to an end of that range, only rounding tells B_crit from the end


@dataclass(frozen=True)
class CriticalBatch:
    """A fit of k(m) = k_min (1 + B_crit / m).

    Attributes:
        k_min: Steps that no batch size goes below; 0 where the steps fall as 1/m throughout.
        critical_batch: B_crit, examples; ∞ where the steps fall as 1/m throughout, 0 where they do not fall.
        residual: Root mean square residual of log2 steps, in octaves.
    """

    k_min: float
    critical_batch: float
    residual: float


def critical_batch(batches: ArrayLike, steps: ArrayLike) -> CriticalBatch:
    """Fit k(m) = k_min (1 + B_crit / m) by least squares of log2 steps.

    B_crit is sought from 10 octaves below the smallest to 10 above the largest batch size; at an end of that range the
    data do not bound it on that side, and the limit (0 or ∞) is given.

    Args:
        batches: Batch sizes m, at least three different ones, shape `(n,)`.
        steps: Steps to the threshold k(m), positive, shape `(n,)`; leave out runs that never reached it.

    Raises:
        UsageError: Fewer than three batch sizes, unequal lengths, or values that are not positive and finite.

    >>> found = critical_batch([50, 100, 200], [30, 20, 15])  # 10 (1 + 100 / m)
    >>> round(found.k_min, 3), round(found.critical_batch, 2)
    (10.0, 100.0)
    """
    x, y = log2_points(batches, steps, MIN_BATCHES)
    low, high = x.min() - BEYOND, x.max() + BEYOND
    start, end = low, high
    for _ in range(6):  # each round narrows the bracket thirty-fold
        grid = np.linspace(start, end, 61)
        at = int(np.argmin(_residuals(x, y, grid).std(axis=1)))
        start, end = grid[max(at - 1, 0)], grid[min(at + 1, 60)]
    b = float(grid[at])
    residual = _residuals(x, y, np.array([b]))[0]
    if b < low + EDGE:
        return CriticalBatch(float(np.exp2(y.mean())), 0.0, float(y.std()))
    if b > high - EDGE:
        return CriticalBatch(0.0, math.inf, float((x + y).std()))
    return CriticalBatch(float(np.exp2(residual.mean())), float(np.exp2(b)), float(residual.std()))


def _residuals(x: NDArray[np.float64], y: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """log2 k − log2 (1 + B / m) for each log2 B: their mean is log2 k_min, their deviation the residual."""
    return y - np.logaddexp2(0, b[:, None] - x)
