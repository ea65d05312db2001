"""Intervals over seeds of the break points and of the critical batch size of a speed-up curve."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bsgap.analysis.critical import critical_batch
from bsgap.analysis.regimes import MIN_BATCHES, Regimes, regimes
from bsgap.analysis.statistics import Interval, mean_interval
from bsgap.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class RegimeIntervals:
    """Intervals over seeds, one fit a seed; those of batch sizes are taken on the log2 scale and given in examples.

    Attributes:
        linear_until: Where the steps cease to fall as 1/m: geometric mean and bounds.
        flat_from: Where they cease to fall.
        slope: The middle stretch's s; seeds whose break points meet have none and are left out.
        critical_batch: B_crit of the smooth fit; seeds whose data do not bound it are left out.
        seeds: Seed -> its three-regime fit.
        short: Seeds with too few batch sizes that reached the threshold: left out of every interval and counted in
            their `excluded`.
        censored: Runs that never reached the threshold, left out of the fits.
        never_flat: Seeds whose steps still fall at their largest batch: their `flat_from` is that batch, a lower bound.
    """

    linear_until: Interval
    flat_from: Interval
    slope: Interval
    critical_batch: Interval
    seeds: dict[int, Regimes]
    short: tuple[int, ...]
    censored: int
    never_flat: int


def regime_intervals(frame: "pd.DataFrame", *, level: float = 0.95) -> RegimeIntervals:
    """Fit the regimes of every seed of a speed-up curve, and take Student's interval over the seeds.

    Args:
        frame: What `speedup` gives for one curve: columns batch, seed, steps, reached.
        level: Confidence level, in (0, 1).

    Raises:
        UsageError: A column is missing, two runs share a batch size and seed, or no seed has four batch sizes that
            reached the threshold.
    """
    if missing := {"batch", "seed", "steps", "reached"} - set(frame.columns):
        raise UsageError(f"expected the frame that speedup gives, got one without {', '.join(sorted(missing))}.")
    if frame.duplicated(["batch", "seed"]).any():
        raise UsageError("two runs share a batch size and seed: give the rows of one curve at a time.")
    fits: dict[int, Regimes] = {}
    critical: dict[int, float] = {}
    short: list[int] = []
    for seed, rows in frame.groupby("seed"):
        kept = rows[rows["reached"].astype(bool)]
        if len(kept) < MIN_BATCHES:
            short.append(int(seed))
            continue
        fits[int(seed)] = regimes(kept["batch"], kept["steps"])
        critical[int(seed)] = critical_batch(kept["batch"], kept["steps"]).critical_batch
    if not fits:
        raise UsageError(f"no seed has the {MIN_BATCHES} batch sizes at the threshold that a three-regime fit needs.")
    none = dict.fromkeys(short, math.nan)
    return RegimeIntervals(
        linear_until=_of_logs({seed: fit.linear_until for seed, fit in fits.items()} | none, level),
        flat_from=_of_logs({seed: fit.flat_from for seed, fit in fits.items()} | none, level),
        slope=mean_interval({seed: fit.slope for seed, fit in fits.items()} | none, level=level, effect="slope"),
        critical_batch=_of_logs(critical | none, level),
        seeds=fits,
        short=tuple(short),
        censored=int((~frame["reached"].astype(bool)).sum()),
        never_flat=sum(fit.flat_from >= fit.largest for fit in fits.values()),
    )


def _of_logs(values: dict[int, float], level: float) -> Interval:
    """Interval of the mean log2, in the values' own unit; 0 and ∞ are no finite logarithm and are left out."""
    logs = {seed: math.log2(value) if 0 < value < math.inf else math.nan for seed, value in values.items()}
    found = mean_interval(logs, level=level)
    with np.errstate(over="ignore"):  # two seeds far apart have bounds beyond any float: 0 and ∞
        estimate, low, high = map(float, np.exp2([found.estimate, found.low, found.high]))
    return Interval(estimate, low, high, found.n, level, "mean", found.excluded)
