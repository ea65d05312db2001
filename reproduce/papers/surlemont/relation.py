"""How the best rate grows with the batch: the rate of the highest validation accuracy, and the power that fits."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import linregress
from scipy.stats import t as student

from bsgap.analysis import Interval
from reproduce.papers.surlemont.choice import SEED, rates, score
from reproduce.papers.surlemont.problems import METHODS, cells
from reproduce.results import Results
from reproduce.study import Plan


def vertex(rates: Sequence[float], scores: Sequence[float], at: int | None = None) -> float:
    """The rate at which the parabola through the best candidate and its two neighbours is highest, in log rate.

    `at` is the best candidate's position, by default that of the first highest score.

    At the end of the grid, or where a neighbour diverged or has less than half of its score, which is no slope but a
    collapse, it is the best candidate itself.

    >>> round(vertex([1, 4, 16], [0.5, 0.75, 0.5]), 6)
    4.0
    >>> vertex([1, 4, 16], [0.9, 0.75, 0.5])
    1
    """
    at = int(np.argmax(scores)) if at is None else at
    near = [at - 1, at, at + 1]
    if near[0] < 0 or near[2] >= len(rates) or min(scores[index] for index in near) < scores[at] / 2:
        return rates[at]
    x, y = np.log([rates[index] for index in near]), np.array([scores[index] for index in near])
    a, b, _ = np.polyfit(x - x[1], y, 2)
    return float(np.exp(x[1] - b / (2 * a))) if a < 0 else rates[at]


def best_rates(plan: Plan, results: Results) -> pd.DataFrame:
    """Columns optimizer, method, batch, seed, rate, edge: one row a cell all of whose candidates have been run.

    `edge` says that the best candidate is at an end of the grid, so that the best rate may lie beyond.
    """
    rows = []
    for cell in cells(plan):
        settings = rates(plan, results, cell)
        scores = [score(plan, results, cell, setting) for setting in settings]
        known = [found for found in scores if found is not None]
        if len(known) < len(settings) or not any(math.isfinite(accuracy) for accuracy, _ in known):
            continue
        at = known.index(max(known))  # of equal accuracies as `choice.best` decides
        grid = [setting.rate for setting in settings]
        rows.append({
            "optimizer": cell.network, "method": cell.method, "batch": cell.batch, "seed": SEED,
            "rate": vertex(grid, [accuracy for accuracy, _ in known], at), "edge": at in (0, len(grid) - 1),
        })  # fmt: skip
    return pd.DataFrame(rows, columns=["optimizer", "method", "batch", "seed", "rate", "edge"])


def power(plan: Plan, results: Results, optimizer: str, method: str) -> Interval | None:
    """The p of rate ~ batch^p, by least squares on logarithms, with the interval of the residuals over batch sizes.

    A rate at an end of the grid is a bound and not a value, so it is left out. `n` counts the batch sizes that are in;
    None with fewer than two.
    """
    found = best_rates(plan, results)
    here = found[(found["optimizer"] == optimizer) & (found["method"] == method) & ~found["edge"].astype(bool)]
    count = here["batch"].nunique()
    if count < 2:
        return None
    fit = linregress(np.log(here["batch"].astype(float)), np.log(here["rate"].astype(float)))
    deviation = 0.0 if math.isnan(fit.stderr) else float(fit.stderr)  # of equal rates it is 0/0
    half = deviation * float(student.ppf(0.975, count - 2)) if count > 2 else math.inf
    return Interval(float(fit.slope), float(fit.slope) - half, float(fit.slope) + half, count, effect="slope")


def powers(plan: Plan, results: Results) -> pd.DataFrame:
    """Columns optimizer, method, power, low, high, edges, batches: `power`, and how many best rates are at an edge."""
    found = best_rates(plan, results)
    rows = []
    for optimizer in plan.networks:
        for method in METHODS:
            here = found[(found["optimizer"] == optimizer) & (found["method"] == method)]
            interval = power(plan, results, optimizer, method)
            if interval is not None:
                rows.append({
                    "optimizer": optimizer, "method": method, "power": interval.estimate, "low": interval.low,
                    "high": interval.high, "edges": int(here["edge"].sum()), "batches": len(here),
                })  # fmt: skip
    return pd.DataFrame(rows, columns=["optimizer", "method", "power", "low", "high", "edges", "batches"])
