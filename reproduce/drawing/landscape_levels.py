"""What the pictures of a loss over a plane have in common: its grid, its levels and its colours."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bsgap.errors import UsageError

COLOURS = "viridis_r"
"""Light is low; read by all, and in grey."""
_MOST = 9  # levels, unless there are more decades
_DIGITS = ((1, 1.5, 2, 3, 4, 5, 6, 8), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,))

Grid = NDArray[np.float64]


def grid(panel: pd.DataFrame, figure: str) -> tuple[Grid, Grid, Grid]:
    """Alphas `(n,)`, betas `(m,)` and losses `(m, n)` of the rows of one panel; NaN where the loss is not finite.

    Raises:
        UsageError: There are fewer than two steps each way, or a point is there twice or not at all.
    """
    rows = panel[["alpha", "beta", "loss"]].astype(float)
    if rows.duplicated(["alpha", "beta"]).any():
        raise UsageError(f"{figure}: a point of the grid is there twice; give one seed and one split a panel.")
    table = rows.pivot(index="beta", columns="alpha", values="loss")
    if min(table.shape) < 2 or table.size != len(rows):
        raise UsageError(
            f"{figure} needs a whole grid of at least two steps each way, got {len(rows)} points over"
            f" {table.shape[1]} alphas and {table.shape[0]} betas."
        )
    losses = table.to_numpy(float)
    return (
        table.columns.to_numpy(float),
        table.index.to_numpy(float),
        np.where(np.isfinite(losses) & (losses > 0), losses, np.nan),
    )


def levels(grids: Sequence[Grid]) -> list[float]:
    """Round losses, evenly on a logarithmic axis, from the least of all `grids` to the largest.

    >>> levels([np.array([0.11, 3.0])])
    [0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 3.0]
    """
    seen = np.concatenate([values[np.isfinite(values)] for values in grids])
    if not len(seen):
        return [0.1, 1.0]
    low, high = float(seen.min()), max(float(seen.max()), 1.01 * float(seen.min()))
    for digits in _DIGITS:
        found = _between(low, high, digits)
        if len(found) <= _MOST:
            break
    if len(found) < 4:  # a flat surface
        found = [float(f"{value:.3g}") for value in np.linspace(low, high, 6)]
    return sorted(set(found))


def _between(low: float, high: float, digits: Sequence[float]) -> list[float]:
    """The places of these digits in every decade, from the last below `low` to the first above `high`."""
    decades = range(math.floor(math.log10(low)) - 1, math.floor(math.log10(high)) + 2)
    places = [float(f"{digit * 10.0**decade:.6g}") for decade in decades for digit in digits]
    first = max((place for place in places if place <= low), default=places[0])
    last = min((place for place in places if place >= high), default=places[-1])
    return [place for place in places if first <= place <= last]
