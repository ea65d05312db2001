"""The runs and measures of asam, and what figures, tables and claims take from them."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from reproduce import arms
from reproduce.papers.asam.problems import PROBLEMS, here
from reproduce.papers.sam.choice import best
from reproduce.papers.sam.problems import SGD, radius
from reproduce.results import Results
from reproduce.study import Measure, Plan, Trial

METHODS = ("SGD", "SAM", "ASAM")
BALL, ADAPTIVE = "ball", "adaptive ball"
RADIUS, ADAPTIVE_RADIUS, ETA = 0.1, 1.0, 0.01
"""rho of the two balls, and the eta of the adaptive one: those of the accompanying study."""
ASCENT = 10
"""Steps of the maximiser."""
NEAR = 1.0
"""Points of test error within which a rho is as good as the best."""

Values = dict[int, float]
"""One value a seed."""


def run(plan: Plan, name: str, key: str, seed: int) -> Trial:
    """One training."""
    problem = here(plan, name).problem
    arm = problem.arm(key)
    assert arm is not None
    return arms.trial(plan, problem, arm, seed)


def every_run(plan: Plan) -> list[Trial]:
    """All runs of the plan."""
    return arms.trials(plan, PROBLEMS)


def keys(plan: Plan, name: str, method: str) -> tuple[str, ...]:
    """The arms of a method, by ascending rho."""
    chosen = here(plan, name)
    return {"SGD": (SGD,), "SAM": chosen.keys(), "ASAM": chosen.adaptive_keys}[method]


def chosen(plan: Plan, results: Results, name: str, method: str) -> str | None:
    """The arm of a method at the rho of the best validation accuracy; None while its grid is incomplete."""
    return best(plan, results, here(plan, name).problem, name, keys(plan, name, method))


def errors(plan: Plan, results: Results, name: str, key: str | None) -> Values:
    """Seed -> test error (%) of an arm at the end; NaN where it diverged."""
    return {} if key is None else arms.finals(plan, results, PROBLEMS, name, key, "test_error")


# The range of good rho ------------------------------------------------------------------------------------------------
def width(radii: Sequence[float], values: Sequence[float], near: float = NEAR) -> float:
    """Decades of rho around the best over which the error is at most `near` above it.

    Between two points of the grid the error is taken to be linear in log rho. The range ends where the grid ends. A rho
    at which a run diverged is bad, and its neighbours' range ends half way to it. NaN where all diverged.

    >>> width([0.01, 0.1, 1.0], [5.0, 4.0, 6.0])  # half of the way from 4 to 6 is within 1 point
    1.5
    """
    if not any(map(math.isfinite, values)):
        return math.nan
    at, limit = int(np.nanargmin(values)), float(np.nanmin(values)) + near
    places = np.log10(radii)

    def reach(step: int) -> float:
        index = at
        while 0 <= index + step < len(values) and values[index + step] <= limit:
            index += step
        following = index + step
        if not 0 <= following < len(values):
            return float(places[index])
        rise = values[following] - values[index]
        share = (limit - values[index]) / rise if math.isfinite(rise) else 0.5
        return float(places[index] + share * (places[following] - places[index]))

    return reach(1) - reach(-1)


def widths(plan: Plan, results: Results, name: str, method: str) -> Values:
    """Seed -> `width` of a method's grid, for the seeds of which the whole grid has been run."""
    grid = keys(plan, name, method)
    found = [errors(plan, results, name, key) for key in grid]
    seeds = set.intersection(*(set(values) for values in found))
    radii = [radius(key) for key in grid]
    return {seed: width(radii, [values[seed] for values in found]) for seed in sorted(seeds)}


# Sharpness at the end -------------------------------------------------------------------------------------------------
def ball(plan: Plan, name: str, key: str, seed: int, kind: str) -> Measure:
    """Rise of the loss in a ball around where a run ended, the l2 one or the adaptive one."""
    setting = here(plan, name)
    options: dict[str, Any] = {"steps": ASCENT, "examples": setting.measured, "rho": RADIUS}
    if kind == ADAPTIVE:
        options |= {"rho": ADAPTIVE_RADIUS, "adaptive": True, "eta": ETA}
    seconds = (ASCENT + 1) * setting.pass_seconds
    return Measure("ball", ((run(plan, name, key, seed), "final"),), tuple(sorted(options.items())), seconds)


def compared(plan: Plan, results: Results) -> list[tuple[str, str, str, int]]:
    """Network, method, arm and seed of every run that is measured: SGD, and each method's best."""
    return [
        (name, method, key, seed)
        for name in plan.networks
        for method in METHODS
        if (key := chosen(plan, results, name, method)) is not None
        for seed in range(plan.seeds[name])
    ]


def measures(plan: Plan, results: Results) -> list[Measure]:
    """Both balls of all these runs."""
    return [
        ball(plan, name, key, seed, kind) for name, _, key, seed in compared(plan, results) for kind in (BALL, ADAPTIVE)
    ]


def minima(plan: Plan, results: Results) -> pd.DataFrame:
    """One row a run: network, method, key, seed, loss, ball, adaptive ball; NaN where missing or diverged."""
    rows = []
    for name, method, key, seed in compared(plan, results):
        both = {kind: ball(plan, name, key, seed, kind) for kind in (BALL, ADAPTIVE)}
        values = {kind: results.value(measure, "value") for kind, measure in both.items()}
        values["loss"] = results.value(both[BALL], "start_loss")
        if any(value is not None for value in values.values()):
            rows.append({
                "network": name, "method": method, "key": key, "seed": seed,
                **{kind: math.nan if value is None else value for kind, value in values.items()},
            })  # fmt: skip
    return pd.DataFrame(rows, columns=["network", "method", "key", "seed", "loss", BALL, ADAPTIVE])


def sharpness(found: pd.DataFrame, name: str, method: str, kind: str) -> Values:
    """Seed -> one column of `minima`."""
    rows = found[(found["network"] == name) & (found["method"] == method)]
    return {int(seed): float(value) for seed, value in zip(rows["seed"], rows[kind], strict=True)}
