"""The runs and measures of jastrzebski, and what figures, tables and claims take from them."""

import math
from collections.abc import Iterator, Sequence

import pandas as pd

from reproduce import arms
from reproduce.matching import Match, match
from reproduce.papers.jastrzebski.problems import GRIDS, Grid, Pair, key
from reproduce.results import Results
from reproduce.study import Measure, Plan, Trial

TOLERANCE = 0.01
"""Relative residual of the Hessian norm; its own error is of the order of the square."""
PRODUCTS = 25
"""Products that a norm takes, for the estimate of the time."""
LOW, HIGH, POINTS = -1.0, 2.0, 31
"""The paper's line, and where it is looked at."""
MOMENTS = ("end", "matched")
COLLAPSE = 5.0
"""Points of training accuracy below its best at which a run counts as having collapsed on the way."""


def grid(plan: Plan, name: str) -> Grid:
    """A network at the plan's scale."""
    return GRIDS[plan.scale][name]


def run(plan: Plan, name: str, pair: Pair, seed: int) -> Trial:
    """One training."""
    problem = grid(plan, name).problem
    arm = problem.arm(key(pair))
    assert arm is not None
    return arms.trial(plan, problem, arm, seed)


def each(plan: Plan, pairs: str = "pairs") -> Iterator[tuple[str, Pair, int]]:
    """Network, pair and seed of every run, or of those at the pairs of one attribute of `Grid`."""
    for name in plan.networks:
        for pair in getattr(grid(plan, name), pairs):
            for seed in range(plan.seeds[name]):
                yield name, pair, seed


def each_line(plan: Plan) -> Iterator[tuple[str, tuple[Pair, Pair], int]]:
    """Network, pairs at 0 and at 1, and seed of every line of Figure 2."""
    for name in plan.networks:
        for ends in grid(plan, name).lines:
            for seed in range(plan.seeds[name]):
                yield name, ends, seed


def swept(plan: Plan) -> list[Trial]:
    """The runs of Figure 1: all of the network whose grid it is."""
    return [run(plan, *place) for place in each(plan) if place[0] == "MLP"]


def compared(plan: Plan) -> list[Trial]:
    """The runs of Figure 3, at equal ratios and at unequal ones."""
    return [run(plan, *place) for pairs in ("equal", "unequal") for place in each(plan, pairs)]


def joined(plan: Plan) -> list[Trial]:
    """The runs of Figure 2."""
    return [run(plan, name, pair, seed) for name, ends, seed in each_line(plan) for pair in ends]


def every(plan: Plan) -> list[Trial]:
    """All runs."""
    return [run(plan, *place) for place in each(plan)]


def matched(plan: Plan, results: Results, name: str) -> Match | None:
    """The training loss at which the runs of a network are compared over the pairs; None without a common one."""
    pairs = grid(plan, name).pairs
    return match(results, [[run(plan, name, pair, seed) for pair in pairs] for seed in range(plan.seeds[name])])


def norm(plan: Plan, name: str, pair: Pair, seed: int, weights: str = "final") -> Measure:
    """The largest eigenvalue of the Hessian of the training loss."""
    chosen = grid(plan, name)
    options = (("examples", chosen.measured), ("k", 1), ("tolerance", TOLERANCE))
    return Measure("eigenvalues", ((run(plan, name, pair, seed), weights),), options, PRODUCTS * chosen.seconds)


def evaluation(plan: Plan, name: str, pair: Pair, seed: int) -> Measure:
    """Loss and accuracy on all training and test examples at the end of training."""
    return Measure("evaluation", ((run(plan, name, pair, seed), "final"),), (), 5 * grid(plan, name).seconds)


def line(plan: Plan, name: str, ends: tuple[Pair, Pair], seed: int) -> Measure:
    """Loss and accuracy on the line through the solutions of two pairs."""
    chosen = grid(plan, name)
    options = {"shape": "linear", "low": LOW, "high": HIGH, "points": POINTS, "examples": chosen.measured}
    of = tuple((run(plan, name, pair, seed), "final") for pair in ends)
    return Measure("path", of, tuple(sorted(options.items())), POINTS * chosen.seconds)


def norms(plan: Plan, results: Results, pairs: Sequence[str] = ("pairs",)) -> list[Measure]:
    """`norm` and `evaluation` of the runs at these pairs, and `norm` at matched loss where there is such a loss."""
    found = []
    for place in dict.fromkeys(place for which in pairs for place in each(plan, which)):
        found += [norm(plan, *place), evaluation(plan, *place)]
        at = matched(plan, results, place[0])
        if at is not None:
            found.append(norm(plan, *place, at.weights))
    return found


def swept_norms(plan: Plan, results: Results) -> list[Measure]:
    """`norms` of the runs of Figure 1."""
    wanted = set(swept(plan))
    return [measure for measure in norms(plan, results) if measure.of[0][0] in wanted]


def lines(plan: Plan, results: Results) -> list[Measure]:
    """`line` of all that Figure 2 has."""
    return [line(plan, *place) for place in each_line(plan)]


def frame(plan: Plan, results: Results) -> pd.DataFrame:
    """One row a run that has been measured: what it came to.

    Columns network, rate, batch, ratio, seed, end and matched (largest eigenvalue at the end and at matched loss),
    accuracy (test, %), loss (training), and collapsed: whether its training accuracy ended `COLLAPSE` points below its
    best. NaN where the run diverged or there is no such number.
    """
    rows = []
    for name, pair, seed in each(plan):
        trial = run(plan, name, pair, seed)
        if results.run(trial) is None:
            continue
        lost, moment = results.diverged(trial), matched(plan, results, name)
        place = {"network": name, "rate": pair[0], "batch": pair[1], "ratio": pair[0] / pair[1], "seed": seed}
        told = evaluation(plan, name, pair, seed)
        values = {
            "end": results.value(norm(plan, name, pair, seed), "lambda_max"),
            "matched": math.nan
            if moment is None
            else results.value(norm(plan, name, pair, seed, moment.weights), "lambda_max"),
            "accuracy": results.value(told, "test_accuracy"),
            "loss": results.value(told, "train_loss"),
        }
        if lost or values["end"] is not None:
            found = {column: math.nan if value is None else value for column, value in values.items()}
            found["accuracy"] *= 100
            rows.append({**place, **found, "collapsed": _collapsed(results, trial)})
    columns = ["network", "rate", "batch", "ratio", "seed", "end", "matched", "accuracy", "loss", "collapsed"]
    return pd.DataFrame(rows, columns=columns)


def _collapsed(results: Results, trial: Trial) -> bool:
    curves = results.curves(trial)
    if curves is None:
        return False
    values = 100 * curves.loc[curves["metric"] == "train_accuracy", "value"]
    return bool(len(values) and values.max() - values.iloc[-1] >= COLLAPSE)


def at(found: pd.DataFrame, name: str, pair: Pair, column: str) -> dict[int, float]:
    """Seed -> value of a column of `frame` at a pair."""
    here = found[(found["network"] == name) & (found["rate"] == pair[0]) & (found["batch"] == pair[1])]
    return {int(seed): float(value) for seed, value in zip(here["seed"], here[column], strict=True)}
