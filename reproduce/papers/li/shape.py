"""How sharp a curve of losses is: the numbers that the claims about pictures are made of."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_GRID = 1e-9  # points are multiples of a step, rounded


def rise(
    alphas: Sequence[float], losses: Sequence[float], at: float, *, near: float, far: float, top: float = math.inf
) -> float:
    """Mean of L(α) - L(`at`) over the points with `near` ≤ |α - `at`| ≤ `far`, in nats.

    A loss counts as far as a picture with an axis up to `top` shows it; one that is no number counts as `top`. NaN
    where `at` or such a neighbour is no point of the curve, or the mean is not finite.

    >>> rise([0, 1, 2, 3], [5.0, 2.0, 4.0, 9.0], 1, near=1, far=1)
    2.5
    >>> rise([0, 1, 2, 3], [1e19, 2.0, 4.0, 9.0], 1, near=1, far=1, top=5.0)
    2.5
    """
    places, values = _arrays(alphas, losses)
    values = np.where(values < top, values, top)
    away = np.abs(places - at)
    centre = np.flatnonzero(away < _GRID)
    around = (away >= near - _GRID) & (away <= far + _GRID)
    if len(centre) != 1 or not around.any():
        return math.nan
    found = float(np.mean(values[around]) - values[centre[0]])
    return found if math.isfinite(found) else math.nan


def width(alphas: Sequence[float], losses: Sequence[float], by: float = 1.0) -> float:
    """How far one can go from α = 0, the mean of both sides, until the loss has risen by `by` nats.

    Linear between points. Infinite where it does not rise so far on one of the sides.

    >>> width([-2, -1, 0, 1, 2], [4.0, 2.0, 0.0, 1.0, 2.0], by=1.0)
    0.75
    """
    places, values = _arrays(alphas, losses)
    centre = int(np.argmin(np.abs(places)))
    sides = (places[centre:], values[centre:]), (-places[centre::-1], values[centre::-1])
    return float(np.mean([_reach(away, side - values[centre], by) for away, side in sides]))


def _reach(away: NDArray[np.float64], risen: NDArray[np.float64], by: float) -> float:
    beyond = np.flatnonzero(~(risen < by))  # what is no number is as far as it can rise
    if not len(beyond):
        return math.inf
    after = int(beyond[0])
    before = after - 1
    share = (by - risen[before]) / (risen[after] - risen[before]) if math.isfinite(risen[after]) else 0.0
    return float(away[before] + share * (away[after] - away[before]))


def correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Pearson's correlation of paired numbers; NaN where one of them is not finite or a side does not vary.

    >>> round(correlation([1, 2, 3], [1, 3, 5]), 9)
    1.0
    """
    first, second = _arrays(a, b)
    if len(first) < 3 or not (np.isfinite(first).all() and np.isfinite(second).all()):
        return math.nan
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return math.nan
    return float(np.corrcoef(first, second)[0, 1])


def _arrays(a: Sequence[float], b: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
