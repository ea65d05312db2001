"""The runs and measures of li, and the numbers that figures, tables and claims take from them."""

import math
from collections.abc import Iterator
from itertools import product

from reproduce import arms
from reproduce.papers.li.problems import DECAYS, REFERENCE, SETTINGS, SIZES, Setting, key
from reproduce.papers.li.shape import rise
from reproduce.results import Results
from reproduce.study import Measure, Plan, Trial

NEAR, FAR = 0.1, 0.25
"""Distances from an end of the raw interpolation over which its rise is taken."""
TOP = 5.0
"""Nats up to which losses are drawn, as in the paper's figure, and count. Where the running variances of BatchNorm are
extrapolated beyond the ends of a line to less than nothing, the loss knows no bounds."""
REACH = 0.5
"""Distance from a solution, along a filter-normalised direction, over which its rise is taken."""
SHOWN = ("decayed", "SB")
"""Weight decay and batch of the solution that is shown as a surface."""
Values = dict[int, float]
"""Seed -> number; NaN where a run diverged."""


def setting(plan: Plan, name: str = REFERENCE) -> Setting:
    """A network at the plan's scale."""
    return SETTINGS[plan.scale][name]


def run(plan: Plan, decay: str, size: str, seed: int, name: str = REFERENCE) -> Trial:
    """One training."""
    problem = setting(plan, name).problem
    arm = problem.arm(key(decay, size))
    assert arm is not None
    return arms.trial(plan, problem, arm, seed)


def drawn(plan: Plan) -> bool:
    """Whether the plan runs the network that is drawn."""
    return REFERENCE in plan.networks


def each(plan: Plan, seeds: int | None = None) -> Iterator[tuple[str, str, int]]:
    """Weight decay, batch and seed of every run of the network that is drawn, or of its first `seeds` seeds."""
    if drawn(plan):
        yield from product(DECAYS, SIZES, range(plan.seeds[REFERENCE])[:seeds])


def trials(plan: Plan, seeds: int | None = None) -> list[Trial]:
    """The runs of `each`."""
    return [run(plan, *place) for place in each(plan, seeds)]


def path(plan: Plan, decay: str, seed: int) -> Measure:
    """Loss and accuracy on the straight line from the small-batch solution to the large-batch one."""
    chosen = setting(plan)
    ends = tuple((run(plan, decay, size, seed), "final") for size in SIZES)
    options = {
        "shape": "linear", "low": -0.5, "high": 1.5, "points": chosen.path_points, "examples": chosen.examples,
        "test_examples": chosen.test_examples,
    }  # fmt: skip
    seconds = chosen.path_points * _examples(chosen, test=True) / chosen.rate
    return Measure("path", ends, tuple(sorted(options.items())), seconds)


def curve(plan: Plan, decay: str, size: str, seed: int, direction: int) -> Measure:
    """Loss along a filter-normalised random direction; that which is drawn, with the test loss too."""
    chosen, test = setting(plan), (seed, direction) == (0, 0)
    return _surface(plan, run(plan, decay, size, seed), (direction,), chosen.curve_points, test=test)


def grid(plan: Plan, decay: str, size: str) -> Measure:
    """Loss over the plane of two filter-normalised random directions, around a solution of the first seed."""
    return _surface(plan, run(plan, decay, size, 0), (0, 1), setting(plan).grid_points, test=False)


def _surface(plan: Plan, trial: Trial, directions: tuple[int, ...], points: int, *, test: bool) -> Measure:
    chosen = setting(plan)
    options = {
        "directions": directions, "normalise": "filter", "low": -1.0, "high": 1.0, "points": points,
        "examples": chosen.examples, "test_examples": chosen.test_examples if test else 0,
    }  # fmt: skip
    seconds = points ** len(directions) * _examples(chosen, test=test) / chosen.rate
    return Measure("surface", ((trial, "final"),), tuple(sorted(options.items())), seconds)


def _examples(chosen: Setting, *, test: bool) -> int:
    return (chosen.examples or chosen.problem.examples) + test * (chosen.test_examples or 10_000)


def histogram(plan: Plan, decay: str, size: str) -> Measure:
    """Histogram of the weights at the end, of the first seed."""
    options = (("bins", 101), ("limit", setting(plan).limit))
    return Measure("weights", ((run(plan, decay, size, 0), "final"),), options, 0.5)


def paths(plan: Plan, results: Results) -> list[Measure]:
    """The raw interpolations of every weight decay and seed."""
    return list(dict.fromkeys(path(plan, decay, seed) for decay, _, seed in each(plan)))


def curves(plan: Plan, results: Results) -> list[Measure]:
    """The curves around every solution along every direction."""
    directions = range(setting(plan).directions) if drawn(plan) else range(0)
    return [curve(plan, *place, direction) for place in each(plan) for direction in directions]


def drawn_curves(plan: Plan, results: Results) -> list[Measure]:
    """The curves around the solutions of the first seed along the first direction."""
    return [curve(plan, decay, size, 0, 0) for decay, size, _ in each(plan, 1)]


def grids(plan: Plan, results: Results) -> list[Measure]:
    """The surfaces around the solutions of the first seed."""
    return [grid(plan, decay, size) for decay, size, _ in each(plan, 1)]


def histograms(plan: Plan, results: Results) -> list[Measure]:
    """The weights of the solutions of the first seed."""
    return [histogram(plan, decay, size) for decay, size, _ in each(plan, 1)]


def final(plan: Plan, results: Results, decay: str, size: str, metric: str, name: str = REFERENCE) -> Values:
    """Seed -> a metric at the end of training: errors in per cent, the loss in nats, the norm of the weights."""
    return arms.finals(plan, results, {plan.scale: {name: setting(plan, name).problem}}, name, key(decay, size), metric)


def raw_rises(plan: Plan, results: Results, decay: str, size: str) -> Values:
    """Seed -> rise of the training loss around an end of the raw interpolation, in nats: its apparent sharpness."""
    found: Values = {}
    for seed in range(plan.seeds.get(REFERENCE, 0)):
        if any(results.diverged(run(plan, decay, other, seed)) for other in SIZES):
            found[seed] = math.nan
        elif (line := results.measured(path(plan, decay, seed))) is not None:
            at = float(SIZES.index(size))
            found[seed] = rise(line["alphas"], line["losses"]["train"], at, near=NEAR, far=FAR, top=TOP)
    return found


def filter_rises(plan: Plan, results: Results, decay: str, size: str) -> Values:
    """Seed -> mean rise of the training loss within `REACH` along filter-normalised directions, in nats.

    The mean over the directions; a seed counts when all of them have been measured.
    """
    found: Values = {}
    for seed in range(plan.seeds.get(REFERENCE, 0)):
        if results.diverged(run(plan, decay, size, seed)):
            found[seed] = math.nan
            continue
        lines = [results.measured(curve(plan, decay, size, seed, each)) for each in range(setting(plan).directions)]
        if all(line is not None for line in lines):
            rises = [
                rise(line["alphas"], line["losses"]["train"], 0.0, near=1e-6, far=REACH, top=TOP)
                for line in lines
                if line is not None
            ]
            found[seed] = sum(rises) / len(rises)
    return found
