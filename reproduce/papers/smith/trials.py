"""The runs and numbers that the figures, tables and claims of smith share."""

import math
from collections.abc import Sequence

import pandas as pd

from reproduce import arms
from reproduce.arms import Arm, Problem
from reproduce.papers.smith.problems import LABELS, MAIN, MORE_MOMENTUM, PROBLEMS, THREE
from reproduce.papers.smith.problems import MOMENTUM as MORE
from reproduce.results import Results
from reproduce.study import Plan, Trial

MOMENTUM = 0.9
"""Of every arm but the one with more."""
PANELS = {"batch": "Batch size", "rate": "Learning rate", "noise": "Noise scale"}


def every(plan: Plan) -> list[Trial]:
    """Every run of the main problem."""
    return arms.trials(plan, PROBLEMS, names=(MAIN,))


def some(plan: Plan, names: Sequence[str], keys: Sequence[str] = THREE) -> list[Trial]:
    """The runs of some arms of some problems."""
    return arms.trials(plan, PROBLEMS, names=names, keys=keys)


def run(plan: Plan, name: str, key: str, seed: int) -> Trial:
    """One run."""
    problem = PROBLEMS[plan.scale][name]
    return arms.trial(plan, problem, _arm(problem, key), seed)


def _arm(problem: Problem, key: str) -> Arm:
    arm = problem.arm(key)
    assert arm is not None  # every problem has the arms that are asked for
    return arm


def accuracies(plan: Plan, results: Results, key: str) -> dict[int, float]:
    """Seed -> test accuracy (%) of an arm of the main problem at the end; NaN where it diverged."""
    return arms.finals(plan, results, PROBLEMS, MAIN, key, "test_accuracy")


def updates(plan: Plan, results: Results, key: str) -> dict[int, float]:
    """Seed -> optimizer steps of an arm of the main problem; NaN where it diverged."""
    found = {}
    for seed in range(plan.seeds[MAIN]) if MAIN in plan.networks else ():
        trial = run(plan, MAIN, key, seed)
        rows = arms.curve(results, trial, "train_loss")
        if rows is not None and len(rows):
            found[seed] = math.nan if results.diverged(trial) else float(rows["step"].iloc[-1])
    return found


def losses(plan: Plan, results: Results, key: str, after: float) -> dict[int, dict[float, float]]:
    """Seed -> epoch -> training loss of an arm of the main problem, past an epoch; empty where it diverged."""
    found: dict[int, dict[float, float]] = {}
    for seed in range(plan.seeds[MAIN]) if MAIN in plan.networks else ():
        trial = run(plan, MAIN, key, seed)
        rows = arms.curve(results, trial, "train_loss")
        if rows is not None:
            late = rows[rows["epoch"] > after]
            found[seed] = {} if results.diverged(trial) else dict(zip(late["epoch"], late["value"], strict=True))
    return found


def loss_ratios(plan: Plan, results: Results, key: str, other: str, after: float) -> dict[int, float]:
    """Seed -> geometric mean, over the epochs past `after`, of the training loss of one arm over that of another.

    NaN where a run diverged or a loss is 0.
    """
    one, two = losses(plan, results, key, after), losses(plan, results, other, after)
    found = {}
    for seed in sorted(set(one) & set(two)):
        common = sorted(set(one[seed]) & set(two[seed]))
        pairs = [(one[seed][epoch], two[seed][epoch]) for epoch in common]
        usable = pairs and all(min(pair) > 0 and math.isfinite(sum(pair)) for pair in pairs)
        logs = [math.log(a / b) for a, b in pairs] if usable else []
        found[seed] = math.exp(math.fsum(logs) / len(logs)) if logs else math.nan
    return found


def parting(plan: Plan, results: Results, key: str, other: str, after: float) -> tuple[float, float] | None:
    """The epoch past `after` at which the training losses of two arms part most, and their ratio there.

    The ratio is the geometric mean over seeds. None where no run of both has a loss above 0.
    """
    one, two = losses(plan, results, key, after), losses(plan, results, other, after)
    logs: dict[float, list[float]] = {}
    for seed in set(one) & set(two):
        for epoch in set(one[seed]) & set(two[seed]):
            pair = one[seed][epoch], two[seed][epoch]
            if min(pair) > 0 and math.isfinite(sum(pair)):
                logs.setdefault(epoch, []).append(math.log(pair[0] / pair[1]))
    means = {epoch: math.fsum(values) / len(values) for epoch, values in sorted(logs.items())}
    if not means:
        return None
    epoch = max(means, key=lambda epoch: abs(means[epoch]))
    return epoch, math.exp(means[epoch])


def schedule_frame(plan: Plan, results: Results) -> pd.DataFrame:
    """What the runs of the first seed did: panel (a key of `PANELS`), arm, key, seed, epoch, value, one row an epoch.

    The batch size is the examples over the steps between two evaluations; the rate is what the run logged.
    """
    from bsgap.optim.growth import noise_scale  # torch takes seconds, and `reproduce list` needs none of it

    if MAIN not in plan.networks:
        return pd.DataFrame()
    problem = PROBLEMS[plan.scale][MAIN]
    parts = []
    for key, label in LABELS.items():
        trial = run(plan, MAIN, key, 0)
        taken, rates = (arms.curve(results, trial, metric) for metric in ("train_loss", "learning_rate"))
        if taken is None or rates is None or rates.empty or len(taken) < 2:
            continue
        batch = (taken["examples"].diff() / taken["step"].diff()).shift(-1).ffill()
        rate = rates.set_index("epoch")["value"].reindex(taken["epoch"]).ffill().bfill().reset_index(drop=True)
        momentum = MORE_MOMENTUM if key == MORE else MOMENTUM
        noise = [noise_scale(at, round(size), problem.examples, momentum) for at, size in zip(rate, batch, strict=True)]
        for panel, values in (("batch", batch), ("rate", rate), ("noise", noise)):
            parts.append(
                pd.DataFrame(
                    {"panel": panel, "arm": label, "key": key, "seed": 0, "epoch": taken["epoch"], "value": values}
                )
            )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
