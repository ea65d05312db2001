"""The final runs of surlemont, what is measured on them, and the frames that figures, tables and claims take."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from reproduce.matching import Match, match
from reproduce.papers.surlemont.choice import LAST, chosen, finals
from reproduce.papers.surlemont.problems import ASAM, PASSES, PLAIN, SAM, Cell, cells, problem
from reproduce.results import Results
from reproduce.study import Measure, Plan, Trial

BOX, BALL, ADAPTIVE, TOP = "box", "ball", "adaptive ball", "lambda"
MEASURES = {
    BOX: "box", BALL: "ball", ADAPTIVE: "adaptive ball", TOP: "λ_max",
}  # fmt: skip
RADIUS, ADAPTIVE_RADIUS = 0.1, 1.0
"""rho of the two balls: those with which the rates of SAM and ASAM are chosen."""
ETA = 0.01
BOX_SIZE = 1e-3
ASCENT = 10
"""Passes of each maximiser."""
TOLERANCE = 0.01
"""Relative residual of the eigenvalue; its own error is of the order of the square."""
ROUNDS, TIMED = 5, 512
"""Turns of each method in the timing of a step, and examples that each sees in a turn at least."""


def settled(plan: Plan, results: Results) -> dict[Cell, list[Trial]]:
    """Cell -> its final runs, one a seed, for the cells whose setting has been chosen."""
    found = {cell: chosen(plan, results, cell) for cell in cells(plan)}
    return {cell: finals(plan, cell, setting) for cell, setting in found.items() if setting is not None}


def measure(plan: Plan, cell: Cell, trial: Trial, name: str, weights: str = "final") -> Measure:
    """One measure of sharpness at the end of a run, or where it kept its weights on the way."""
    known = problem(plan, cell.network)
    kinds: dict[str, tuple[str, dict[str, Any], int]] = {
        BOX: ("sharpness", {"epsilon": BOX_SIZE, "maximiser": "sign", "iterations": ASCENT}, 14),
        BALL: ("ball", {"rho": RADIUS, "steps": ASCENT}, 11),
        ADAPTIVE: ("ball", {"rho": ADAPTIVE_RADIUS, "steps": ASCENT, "adaptive": True, "eta": ETA}, 11),
        TOP: ("eigenvalues", {"k": 1, "tolerance": TOLERANCE}, 40),
    }
    kind, options, passes = kinds[name]
    options = {**options, "examples": known.measured}
    return Measure(kind, ((trial, weights),), tuple(sorted(options.items())), passes * known.pass_seconds)


VALUES = {BOX: "value", BALL: "value", ADAPTIVE: "value", TOP: "lambda_max"}
"""What of a measure's result is the sharpness."""


def measures(plan: Plan, results: Results) -> list[Measure]:
    """All measures of all final runs that are known: at the end, and at matched loss with the largest batch."""
    at_end = [
        measure(plan, cell, trial, name)
        for cell, trials in settled(plan, results).items()
        for trial in trials
        for name in MEASURES
    ]
    return at_end + [
        measure(plan, cell, trial, name, found.weights)
        for found, runs in levels(plan, results).values()
        for cell, trial in runs.items()
        for name in MATCHED
    ]


def timing(plan: Plan, cell: Cell, trial: Trial) -> Measure:
    """Seconds of a step of each method at a batch size, in turns, where the first plain run of that size ended."""
    known = problem(plan, cell.network)
    options = {
        "batch": cell.batch, "rounds": ROUNDS, "steps": max(1, TIMED // cell.batch),
        "rho": known.radii[SAM][0], "adaptive_rho": known.radii[ASAM][0],
    }  # fmt: skip
    return Measure("steps", ((trial, "final"),), tuple(sorted(options.items())), 6 * known.seconds)


def timings(plan: Plan, results: Results) -> list[Measure]:
    """`timing` of every optimizer and batch size whose plain setting has been chosen."""
    plain = {cell: runs for cell, runs in settled(plan, results).items() if cell.method == PLAIN}
    return [timing(plan, cell, runs[0]) for cell, runs in plain.items()]


def steps(plan: Plan, results: Results) -> dict[tuple[str, int], dict[str, Any]]:
    """(Optimizer, batch size) -> what `timing` found there; what was not timed, or had diverged, is absent."""
    plain = {cell: runs[0] for cell, runs in settled(plan, results).items() if cell.method == PLAIN}
    found = {
        (cell.network, cell.batch): results.measured(timing(plan, cell, trial))
        for cell, trial in plain.items()
        if not results.diverged(trial)
    }
    return {place: times for place, times in found.items() if times is not None}


MATCHED = (BOX, BALL, ADAPTIVE, TOP)
"""What is measured at matched loss."""


def levels(plan: Plan, results: Results) -> dict[tuple[str, int], tuple[Match, dict[Cell, Trial]]]:
    """(Optimizer, seed) -> the loss at which the largest batch is compared over the methods, and cell -> run."""
    found: dict[tuple[str, int], tuple[Match, dict[Cell, Trial]]] = {}
    runs = settled(plan, results)
    for network in plan.networks:
        here = [Cell(network, method, problem(plan, network).batches[-1]) for method in PASSES]
        if not all(cell in runs for cell in here):
            continue
        seeds = [{cell: runs[cell][seed] for cell in here} for seed in range(plan.seeds[network])]
        common = match(results, [list(of_seed.values()) for of_seed in seeds])
        if common is not None:
            found |= {(network, seed): (common, of_seed) for seed, of_seed in enumerate(seeds)}
    return found


def matched(plan: Plan, results: Results) -> pd.DataFrame:
    """The measures at the largest batch at matched training loss: optimizer, method, batch, seed, low, high, measures.

    `low` and `high` bound the losses that are compared.
    """
    return pd.DataFrame([
        {
            "optimizer": network, "method": cell.method, "batch": cell.batch, "seed": seed, "low": at.low,
            "high": at.high,
            **{
                name: math.nan if value is None else value
                for name in MATCHED
                for value in [results.value(measure(plan, cell, run, name, at.weights), VALUES[name])]
            },
        }
        for (network, seed), (at, runs) in levels(plan, results).items()
        for cell, run in runs.items()
    ])  # fmt: skip


def ends(plan: Plan, results: Results) -> pd.DataFrame:
    """The `outcomes` of the final runs."""
    return outcomes(plan, results, settled(plan, results))


def outcomes(plan: Plan, results: Results, runs: Mapping[Cell, Sequence[Trial]]) -> pd.DataFrame:
    """One row a run: optimizer, method, batch, seed, what it reached, what it took, how sharp it is.

    Accuracies are in per cent, NaN where the run diverged. `accuracy`, of the test examples, is the mean over the last
    evaluations (`LAST`), as at a constant rate one differs from the next; `equal_gradients` is that after as many
    passes over the data with gradient as the plain optimizer's budget has, over the evaluations of the last `LAST`
    passes, and a run that ended before stays where it was. `gradients` counts such passes. `ahead_on_train` is the
    accuracy of the training sample, over the evaluations of `accuracy`, minus that. What is missing is NaN.
    """
    rows = []
    for cell, trials in runs.items():
        for seed, trial in enumerate(trials):
            done = results.run(trial)
            if done is None:
                continue
            lost = results.diverged(trial)
            last = {} if lost else done.outcome["last"]
            sharp = {
                name: results.value(measure(plan, cell, trial, name), VALUES[name]) for name in MEASURES
            }  # fmt: skip
            rows.append({
                "optimizer": cell.network, "method": cell.method, "batch": cell.batch, "seed": seed, "diverged": lost,
                **{name: math.nan if value is None else value for name, value in sharp.items()},
                "accuracy": _reached(plan, results, cell, trial, math.inf),
                "equal_gradients": _reached(plan, results, cell, trial, problem(plan, cell.network).epochs),
                "ahead_on_train": _ahead_on_train(results, trial),
                "train_accuracy": 100 * last.get("train_accuracy", math.nan),
                "train_loss": last.get("train_loss", math.nan),
                "epochs": float(done.outcome["epochs"]), "updates": int(done.outcome["steps"]),
                "gradients": PASSES[cell.method] * float(done.outcome["epochs"]),
                "seconds": float(done.outcome["seconds"]),
                "stopped": done.outcome["stop_reason"],
            })  # fmt: skip
    return pd.DataFrame(rows)


def values(found: pd.DataFrame, name: str, method: str, batch: int, column: str) -> dict[int, float]:
    """Seed -> one number of a cell's runs, NaN where a run diverged; what has not been measured is absent."""
    if found.empty:
        return {}
    here = found[(found["optimizer"] == name) & (found["method"] == method) & (found["batch"] == batch)]
    here = here[here[column].notna() | here.get("diverged", False)]
    return {int(seed): float(value) for seed, value in zip(here["seed"], here[column], strict=True)}


def _ahead_on_train(results: Results, trial: Trial) -> float:
    """Accuracy (%) of the training sample minus that of the test examples, over the last evaluations."""
    curves = results.curves(trial)
    if curves is None or results.diverged(trial):
        return math.nan
    train, test = (
        curves.loc[curves["metric"] == f"{split}_accuracy", "value"].iloc[-LAST:].mean() for split in ("train", "test")
    )
    return 100 * float(train - test)


def at_equal_loss(plan: Plan, results: Results, small: Cell, large: Cell) -> dict[Cell, dict[int, float]]:
    """Cell -> seed -> test accuracy (%) at the lowest training loss that both runs of the seed have come to.

    Between two evaluations both are taken to change along a straight line. Seeds of which a run is missing are absent;
    where one diverged both are NaN.
    """
    found: dict[Cell, dict[int, float]] = {small: {}, large: {}}
    runs = settled(plan, results)
    for seed, pair in enumerate(zip(runs.get(small, []), runs.get(large, []), strict=False)):
        both = [path for trial in pair for path in [paths(results, trial)] if path is not None]
        if len(both) < len(pair):
            continue
        lost = any(results.diverged(trial) for trial in pair)
        level = max(float(path["loss"].min()) for path in both)
        for cell, path in zip(found, both, strict=True):
            found[cell][seed] = math.nan if lost else _accuracy_at(path, level)
    return found


def paths(results: Results, trial: Trial) -> pd.DataFrame | None:
    """Columns epoch, loss (training), accuracy (test, %) at every evaluation that has both; None where not run."""
    curves = results.curves(trial)
    if curves is None:
        return None
    wide = curves[curves["metric"].isin(["train_loss", "test_accuracy"])].pivot_table(
        index="epoch", columns="metric", values="value"
    )
    found = pd.DataFrame({"loss": wide["train_loss"], "accuracy": 100 * wide["test_accuracy"]}).dropna()
    return found.reset_index()


def _accuracy_at(path: pd.DataFrame, level: float) -> float:
    """Accuracy where the loss first comes down to a level."""
    losses, accuracies = path["loss"].to_numpy(), path["accuracy"].to_numpy()
    at = int(np.argmax(losses <= level + 1e-12))
    if at == 0:
        return float(accuracies[0])
    share = (losses[at - 1] - level) / (losses[at - 1] - losses[at])
    return float(accuracies[at - 1] + share * (accuracies[at] - accuracies[at - 1]))


def _reached(plan: Plan, results: Results, cell: Cell, trial: Trial, gradients: float) -> float:
    """Mean test accuracy (%) over the last evaluations within so many passes with gradient; NaN for a lost run.

    Without a limit they are the last `LAST`; with one, those of the last `LAST` passes, alike for every method.
    """
    found = None if results.diverged(trial) else budgets(plan, results, cell, trial)
    if found is None:
        return math.nan
    within = found[found["gradients"] <= gradients + 1e-9]
    if math.isfinite(gradients):
        within = within[within["gradients"] > within["gradients"].max() - LAST]
    return float(within["accuracy"].iloc[-LAST:].mean())


def budgets(plan: Plan, results: Results, cell: Cell, trial: Trial) -> pd.DataFrame | None:
    """Test accuracy (%) of a run along the way: columns epochs, gradients, accuracy; None where it has not been run."""
    curves = results.curves(trial)
    if curves is None:
        return None
    rows = curves[curves["metric"] == "test_accuracy"]
    return pd.DataFrame({
        "epochs": rows["epoch"].to_numpy(float),
        "gradients": PASSES[cell.method] * rows["epoch"].to_numpy(float),
        "accuracy": 100 * rows["value"].to_numpy(float),
    })  # fmt: skip
