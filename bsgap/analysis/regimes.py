"""The three regimes of a speed-up curve: steps that fall as 1/m, then more slowly, then not at all.

On log2 axes the steps to a threshold are k(m): slope −1 up to a first break point, −s with 0 <= s <= 1 up to a second,
0 beyond it (Golmant et al. 2018, Figs 2 to 4; Shallue et al. 2018 name the regimes). The two break points and s are
found by least squares on a grid of both break points, refined around its best point.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bsgap.errors import UsageError

MIN_BATCHES = 4
COARSE = 1 / 32  # octaves between the break points tried first
FINEST = 1 / 2048
NARROW = 3e-4  # squared octaves that an octave of middle stretch must earn

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Regimes:
    """A three-regime fit of the steps to a threshold over the batch size.

    Attributes:
        linear_until: Batch size up to which the steps fall as 1/m. The largest batch where that never ends.
        flat_from: Batch size from which more examples a step save nothing. The largest batch where that never begins.
        slope: s of the middle stretch, in [0, 1]: steps fall as m^−s. NaN where the two break points meet.
        residual: Root mean square residual of log2 steps, in octaves.
        examples: m · k(m) of the linear regime: the examples that the threshold takes there.
        largest: The largest batch size fitted.
    """

    linear_until: float
    flat_from: float
    slope: float
    residual: float
    examples: float
    largest: float

    def steps(self, batches: ArrayLike) -> Array:
        """Fitted steps to the threshold at these batch sizes."""
        slope = 0.0 if np.isnan(self.slope) else self.slope
        linear, middle = _stretches(np.log2(batches), np.log2(self.linear_until), np.log2(self.flat_from))
        return self.examples * np.exp2(-linear - slope * middle)


def regimes(batches: ArrayLike, steps: ArrayLike) -> Regimes:
    """Fit log2 k = c − x up to the first break point, slope −s up to the second, flat beyond; continuous.

    Least squares of log2 steps. Where the batch sizes do not decide (one point or none between the break points leaves
    s and one of them free), the narrowest middle stretch is taken: each octave of it costs 0.0003 squared octaves.

    Args:
        batches: Batch sizes m, at least four different ones, shape `(n,)`.
        steps: Steps to the threshold k(m), positive, shape `(n,)`; leave out runs that never reached it.

    Raises:
        UsageError: Fewer than four batch sizes, unequal lengths, or values that are not positive and finite.

    >>> found = regimes([16, 32, 64, 128, 256], [4096, 2048, 1024, 1024, 1024])
    >>> round(found.linear_until), round(found.flat_from), round(found.examples)
    (64, 64, 65536)
    """
    x, y = log2_points(batches, steps, MIN_BATCHES)
    first, last = x.min(), x.max()
    step = COARSE
    grid = np.arange(first, last + step / 2, step).clip(max=last)
    best = _best(x, y, grid, grid, NARROW)
    while step > FINEST:
        around, step = np.linspace(-step, step, 17), step / 8
        starts, ends = ((at + around).clip(first, last) for at in best)
        best = _best(x, y, starts, ends, NARROW / 1000)  # enough to break ties, too little to move a fit
    (c,), (slope,), (error,) = _fit(x, y, np.array([best[0]]), np.array([best[1]]))
    start, end = (float(np.exp2(at)) for at in best)
    return Regimes(
        start, end, float(slope) if best[1] - best[0] >= FINEST else float("nan"),
        float(np.sqrt(error / len(x))), float(np.exp2(c)), float(np.exp2(last)),
    )  # fmt: skip


def log2_points(batches: ArrayLike, steps: ArrayLike, minimum: int) -> tuple[Array, Array]:
    """log2 of batch sizes and of steps, checked: positive, finite, and `minimum` different batch sizes.

    Raises:
        UsageError: They are not.
    """
    m, k = np.asarray(batches, dtype=np.float64), np.asarray(steps, dtype=np.float64)
    if m.ndim != 1 or m.shape != k.shape:
        raise UsageError(f"expected one number of steps for each batch size, got shapes {m.shape} and {k.shape}.")
    if not (np.isfinite(m) & np.isfinite(k) & (m > 0) & (k > 0)).all():
        raise UsageError(
            "batch sizes and steps must be positive and finite. Leave out the runs that never reached the threshold."
        )
    if (found := len(np.unique(m))) < minimum:
        raise UsageError(f"the fit needs at least {minimum} batch sizes that reached the threshold, got {found}.")
    return np.log2(m), np.log2(k)


def _best(x: Array, y: Array, starts: Array, ends: Array, narrow: float) -> tuple[float, float]:
    """The break points (log2) of least squares among all pairs start <= end; an octave between them costs `narrow`."""
    start, end = (side.ravel() for side in np.meshgrid(starts, ends, indexing="ij"))
    valid = start <= end
    start, end = start[valid], end[valid]
    at = int(np.argmin(_fit(x, y, start, end)[2] + narrow * (end - start)))
    return float(start[at]), float(end[at])


def _fit(x: Array, y: Array, start: Array, end: Array) -> tuple[Array, Array, Array]:
    """For each pair of break points: c, s and the sum of squares of y = c − linear(x) − s · middle(x)."""
    linear, middle = _stretches(x, start[:, None], end[:, None])
    target = y + linear
    mean, centre = target.mean(1, keepdims=True), middle.mean(1, keepdims=True)
    spread = ((middle - centre) ** 2).sum(1)
    covariance = ((middle - centre) * (target - mean)).sum(1)
    slope = np.clip(np.divide(-covariance, spread, out=np.zeros_like(spread), where=spread > 0), 0, 1)
    level = mean[:, 0] + slope * centre[:, 0]
    residual = target - level[:, None] + slope[:, None] * middle
    return level, slope, (residual**2).sum(1)


def _stretches(x: Array, start: Array | float, end: Array | float) -> tuple[Array, Array]:
    """Octaves of the linear and of the middle stretch that lie below each x."""
    return np.minimum(x, start), np.clip(x, start, end) - start
