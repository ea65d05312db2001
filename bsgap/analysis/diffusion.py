"""Does a distance grow like the logarithm of time, or like a power of it?

Hoffer, Hubara and Soudry (2017, Fig. 2) model SGD as a random walk on a random potential, in which the weights move
away from their start like ‖w_t − w_0‖ ~ ln t. A random walk without a potential would give √t. Two laws of two
parameters each are fitted to the same distances, by least squares of the distance itself, so that their residuals can
be compared: a + s ln t, and c t^p.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bsgap.errors import UsageError

MIN_POINTS = 3
POWERS = (-4.0, 4.0)  # range in which p is sought

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LogTimeFit:
    """Least-squares fit of d = a + s ln t, beside one of d = c t^p.

    Attributes:
        slope: s, distance for each e-fold of the steps.
        intercept: a, the fitted distance at step 1.
        r_squared: 1 − RSS / TSS of the logarithm; NaN where the distances are all equal.
        n: Points fitted.
        low: First of the steps fitted.
        high: Last of them.
        power: p of the power law; 1/2 is a random walk without a potential.
        coefficient: c of the power law.
        power_r_squared: 1 − RSS / TSS of the power law, of the same distances.
        sqrt_r_squared: The same of d = c √t alone, which has one parameter less.
    """

    slope: float
    intercept: float
    r_squared: float
    n: int
    low: float
    high: float
    power: float
    coefficient: float
    power_r_squared: float
    sqrt_r_squared: float

    @property
    def logarithmic(self) -> bool:
        """Whether the logarithm leaves less of the distances unexplained than the best power of time."""
        return self.r_squared > self.power_r_squared

    def distance(self, steps: ArrayLike) -> Array:
        """Fitted distances a + s ln t at these steps."""
        return self.intercept + self.slope * np.log(np.asarray(steps, dtype=np.float64))


def log_time_fit(
    steps: ArrayLike, distances: ArrayLike, low: float | None = None, high: float | None = None
) -> LogTimeFit:
    """Fit d = a + s ln t to the distances at the steps from `low` to `high`, and d = c t^p beside it.

    Every point counts the same. On log-spaced steps (`WeightDistance(per_doubling=2)`) every doubling of the time then
    does; on evenly spaced ones the late steps would decide. A power law with a small p is hardly different from a
    logarithm over a short range: look at both R².

    Args:
        steps: Optimizer steps t, positive, at least three different ones in the range, shape `(n,)`.
        distances: ‖w_t − w_0‖ at each, shape `(n,)`.
        low: First step of the range, inclusive; None for the first there is.
        high: Last step of the range, inclusive; None for the last there is.

    Raises:
        UsageError: Lengths differ, a step is not positive, a value is not finite, or fewer than three different steps
            are in the range.

    >>> found = log_time_fit([1, 2, 4, 8], [0.5, 1.5, 2.5, 3.5])  # 0.5 + log2 t
    >>> round(found.slope, 4), round(found.intercept, 4), round(found.r_squared, 4), found.logarithmic
    (1.4427, 0.5, 1.0, True)
    """
    t, d = np.asarray(steps, dtype=np.float64), np.asarray(distances, dtype=np.float64)
    if t.ndim != 1 or t.shape != d.shape:
        raise UsageError(f"steps and distances must be two lists of one length, got shapes {t.shape} and {d.shape}.")
    if not (np.isfinite(t).all() and np.isfinite(d).all()):
        raise UsageError("steps and distances must be finite: leave out runs that diverged.")
    if (t <= 0).any():
        raise UsageError(f"steps must be positive, got {t.min():g}: the logarithm of step 0 is not defined.")
    inside = (t >= (-np.inf if low is None else low)) & (t <= (np.inf if high is None else high))
    t, d = t[inside], d[inside]
    if len(np.unique(t)) < MIN_POINTS:
        raise UsageError(
            f"a fit needs distances at {MIN_POINTS} different steps at least, got {len(np.unique(t))}"
            f" (low: {low}, high: {high})."
        )
    x = np.log(t)
    x_mean, d_mean = x.mean(), d.mean()
    slope = float((x - x_mean) @ (d - d_mean) / ((x - x_mean) @ (x - x_mean)))
    intercept = float(d_mean - slope * x_mean)
    total = float((d - d_mean) @ (d - d_mean))
    power, coefficient = _power_law(x, d)
    root = _coefficients(x, d, np.array([0.5]))[0]

    def explained(fitted: Array) -> float:
        return 1 - float((d - fitted) @ (d - fitted)) / total if total > 0 else float("nan")

    return LogTimeFit(
        slope=slope, intercept=intercept, r_squared=explained(intercept + slope * x), n=len(t),
        low=float(t.min()), high=float(t.max()), power=power, coefficient=coefficient,
        power_r_squared=explained(coefficient * np.exp(power * x)), sqrt_r_squared=explained(root * np.exp(x / 2)),
    )  # fmt: skip


def _power_law(x: Array, d: Array) -> tuple[float, float]:
    """P and c of d = c e^(p x) by least squares of d: c is closed-form for each p, and p is sought on a grid."""
    middle = x.mean()  # of the range, so that no power of t is too large
    centred = x - middle
    start, end = POWERS
    for _ in range(8):  # each round narrows the bracket forty-fold
        grid = np.linspace(start, end, 81)
        fitted = _coefficients(centred, d, grid)[:, None] * np.exp(np.outer(grid, centred))
        at = int(np.argmin(((d - fitted) ** 2).sum(axis=1)))
        start, end = grid[max(at - 1, 0)], grid[min(at + 1, len(grid) - 1)]
    power = float(grid[at])
    return power, float(_coefficients(centred, d, grid[at : at + 1])[0] * np.exp(-power * middle))


def _coefficients(x: Array, d: Array, powers: Array) -> Array:
    """The best c for each p: Σ d e^(p x) / Σ e^(2 p x)."""
    shapes = np.exp(np.outer(powers, x))
    return (shapes @ d) / (shapes * shapes).sum(axis=1)
