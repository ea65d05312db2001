"""Analysis of results: statistics over seeds. No torch here."""

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

__all__ = [
    "MIN_SEEDS",
    "Interval",
    "MeanStd",
    "mean_interval",
    "mean_std",
    "paired_interval",
    "slope_interval",
    "verdict",
]
