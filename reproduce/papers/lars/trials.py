"""The runs and measures of lars, and what the figures take from them."""

import math
from collections.abc import Iterator, Sequence

import pandas as pd

from reproduce import arms
from reproduce.papers.lars.problems import METHODS, PAIRS, SGD, Pair, key
from reproduce.results import Results
from reproduce.study import Measure, Plan, Trial

CLASSES = {"digits": 10, "cifar10": 10, "imagenet": 1000}


def pair(plan: Plan, name: str) -> Pair:
    """A network at the plan's scale."""
    return PAIRS[plan.scale][name]


def run(plan: Plan, name: str, method: str, batch: int, seed: int) -> Trial:
    """One training."""
    problem = pair(plan, name).problems[method]
    arm = problem.arm(key(method, batch))
    assert arm is not None
    return arms.trial(plan, problem, arm, seed)


def each(plan: Plan, batches: Sequence[str] = ()) -> Iterator[tuple[str, str, int, int]]:
    """Network, method, batch size and seed of every run.

    Args:
        plan: Names networks and seeds.
        batches: `base`, `largest` or both; every batch size when empty.
    """
    for name in plan.networks:
        sizes = pair(plan, name).batches
        chosen = [{"base": sizes[0], "largest": sizes[-1]}[which] for which in batches] or list(sizes)
        for method in METHODS:
            for batch in chosen:
                for seed in range(plan.seeds[name]):
                    yield name, method, batch, seed


def trials(plan: Plan, batches: Sequence[str] = ()) -> list[Trial]:
    """The runs of `each`."""
    return [run(plan, *place) for place in each(plan, batches)]


def accuracies(
    plan: Plan, results: Results, name: str, method: str, batch: int, *, chance: bool = False
) -> dict[int, float]:
    """Seed -> test accuracy (%) at the end; NaN where the run diverged, or that of random answers with `chance`."""
    found = {}
    for seed in range(plan.seeds[name]):
        value = arms.final(results, run(plan, name, method, batch, seed), "test_accuracy")
        if value is not None:
            lost = 100 / CLASSES[pair(plan, name).plain.source] if chance else math.nan
            found[seed] = value if math.isfinite(value) else lost
    return found


def base_runs(plan: Plan) -> list[Trial]:
    """The runs without LARS at the base batch size. Those with LARS start from the same weights."""
    return [
        run(plan, name, SGD, pair(plan, name).batches[0], seed)
        for name in plan.networks
        for seed in range(plan.seeds[name])
    ]


def norms(plan: Plan, name: str, seed: int) -> Measure:
    """‖w‖ and ‖∇L(w)‖ of every layer at the initial weights, over one batch of training examples."""
    chosen = pair(plan, name)
    start = run(plan, name, SGD, chosen.batches[0], seed)
    return Measure("norms", ((start, "initial"),), (("batch_size", chosen.norms),), 1.0)


def norm_measures(plan: Plan, results: Results) -> list[Measure]:
    """`norms` of every network and seed."""
    return [norms(plan, name, seed) for name in plan.networks for seed in range(plan.seeds[name])]


def norm_frame(plan: Plan, results: Results) -> pd.DataFrame:
    """Columns network, seed, layer, weight, gradient and ratio: one row for the weights of a layer.

    Biases and BatchNorm are left out. Empty where nothing has been measured.
    """
    rows = []
    for name in plan.networks:
        for seed in range(plan.seeds[name]):
            found = results.measured(norms(plan, name, seed))
            for layer in found["layers"] if found is not None else ():
                rows.append({"network": name, "seed": seed, **layer})
    return pd.DataFrame(rows, columns=["network", "seed", "layer", "weight", "gradient", "ratio"])
