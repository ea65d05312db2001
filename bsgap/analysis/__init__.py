"""Analysis of results: loss curves, speed-up over the batch size and its regimes, statistics over seeds. No torch."""

from bsgap.analysis.critical import CriticalBatch, critical_batch
from bsgap.analysis.curves import Crossing, Curve, smooth, steps_to
from bsgap.analysis.diffusion import LogTimeFit, log_time_fit
from bsgap.analysis.intervals import RegimeIntervals, regime_intervals
from bsgap.analysis.logs import read_curves, speedups
from bsgap.analysis.regimes import Regimes, regimes
from bsgap.analysis.speedup import Crossings, speedup
from bsgap.analysis.statistics import (
    MIN_SEEDS,
    Interval,
    MeanStd,
    mean_interval,
    mean_std,
    paired_interval,
    slope_interval,
    verdict,
)
from bsgap.analysis.thresholds import Threshold, lower_quartile, threshold

__all__ = [
    "MIN_SEEDS",
    "CriticalBatch",
    "Crossing",
    "Crossings",
    "Curve",
    "Interval",
    "LogTimeFit",
    "MeanStd",
    "RegimeIntervals",
    "Regimes",
    "Threshold",
    "critical_batch",
    "log_time_fit",
    "lower_quartile",
    "mean_interval",
    "mean_std",
    "paired_interval",
    "read_curves",
    "regime_intervals",
    "regimes",
    "slope_interval",
    "smooth",
    "speedup",
    "speedups",
    "steps_to",
    "threshold",
    "verdict",
]
