"""The runs and measures of yao, and what figures, tables and claims take from them."""

import math
from collections.abc import Iterator

import pandas as pd

from reproduce import arms
from reproduce.matching import Match, match
from reproduce.papers.yao.problems import SWEEPS, Sweep, key
from reproduce.results import Results
from reproduce.study import Measure, Plan, Trial

TOP = 3
"""Eigenvalues of a spectrum."""
TOLERANCE = 0.01
"""Relative residual of the eigenvalues; their own error is of the order of the square."""
LOWEST = 40
"""Products that the most negative eigenvalue is given."""
PRODUCTS = 40
"""Products that a spectrum takes, for the estimate of the time."""
POINTS = 31
"""Points of a curve along the top eigenvector."""


def sweep(plan: Plan, name: str) -> Sweep:
    """A network at the plan's scale."""
    return SWEEPS[plan.scale][name]


def run(plan: Plan, name: str, batch: int, seed: int) -> Trial:
    """One training."""
    problem = sweep(plan, name).problem
    arm = problem.arm(key(batch))
    assert arm is not None
    return arms.trial(plan, problem, arm, seed)


def each(plan: Plan) -> Iterator[tuple[str, int, int]]:
    """Network, batch size and seed of every run."""
    for name in plan.networks:
        for batch in sweep(plan, name).batches:
            for seed in range(plan.seeds[name]):
                yield name, batch, seed


def trials(plan: Plan) -> list[Trial]:
    """Every run."""
    return [run(plan, *place) for place in each(plan)]


def ends(plan: Plan) -> list[Trial]:
    """The runs at the smallest and at the largest batch size."""
    return [run(plan, *place) for place in each(plan) if place[1] in _ends(plan, place[0])]


def _ends(plan: Plan, name: str) -> tuple[int, int]:
    batches = sweep(plan, name).batches
    return batches[0], batches[-1]


def matched(plan: Plan, results: Results, name: str) -> Match | None:
    """The training loss at which the runs of a network are compared over batch sizes; None without a common one."""
    batches = sweep(plan, name).batches
    return match(results, [[run(plan, name, batch, seed) for batch in batches] for seed in range(plan.seeds[name])])


def spectrum(plan: Plan, name: str, batch: int, seed: int, weights: str = "final") -> Measure:
    """The largest eigenvalues of the training loss's Hessian and, at the end of a run, the most negative one."""
    chosen = sweep(plan, name)
    options = {"examples": chosen.measured, "k": TOP, "tolerance": TOLERANCE}
    if weights == "final":
        options["lowest_products"] = LOWEST
    return _measure(plan, name, batch, seed, "eigenvalues", options, PRODUCTS + LOWEST, weights)


def along(plan: Plan, name: str, batch: int, seed: int) -> Measure:
    """Training loss along the eigenvector of the largest eigenvalue."""
    chosen = sweep(plan, name)
    options = {"examples": chosen.measured, "span": chosen.span, "points": POINTS, "tolerance": TOLERANCE}
    return _measure(plan, name, batch, seed, "along", options, PRODUCTS)


def attack(plan: Plan, name: str, batch: int, seed: int) -> Measure:
    """Accuracy on the test examples under the fast gradient sign method."""
    options = {"epsilons": list(sweep(plan, name).epsilons), "split": "test"}
    return _measure(plan, name, batch, seed, "adversarial", options, 4)


def _measure(
    plan: Plan, name: str, batch: int, seed: int, kind: str, options: dict, products: int, weights: str = "final"
) -> Measure:  # fmt: skip
    pairs = tuple((option, tuple(value) if isinstance(value, list) else value) for option, value in options.items())
    seconds = products * sweep(plan, name).seconds
    return Measure(kind, ((run(plan, name, batch, seed), weights),), tuple(sorted(pairs)), seconds)


def spectra(plan: Plan, results: Results) -> list[Measure]:
    """`spectrum` of every run at its end, and of the weights at matched loss where there are such."""
    found = [spectrum(plan, *place) for place in each(plan)]
    for name, batch, seed in each(plan):
        at = matched(plan, results, name)
        if at is not None:
            found.append(spectrum(plan, name, batch, seed, at.weights))
    return found


def curves(plan: Plan, results: Results) -> list[Measure]:
    """`along` of the runs at the smallest and at the largest batch size."""
    return [along(plan, *place) for place in each(plan) if place[1] in _ends(plan, place[0])]


def attacks(plan: Plan, results: Results) -> list[Measure]:
    """`attack` of every run."""
    return [attack(plan, *place) for place in each(plan)]


def spectrum_frame(plan: Plan, results: Results) -> pd.DataFrame:
    """One row an eigenvalue: network, batch, seed, moment (`end` or `matched`), level, which, value, converged.

    `which` is 1, 2, ... from the largest on, and 0 for the most negative one; `level` names the weights. NaN where the
    run diverged; empty where nothing has been measured.
    """
    rows = []
    for name, batch, seed in each(plan):
        at = matched(plan, results, name)
        for moment, weights in (("end", "final"), ("matched", None if at is None else at.weights)):
            if weights is None:
                continue
            measure = spectrum(plan, name, batch, seed, weights)
            lost = moment == "end" and results.diverged(run(plan, name, batch, seed))
            found = None if lost else results.measured(measure)
            if found is None and not lost:
                continue
            values = [math.nan] * TOP if found is None else found["values"]
            good = [True] * TOP if found is None else found["converged"]
            numbered = list(zip(range(1, TOP + 1), values, good, strict=True))
            if moment == "end":
                numbered.append((0, *((math.nan, True) if found is None else _lowest(found))))
            place = {"network": name, "batch": batch, "seed": seed, "moment": moment, "level": weights}
            rows += [{**place, "which": which, "value": value, "converged": ok} for which, value, ok in numbered]
    columns = ["network", "batch", "seed", "moment", "level", "which", "value", "converged"]
    return pd.DataFrame(rows, columns=columns)


def _lowest(found: dict) -> tuple[float, bool]:
    return found["lambda_min"], found["lowest"]["converged"]


def attack_frame(plan: Plan, results: Results) -> pd.DataFrame:
    """Columns network, batch, seed, epsilon (0 without attack), accuracy (%), kept (% of that without attack), still.

    NaN where the run diverged; empty where nothing has been measured.
    """
    rows = []
    for name, batch, seed in each(plan):
        lost = results.diverged(run(plan, name, batch, seed))
        found = None if lost else results.measured(attack(plan, name, batch, seed))
        if found is None and not lost:
            continue
        sizes = (0.0, *sweep(plan, name).epsilons)
        right = [math.nan] * len(sizes) if found is None else [found["accuracy"], *found["accuracies"]]
        for epsilon, accuracy in zip(sizes, right, strict=True):
            rows.append({
                "network": name, "batch": batch, "seed": seed, "epsilon": epsilon, "accuracy": 100 * accuracy,
                "kept": 100 * accuracy / right[0] if right[0] else math.nan,
                "still": math.nan if found is None else 100 * found["still"],
            })  # fmt: skip
    return pd.DataFrame(rows, columns=["network", "batch", "seed", "epsilon", "accuracy", "kept", "still"])


def by_seed(frame: pd.DataFrame, column: str = "value", **where: object) -> dict[int, float]:
    """Seed -> value of the rows in which the columns of `where` are so."""
    for name, value in where.items():
        frame = frame[frame[name] == value]
    return {int(seed): float(value) for seed, value in zip(frame["seed"], frame[column], strict=True)}
