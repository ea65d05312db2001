"""The numbers that the figures, tables and claims of hoffer share: accuracies, and how the weights move away."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from bsgap.analysis import LogTimeFit, log_time_fit
from reproduce import arms
from reproduce.papers.hoffer.problems import LB, MAIN, MEMORY, PROBLEMS, RA, SB, SIZES, STAGES, initial_phase
from reproduce.results import Results
from reproduce.study import Plan, Trial

EXACT = 1e-9
"""Smallest share that a law can leave unexplained: below it distances are rounded."""


def before(scale: str) -> dict[int, str]:
    """Batch size -> arm without any adaptation, of Figs 1 and 2."""
    sizes = SIZES[scale]
    return {batch: sizes.before(batch) for batch in sizes.all}


def after(scale: str) -> dict[int, str]:
    """Batch size -> arm with the scaled rate and ghost batches."""
    sizes = SIZES[scale]
    return {batch: sizes.after(batch) for batch in sizes.all}


def adapted(scale: str) -> dict[int, str]:
    """Batch size -> arm: the small batch, and the large one with as many updates."""
    return {SIZES[scale].small: SB, SIZES[scale].large: RA}


def by_stage(plan: Plan) -> list[Trial]:
    """The runs of Fig. 3 and Table 1."""
    return arms.trials(plan, PROBLEMS, keys=STAGES)


def by_size(plan: Plan) -> list[Trial]:
    """The runs of Fig. 1."""
    return arms.trials(plan, PROBLEMS, names=(MAIN,), keys=list(before(plan.scale).values()))


def walking(plan: Plan) -> list[Trial]:
    """The runs of Fig. 2."""
    return arms.trials(plan, PROBLEMS, names=(MAIN,), keys=list(every_walk(plan.scale)))


def every_walk(scale: str) -> tuple[str, ...]:
    """The arms of Fig. 2, each once."""
    return tuple(dict.fromkeys([*before(scale).values(), *after(scale).values(), RA]))


def accuracies(plan: Plan, results: Results, name: str, key: str) -> dict[int, float]:
    """Seed -> test accuracy (%) at the end; NaN where it diverged."""
    return arms.finals(plan, results, PROBLEMS, name, key, "test_accuracy")


def share_closed(plan: Plan, results: Results, name: str, key: str) -> float | None:
    """Share of the gap between large and small batch that a stage closes, of the means over seeds.

    None where something is missing, or where the gap's own interval holds 0: a share of nothing is nothing.
    """
    small, large, stage = (accuracies(plan, results, name, of) for of in (SB, LB, key))
    gap, gained = arms.compared(small, large), arms.compared(stage, large)
    if gap is None or gained is None or not gap.low > 0 or not math.isfinite(gained.estimate):
        return None
    return gained.estimate / gap.estimate


def error_slopes(plan: Plan, results: Results) -> dict[int, float]:
    """Seed -> points of test error for each doubling of the batch, without adaptation; NaN where a run diverged."""
    of = {
        batch: arms.finals(plan, results, PROBLEMS, MAIN, key, "test_error")
        for batch, key in before(plan.scale).items()
    }
    seeds = set.intersection(*(set(values) for values in of.values()))
    places = np.log2(list(of))
    return {seed: _slope(places, [values[seed] for values in of.values()]) for seed in sorted(seeds)}


def _slope(x: ArrayLike, y: ArrayLike) -> float:
    """Least-squares slope of y over x; NaN where a value is not finite."""
    at, values = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if not np.isfinite(values).all():
        return math.nan
    centred = at - at.mean()
    return float(centred @ values / (centred @ centred))


def walks(
    plan: Plan, results: Results, key: str, *, low: int = MEMORY, high: int | None = None
) -> Iterator[tuple[int, LogTimeFit | None]]:
    """Seed and fit of the distance over the phase at the initial rate; None where the run diverged.

    Args:
        plan: Names scale and seeds.
        results: What is in the store.
        key: The arm.
        low: First step that is fitted.
        high: Last step that is fitted, where it is not the last one at the initial rate.
    """
    if MAIN not in plan.networks:
        return
    problem = PROBLEMS[plan.scale][MAIN]
    arm = problem.arm(key)
    assert arm is not None
    _, last = initial_phase(plan.scale, MAIN, key)
    for seed in range(plan.seeds[MAIN]):
        run = arms.trial(plan, problem, arm, seed)
        rows = arms.curve(results, run, "distance")
        if rows is None or rows.empty:
            continue
        yield seed, None if results.diverged(run) else log_time_fit(rows["step"], rows["value"], low, high or last)


def slopes(plan: Plan, results: Results, key: str, *, high: int | None = None) -> dict[int, float]:
    """Seed -> slope of the distance over ln t; NaN where the run diverged, or does not move away."""
    return {
        seed: fit.slope if fit is not None and fit.slope > 0 else math.nan
        for seed, fit in walks(plan, results, key, high=high)
    }


def exponents(plan: Plan, results: Results, chosen: dict[int, str]) -> dict[int, float]:
    """Seed -> b of slope ~ m^b over batch sizes m: 0 where they all move away alike."""
    of = {batch: slopes(plan, results, key) for batch, key in chosen.items()}
    seeds = set.intersection(*(set(values) for values in of.values()))
    places = np.log(list(of))
    return {seed: _slope(places, np.log([values[seed] for values in of.values()])) for seed in sorted(seeds)}


def averaged(plan: Plan, results: Results, measure: str) -> dict[int, float]:
    """Seed -> what the fits say, averaged over every arm of Fig. 2; NaN where one of them diverged.

    Args:
        plan: Names scale and seeds.
        results: What is in the store.
        measure: `r_squared` of the logarithm, `power`, the exponent of the best power law, or `unexplained`: what that
            law leaves unexplained over what the logarithm does, the geometric mean.
    """
    of: dict[int, list[float]] = {}
    for key in every_walk(plan.scale):
        for seed, fit in walks(plan, results, key):
            of.setdefault(seed, []).append(math.nan if fit is None else _value(fit, measure))
    complete = {seed: values for seed, values in of.items() if len(values) == len(every_walk(plan.scale))}
    if measure == "unexplained":
        return {seed: float(np.exp(np.mean(np.log(values)))) for seed, values in complete.items()}
    return {seed: float(np.mean(values)) for seed, values in complete.items()}


def _value(fit: LogTimeFit, measure: str) -> float:
    if measure == "unexplained":
        return max(1 - fit.power_r_squared, EXACT) / max(1 - fit.r_squared, EXACT)
    return fit.power if measure == "power" else fit.r_squared


def shared_steps(scale: str) -> int:
    """Last step that every batch size of Fig. 2 takes at its initial rate."""
    return min(initial_phase(scale, MAIN, key)[1] for key in (*before(scale).values(), *after(scale).values()))
