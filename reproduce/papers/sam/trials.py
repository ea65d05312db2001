"""The runs and measures of sam, and what figures, tables and claims take from them."""

import math
from typing import Any

import pandas as pd

from reproduce import arms
from reproduce.papers.sam.choice import best
from reproduce.papers.sam.problems import LONG, PLAIN, PROBLEMS, SETTINGS, SGD, Setting, compares
from reproduce.results import Results
from reproduce.study import Measure, Plan, Trial

TOP = 5
"""Eigenvalues that are taken: the paper sets the largest against the fifth."""
TOLERANCE = 0.01
"""Relative residual of an eigenvalue; its own error is of the order of the square."""
MOST_PRODUCTS = 200
STEPS = 60
"""Lanczos steps of a density."""
PROBES = 16
"""Random vectors of a trace."""

Values = dict[int, float]
"""One value a seed."""


def setting(plan: Plan, name: str) -> Setting:
    """A network at the plan's scale."""
    return SETTINGS[plan.scale][name]


def run(plan: Plan, name: str, key: str, seed: int) -> Trial:
    """One training."""
    problem = setting(plan, name).problem
    arm = problem.arm(key)
    assert arm is not None
    return arms.trial(plan, problem, arm, seed)


def every_run(plan: Plan) -> list[Trial]:
    """All runs of the networks whose errors are compared."""
    return arms.trials(plan, PROBLEMS, names=compares(plan))


def table_runs(plan: Plan) -> list[Trial]:
    """The runs of the table of methods: SGD, SGD for twice the epochs, and SAM at every rho of its grid."""
    return [
        trial
        for name in compares(plan)
        for trial in arms.trials(plan, PROBLEMS, names=[name], keys=[SGD, LONG, *setting(plan, name).keys()])
    ]


def spectrum_runs(plan: Plan) -> list[Trial]:
    """The runs of which spectra may be taken: SGD, and SAM at every rho, of which one will be chosen."""
    return [
        trial
        for name in plan.networks
        for trial in arms.trials(plan, PROBLEMS, names=[name], keys=[SGD, *setting(plan, name).keys()])
    ]


def chosen(plan: Plan, results: Results, name: str) -> str | None:
    """The arm of SAM at the rho of the best validation accuracy; None while its grid is incomplete."""
    here = setting(plan, name)
    return best(plan, results, here.problem, name, here.keys())


def errors(plan: Plan, results: Results, name: str, key: str | None) -> Values:
    """Seed -> test error (%) of an arm at the end; NaN where it diverged; empty where there is no such arm."""
    return {} if key is None else arms.finals(plan, results, PROBLEMS, name, key, "test_error")


def smaller_groups(plan: Plan, results: Results, name: str, group: int | None) -> Values:
    """Seed -> mean test error (%) over the rho at which every m was trained; None is the whole batch."""
    here = setting(plan, name)
    each = [errors(plan, results, name, key) for key in here.keys(group) if _shared(here, key)]
    seeds = set.intersection(*(set(values) for values in each)) if each else set()
    return {seed: sum(values[seed] for values in each) / len(each) for seed in sorted(seeds)}


def _shared(here: Setting, key: str) -> bool:
    """Whether the other m are trained at this arm's rho."""
    return key.split("-m")[0] in {arm.split("-m")[0] for group in here.groups for arm in here.keys(group)}


# The curvature at the end ---------------------------------------------------------------------------------------------
def compared(plan: Plan, results: Results) -> list[tuple[str, str, str, int]]:
    """Network, what a legend calls the arm, arm and seed of every run whose curvature is taken: SGD, and SAM's best."""
    found = []
    for name in plan.networks:
        sam = chosen(plan, results, name)
        for label, key in (("SGD", SGD), ("SAM", sam)):
            if key is not None:
                found += [(name, label, key, seed) for seed in range(plan.seeds[name])]
    return found


def eigenvalues(plan: Plan, name: str, key: str, seed: int) -> Measure:
    """The largest eigenvalues of the Hessian where a run ended."""
    return _measure(plan, name, key, seed, "eigenvalues", 120, k=TOP, tolerance=TOLERANCE, most_products=MOST_PRODUCTS)


def density(plan: Plan, name: str, key: str, seed: int) -> Measure:
    """The density of all eigenvalues."""
    return _measure(plan, name, key, seed, "density", STEPS, probes=1, steps=STEPS)


def trace(plan: Plan, name: str, key: str, seed: int) -> Measure:
    """The sum of all eigenvalues."""
    return _measure(plan, name, key, seed, "trace", PROBES, probes=PROBES)


def _measure(plan: Plan, name: str, key: str, seed: int, kind: str, products: int, **options: Any) -> Measure:
    here = setting(plan, name)
    options = {**options, "examples": here.measured}
    # a product with the Hessian takes about as long as two passes with gradient
    seconds = 2 * products * here.pass_seconds
    return Measure(kind, ((run(plan, name, key, seed), "final"),), tuple(sorted(options.items())), seconds)


def spectrum_measures(plan: Plan, results: Results) -> list[Measure]:
    """What the figure of spectra shows."""
    return [
        measure(plan, name, key, seed)
        for name, _, key, seed in compared(plan, results)
        for measure in (eigenvalues, density)
    ]


def curvature_measures(plan: Plan, results: Results) -> list[Measure]:
    """What the table of curvature shows."""
    return [
        measure(plan, name, key, seed)
        for name, _, key, seed in compared(plan, results)
        for measure in (eigenvalues, trace)
    ]


def curvature(plan: Plan, results: Results) -> pd.DataFrame:
    """One row a run that has been measured: network, arm, key, seed, top, ratio, trace, converged, loss, diverged.

    `ratio` is that of the largest eigenvalue to the fifth, NaN where the fifth is not positive; `trace` is NaN where it
    has not been taken; `loss` is the training loss over the measured examples. All are NaN where a run diverged.
    """
    rows = []
    for name, label, key, seed in compared(plan, results):
        place = {"network": name, "arm": label, "key": key, "seed": seed}
        if results.diverged(run(plan, name, key, seed)):
            missing = dict.fromkeys(("top", "ratio", "trace", "loss"), math.nan)
            rows.append({**place, **missing, "converged": True, "diverged": True})
            continue
        found = results.measured(eigenvalues(plan, name, key, seed))
        if found is None:
            continue
        values = found["values"]
        total = results.value(trace(plan, name, key, seed), "value")
        rows.append({
            **place, "top": values[0], "ratio": values[0] / values[TOP - 1] if values[TOP - 1] > 0 else math.nan,
            "trace": math.nan if total is None else total, "loss": found["loss"],
            "converged": all(found["converged"]), "diverged": False,
        })  # fmt: skip
    columns = ["network", "arm", "key", "seed", "top", "ratio", "trace", "loss", "converged", "diverged"]
    return pd.DataFrame(rows, columns=columns)


def curvatures(found: pd.DataFrame, name: str, label: str, column: str) -> Values:
    """Seed -> one column of `curvature`."""
    here = found[(found["network"] == name) & (found["arm"] == label)]
    return {int(seed): float(value) for seed, value in zip(here["seed"], here[column], strict=True)}


def normalised(name: str) -> bool:
    """Whether the network has BatchNorm."""
    return name != PLAIN
