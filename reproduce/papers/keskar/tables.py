"""Tables 2 to 4 of Keskar et al., and how the maximisers of sharpness did."""

from itertools import product

import pandas as pd

from reproduce import drawing
from reproduce.papers.keskar.facts import epsilon_label, reported_frame
from reproduce.papers.keskar.trials import (
    EPSILONS,
    READINGS,
    SUBSPACE,
    each,
    evaluation,
    measured_seeds,
    reading,
    sharpness,
)
from reproduce.results import Results
from reproduce.study import Measure, Plan

Drawn = tuple[drawing.Table, pd.DataFrame]


def accuracy_measures(plan: Plan, results: Results) -> list[Measure]:
    """Loss and accuracy where every run ended."""
    return [evaluation(plan, network, trial) for network, _, _, trial in each(plan)]


def accuracies(plan: Plan, results: Results) -> Drawn | None:
    """Table 2."""
    rows = []
    for network, seed, method, trial in each(plan):
        for split in ("train", "test"):
            value = results.value(evaluation(plan, network, trial), f"{split}_accuracy")
            if value is not None:
                rows.append({"row": network, "column": f"{split} {method}", "seed": seed, "value": 100 * value})
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    return drawing.beside(frame, reported_frame("table2", plan), decimals=2), frame


def full_space(plan: Plan, results: Results) -> Drawn | None:
    """Table 3: every reading."""
    rows = []
    for (network, seed, method, _), name, epsilon in product(each(plan), READINGS, EPSILONS):
        if seed not in measured_seeds(plan, network):
            continue
        value = results.value(reading(plan, results, network, method, seed, name, epsilon), "value")
        if value is not None:
            place = {"row": network, "reading": name, "group": epsilon_label(epsilon), "column": method, "seed": seed}
            rows.append({**place, "value": value})
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    return drawing.stacked(frame, reported_frame("table3", plan)), frame


def subspace_measures(plan: Plan, results: Results) -> list[Measure]:
    """Sharpness in the random subspace where the measured runs ended."""
    return [
        sharpness(plan, network, trial, "final", "lbfgsb", epsilon, SUBSPACE)
        for (network, seed, _, trial), epsilon in product(each(plan), EPSILONS)
        if seed in measured_seeds(plan, network)
    ]


def subspace(plan: Plan, results: Results) -> Drawn | None:
    """Table 4."""
    rows = []
    for (network, seed, method, trial), epsilon in product(each(plan), EPSILONS):
        if seed not in measured_seeds(plan, network):
            continue
        value = results.value(sharpness(plan, network, trial, "final", "lbfgsb", epsilon, SUBSPACE), "value")
        if value is not None:
            place = {"row": network, "reading": "(a) end", "group": epsilon_label(epsilon), "column": method}
            rows.append({**place, "seed": seed, "value": value})
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    return drawing.stacked(frame, reported_frame("table4", plan)), frame


def maximisers(plan: Plan, results: Results) -> Drawn | None:
    """What each reading of Table 3 at the larger ε started from and how far its maximiser went, mean over seeds."""
    rows = []
    for (network, seed, method, _), name in product(each(plan), READINGS):
        measure = reading(plan, results, network, method, seed, name, EPSILONS[0])
        found = results.measured(measure) if measure and seed in measured_seeds(plan, network) else None
        if found is not None:
            rows.append(
                {
                    "network": network, "reading": name, "method": method,
                    "loss at the start": found["start_loss"], "largest loss": found["max_loss"],
                    "at the bound (%)": 100 * found["share_at_bound"], "passes": float(found["evaluations"]),
                }
            )  # fmt: skip
    if not rows:
        return None
    frame = pd.DataFrame(rows).groupby(["network", "reading", "method"], sort=False, as_index=False).mean()
    return drawing.plain_table(frame), frame
