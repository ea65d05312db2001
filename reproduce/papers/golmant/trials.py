"""The runs and measures of golmant. One training serves every figure that needs it."""

import math
from collections.abc import Iterator
from itertools import product

from reproduce.papers.golmant.problems import BASE, LINEAR, STRATEGIES, Problem, present, problem
from reproduce.study import Measure, Plan, Scalar, Trial

DRAWS = 3
"""Mini-batches over which a linear-approximation error is averaged."""


def run(plan: Plan, name: str, batch: int, rule: str, seed: int, *, fraction: float = 1.0, longer: int = 1) -> Trial:
    """One training.

    At the base batch size every rule gives the base rate, so the rules share that run.

    Args:
        plan: Names the scale.
        name: The problem.
        batch: Batch size m.
        rule: `base`, `linear` or `square-root`.
        seed: Its seed.
        fraction: Share of the training examples; a smaller share is part of a larger one.
        longer: Multiple of the epochs.
    """
    chosen = problem(plan, name)
    overrides: dict[str, Scalar] = {"data.init_args.batch_size": batch}
    if rule != BASE and batch != chosen.batches[0]:
        overrides["rate.scaling"] = rule
    if fraction != 1:
        overrides["data.init_args.train_examples"] = round(fraction * chosen.examples)
    if longer != 1:
        overrides["trainer.max_epochs"] = longer * chosen.epochs
    share = "" if fraction == 1 else f", {fraction:.0%} of the data"
    more = "" if longer == 1 else f", {longer} x the epochs"
    return Trial(
        "golmant", chosen.recipe, plan.scale, seed, tuple(sorted(overrides.items())),
        label=f"{chosen.label}, batch {batch}, {STRATEGIES[rule].lower()}{share}{more}, seed {seed}",
        seconds=chosen.epochs * longer * chosen.seconds * fraction,
    )  # fmt: skip


def seeds(plan: Plan, name: str) -> range:
    """Seeds of a problem."""
    return range(plan.seeds[name])


def batches(chosen: Problem, fraction: float = 1.0) -> list[int]:
    """The batch sizes that run: all of them with the whole data, and with a share those of which it holds two.

    An epoch drops what is left over, of such a share at most a third.
    """
    return [batch for batch in chosen.batches if fraction == 1 or 2 * batch <= fraction * chosen.examples]


def curves(plan: Plan, name: str, rules: tuple[str, ...], fraction: float = 1.0) -> Iterator[tuple[str, int, int]]:
    """(rule, batch size, seed) of every run of a speed-up curve of a problem."""
    chosen = problem(plan, name)
    kept = [rule for rule in rules if rule in chosen.rules]
    yield from product(kept, batches(chosen, fraction), seeds(plan, name))


def of_problems(plan: Plan, names: tuple[str, ...], rules: tuple[str, ...]) -> list[Trial]:
    """Every run of these problems under these rules, at all their batch sizes."""
    return [
        run(plan, name, batch, rule, seed)
        for name in present(plan, names)
        for rule, batch, seed in curves(plan, name, rules)
    ]


def of_sizes(plan: Plan, names: tuple[str, ...]) -> list[Trial]:
    """The runs of Fig. 4: base rate, each share of the data."""
    return [
        run(plan, name, batch, rule, seed, fraction=fraction)
        for name in present(plan, names)
        for fraction in problem(plan, name).fractions
        for rule, batch, seed in curves(plan, name, (BASE,), fraction)
        if fraction == 1 or seed < (problem(plan, name).share_seeds or math.inf)
    ]


def of_longer(plan: Plan) -> list[Trial]:
    """The largest batch trained for longer under the base and the linear rule, and the base batch size."""
    found = []
    for name in plan.networks:
        chosen = problem(plan, name)
        for times, seed in product((1, *chosen.longer) if chosen.longer else (), seeds(plan, name)):
            for rule in (BASE, LINEAR):
                found.append(run(plan, name, chosen.batches[-1], rule, seed, longer=times))
            if times == 1:
                found.append(run(plan, name, chosen.batches[0], BASE, seed))
    return found


def accuracy(trial: Trial, seconds: float = 5) -> Measure:
    """Loss and accuracy over the whole test set where the run ended."""
    return Measure("evaluation", ((trial, "final"),), (("split", "test"),), seconds)


def approximation(plan: Plan, name: str, batch: int, seed: int) -> Measure:
    """Error of the linear approximation at the end of a run with the linear rule, for one step at its rate."""
    chosen = problem(plan, name)
    options = {
        "rate": BASE_RATES["image"] * batch / chosen.batches[0], "batch_size": batch, "draws": DRAWS, "seed": seed,
    }  # fmt: skip
    trial = run(plan, name, batch, LINEAR, seed)
    return Measure("linear-approximation", ((trial, "final"),), tuple(sorted(options.items())), 4 * chosen.seconds)


BASE_RATES = {"image": 0.1, "text": 20.0, "scenes": 0.01}
"""Base rates of Table 1, which the recipes at every scale keep, but for the slim AlexNet at laptop scale."""
