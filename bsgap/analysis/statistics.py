"""Statistics over seeds: means, seed-paired intervals of an effect, and the verdict on a claim.

A small-batch and a large-batch run of one seed start from the same weights, so effects are taken seed by seed and the
interval is that of the paired effects, which is narrower than that of two independent groups. The seeds are few, so it
is Student's: mean ± t · s / √n, with t the quantile of n − 1 degrees of freedom and s the sample deviation (n − 1).

A run that diverged has no finite value. Its pair is left out, counted in `excluded`, and the verdict is then
inconclusive: what is left are the survivors, and they favour whichever side diverges more often.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from bsgap.errors import UsageError

Values = Sequence[float] | Mapping[int, float] | NDArray[np.floating]
"""One value a seed: a mapping from seed to value, or a sequence whose order is that of the seeds."""

Effect = Literal["difference", "ratio", "mean", "slope"]
Direction = Literal["greater", "less", "within"]
Verdict = Literal["reproduced", "not reproduced", "inconclusive", "not run"]
MIN_SEEDS = 3


@dataclass(frozen=True)
class MeanStd:
    """Mean and sample standard deviation (n − 1) over seeds.

    Attributes:
        mean: Mean of the finite values; NaN when there are none.
        std: Their deviation; NaN for fewer than two.
        n: Number of finite values.
        excluded: Number of values that are not finite: diverged runs.
    """

    mean: float
    std: float
    n: int
    excluded: int = 0

    def __str__(self) -> str:
        spread = "" if math.isnan(self.std) else f" ± {self.std:.2g}"
        return f"{self.mean:.4g}{spread} (n = {self.n}{_left_out(self.excluded, 'run')})"


@dataclass(frozen=True)
class Interval:
    """Confidence interval of an effect over seeds.

    Attributes:
        estimate: Mean effect; for a ratio the geometric mean. NaN when no seed counts.
        low: Lower bound; for one seed −∞ (0 for a ratio), for none NaN.
        high: Upper bound; for one seed ∞.
        n: Seeds that count.
        level: Confidence level.
        effect: What the numbers are: a difference, a ratio, a mean, a slope.
        excluded: Seeds left out because a value is not finite: diverged runs.
        unpaired: Seeds of which only one side has been run.
    """

    estimate: float
    low: float
    high: float
    n: int
    level: float = 0.95
    effect: Effect = "difference"
    excluded: int = 0
    unpaired: int = 0

    def __str__(self) -> str:
        left_out = _left_out(self.excluded, "pair" if self.effect in ("difference", "ratio") else "seed")
        unpaired = f", {self.unpaired} without a partner" if self.unpaired else ""
        bounds = f"[{self.low:.4g}, {self.high:.4g}]"
        return f"{self.effect} {self.estimate:.4g} {bounds} (n = {self.n}{left_out}{unpaired})"


def mean_std(values: Values) -> MeanStd:
    """Mean and sample standard deviation of one value a seed; values that are not finite are left out and counted.

    >>> mean_std([1.0, 2.0, 3.0, float("nan")])
    MeanStd(mean=2.0, std=1.0, n=3, excluded=1)
    """
    found = np.asarray(list(_by_seed(values).values()), dtype=np.float64)
    finite = found[np.isfinite(found)]
    mean = float(finite.mean()) if finite.size else math.nan
    std = float(finite.std(ddof=1)) if finite.size > 1 else math.nan
    return MeanStd(mean, std, int(finite.size), int(found.size - finite.size))


def mean_interval(values: Values, *, level: float = 0.95, effect: Effect = "mean") -> Interval:
    """Student's interval of the mean of one value a seed: mean ± t · s / √n.

    Without spread (s = 0) it is the point itself. One seed gives the whole line, since it shows no spread.

    Args:
        values: One value a seed; those that are not finite are left out and counted.
        level: Confidence level, in (0, 1).
        effect: What the values are, for the record; not `ratio`, for which see `paired_interval`.

    Raises:
        UsageError: The level is outside (0, 1).
    """
    if not 0 < level < 1:
        raise UsageError(f"level must be between 0 and 1, got {level}. 95 % is 0.95.")
    found = np.asarray(list(_by_seed(values).values()), dtype=np.float64)
    finite = found[np.isfinite(found)]
    n, excluded = int(finite.size), int(found.size - finite.size)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0, level, effect, excluded)
    mean = float(finite.mean())
    if n == 1:
        return Interval(mean, -math.inf, math.inf, 1, level, effect, excluded)
    half = float(stdtrit(n - 1, (1 + level) / 2)) * _deviation(finite) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n, level, effect, excluded)


def paired_interval(
    a: Values, b: Values, effect: Literal["difference", "ratio"] = "difference", level: float = 0.95
) -> Interval:
    """Interval of the seed-paired effect of `a` over `b`: the difference a − b, or the ratio a / b.

    A ratio is averaged on the log scale, log a − log b, and given back as the geometric mean ratio and its bounds.

    Args:
        a: One value a seed.
        b: One value a seed. Mappings are paired by seed, sequences by position.
        effect: `difference` or `ratio`.
        level: Confidence level, in (0, 1).

    Raises:
        UsageError: Sequences of different lengths, a mapping beside a sequence, another effect, a level outside
            (0, 1), or a ratio of values that are not positive.

    >>> paired_interval([0.8, 0.9, 1.0], [0.6, 0.7, 0.8]).n
    3
    """
    if effect not in ("difference", "ratio"):
        raise UsageError(f"effect must be difference or ratio, got {effect!r}.")
    if isinstance(a, Mapping) != isinstance(b, Mapping):
        raise UsageError("values must both be mappings from seed to value, or both be sequences, got one of each.")
    if not isinstance(a, Mapping) and len(a) != len(b):
        raise UsageError(
            f"sequences are paired by position and need equal lengths, got {len(a)} and {len(b)}."
            " Give mappings from seed to value to pair by seed."
        )
    left, right = _by_seed(a), _by_seed(b)
    seeds = [seed for seed in left if seed in right]
    unpaired = len(left.keys() ^ right.keys())
    first, second = (np.asarray([side[seed] for seed in seeds], dtype=np.float64) for side in (left, right))
    effects = np.full(len(seeds), np.nan)  # a pair with a value that is not finite stays NaN: excluded
    finite = np.isfinite(first) & np.isfinite(second)
    if effect == "difference":
        effects[finite] = first[finite] - second[finite]
        found = mean_interval(effects, level=level)
        estimate, low, high = found.estimate, found.low, found.high
    else:
        smallest = min(first[finite].min(initial=math.inf), second[finite].min(initial=math.inf))
        if smallest <= 0:
            raise UsageError(f"a ratio needs positive values, got {smallest:g}. Use effect='difference'.")
        effects[finite] = np.log(first[finite]) - np.log(second[finite])
        found = mean_interval(effects, level=level)
        estimate, low, high = _exp(found.estimate), _exp(found.low), _exp(found.high)
    return Interval(estimate, low, high, found.n, level, effect, found.excluded, unpaired)


def slope_interval(x: Sequence[float], curves: Sequence[Sequence[float]], level: float = 0.95) -> Interval:
    """Interval of the least-squares slope of a quantity over `x`, one slope a seed.

    Each seed's slope is Σ (x − x̄)(y − ȳ) / Σ (x − x̄)²; the interval is over seeds, as points of one seed are dependent.

    Args:
        x: Abscissae, such as log2 of the batch size, shape `(k,)`.
        curves: One row a seed, values at `x`, shape `(seeds, k)`. A row with a value that is not finite is left out.
        level: Confidence level, in (0, 1).

    Raises:
        UsageError: Fewer than two distinct abscissae, or a row of another length.

    >>> slope_interval([0, 1, 2], [[1, 3, 5], [0, 2, 4]]).estimate
    2.0
    """
    at = np.asarray(x, dtype=np.float64)
    if len(np.unique(at)) < 2 or not np.isfinite(at).all():
        raise UsageError(f"a slope needs at least two different finite abscissae, got {list(x)}.")
    if wrong := [len(row) for row in curves if len(row) != len(at)]:
        raise UsageError(f"every curve needs {len(at)} values, one for each abscissa, got one of {wrong[0]}.")
    rows = np.asarray(curves, dtype=np.float64).reshape(len(curves), len(at))
    centred = at - at.mean()
    slopes = np.full(len(rows), np.nan)
    finite = np.isfinite(rows).all(axis=1)
    rises = rows[finite] - rows[finite, :1]  # of equal values exactly 0
    slopes[finite] = rises @ centred / (centred @ centred)
    return mean_interval(slopes, level=level, effect="slope")


def verdict(
    interval: Interval | None, minimal: float, direction: Direction = "greater", *, min_seeds: int = MIN_SEEDS
) -> Verdict:
    """Verdict on a claim from the interval of its effect.

    | direction | reproduced | not reproduced |
    |---|---|---|
    | `greater` | low > minimal | high < minimal |
    | `less` | high < minimal | low > minimal |
    | `within` | inside ±minimal (a ratio: inside 1/minimal and minimal) | outside on one side |

    Otherwise it is inconclusive, as it is with fewer than `min_seeds` seeds, or when a run diverged and its seed had to
    be left out. `not run` when no seed has been run.

    Args:
        interval: Interval of the effect; None when there are no data.
        minimal: Minimal size that counts, in the effect's unit (a ratio's is a ratio).
        direction: Which side of `minimal` the claim is on.
        min_seeds: Seeds that the claim needs, at least 3.

    Raises:
        UsageError: Fewer than 3 `min_seeds`, another direction, or a `minimal` that means nothing with it.
    """
    if min_seeds < MIN_SEEDS:
        raise UsageError(f"min_seeds must be at least {MIN_SEEDS}, got {min_seeds}.")
    low_edge, high_edge = _edges(minimal, direction, ratio=interval is not None and interval.effect == "ratio")
    if interval is None or interval.n + interval.excluded == 0:
        return "not run"
    if interval.n < min_seeds or interval.excluded:
        return "inconclusive"
    if low_edge < interval.low and interval.high < high_edge:
        return "reproduced"
    if interval.high < low_edge or interval.low > high_edge:
        return "not reproduced"
    return "inconclusive"


def _edges(minimal: float, direction: Direction, *, ratio: bool) -> tuple[float, float]:
    """Open interval in which the effect must lie for the claim to hold."""
    if not math.isfinite(minimal):
        raise UsageError(f"minimal must be a finite number, got {minimal}.")
    if ratio and minimal <= 0:
        raise UsageError(f"minimal of a ratio must be positive, got {minimal}. No effect is a ratio of 1.")
    if direction == "greater":
        return minimal, math.inf
    if direction == "less":
        return -math.inf, minimal
    if direction != "within":
        raise UsageError(f"direction must be greater, less or within, got {direction!r}.")
    if ratio and minimal <= 1:
        raise UsageError(f"a ratio within 1/minimal and minimal needs a minimal above 1, got {minimal}.")
    if minimal <= 0:
        raise UsageError(f"an effect within ±minimal needs a positive minimal, got {minimal}.")
    return (1 / minimal, minimal) if ratio else (-minimal, minimal)


def _by_seed(values: Values) -> dict[int, float]:
    if isinstance(values, Mapping):
        return {int(seed): float(value) for seed, value in values.items()}
    return {seed: float(value) for seed, value in enumerate(values)}


def _deviation(values: NDArray[np.float64]) -> float:
    """Sample deviation; exactly 0 for equal values, whose rounded mean differs from them in the last bit."""
    return 0.0 if (values == values[0]).all() else float(values.std(ddof=1))


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def _left_out(number: int, noun: str) -> str:
    return f", {number} diverged {noun}{'s' if number > 1 else ''} left out" if number else ""
