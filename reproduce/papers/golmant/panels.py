"""From loss curves to speed-ups: one threshold a panel, and the steps that every run needs to it."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from bsgap.analysis import Crossing, Curve, Threshold, speedup, steps_to, threshold
from bsgap.errors import UsageError
from reproduce.papers.golmant.problems import BASE, problem
from reproduce.papers.golmant.trials import batches, curves, run, seeds
from reproduce.results import Results
from reproduce.study import Plan, Trial

WINDOW = 3
"""Evaluations in the running median that is taken before a threshold counts as reached."""
LEARNED = 0.96
"""Share of the loss before training below which a threshold must lie to mean anything."""


@dataclass(frozen=True)
class Panel:
    """The speed-ups of one problem, or of one share of its data, at one threshold.

    Attributes:
        threshold: The loss level, from the largest batch at the base rate; every rule of the panel shares it.
        frame: Rows of `bsgap.analysis.speedup` with a column `rule`; only seeds whose smallest batch reached it.
        without_base: Seeds whose smallest batch ended above the threshold: they have no speed-up.
    """

    threshold: Threshold
    frame: pd.DataFrame
    without_base: tuple[int, ...] = ()

    def of(self, rule: str) -> pd.DataFrame:
        """The rows of one rule."""
        return self.frame[self.frame["rule"] == rule]


def curve(results: Results, trial: Trial, metric: str = "train_loss") -> Curve | None:
    """Loss curve of a run; None while it is not done."""
    rows = results.curves(trial)
    if rows is None:
        return None
    rows = rows[rows["metric"] == metric]
    return Curve(rows["step"], rows["value"], diverged=results.diverged(trial))


def panel(
    plan: Plan,
    results: Results,
    name: str,
    rules: tuple[str, ...] = (BASE,),
    fraction: float = 1.0,
    reference: int | None = None,
) -> Panel | None:
    """The speed-ups of a problem; None while no batch size but one has a finished run.

    Args:
        plan: Names the scale.
        results: Where the runs are.
        name: The problem.
        rules: Rules for the learning rate; they share the threshold.
        fraction: Share of the training data.
        reference: Batch size from whose losses the threshold is taken; None for the largest, as in the paper.

    Raises:
        UsageError: The smallest batch never reached the threshold, or every base run diverged.
    """
    chosen = problem(plan, name)
    sizes = batches(chosen, fraction)
    if len(sizes) < 2:
        raise UsageError(f"{chosen.label}: a speed-up needs at least two batch sizes, got {sizes}.")
    of_base = {
        batch: [
            found
            for seed in seeds(plan, name)
            if (found := curve(results, run(plan, name, batch, BASE, seed, fraction=fraction))) is not None
        ]
        for batch in sizes
    }
    if sum(1 for found in of_base.values() if found) < 2:
        return None
    if not of_base[reference or sizes[-1]]:  # the level would be another once that run is done
        return None
    kept = {batch: found for batch, found in of_base.items() if batch <= (reference or sizes[-1])}
    try:
        level = _level(kept)
    except UsageError as error:
        raise UsageError(f"{chosen.label}: {error}") from None
    parts, lost = [], set[int]()
    for rule in rules:
        crossings = _crossings(plan, results, name, rule, fraction, level.value)
        short = {seed for batch, seed, found in crossings if batch == sizes[0] and not found.reached}
        lost |= short
        kept_rows = [row for row in crossings if row[1] not in short]
        if len({batch for batch, *_ in kept_rows}) > 1:
            parts.append(speedup(kept_rows).assign(rule=rule))
    if not parts and lost:
        raise UsageError(
            f"{chosen.label}: batch {sizes[0]}, the smallest, never reached the threshold {level.value:.4g}: no "
            "speed-up can be taken. Train for longer, or at a lower rate."
        )
    return Panel(level, pd.concat(parts, ignore_index=True), tuple(sorted(lost))) if parts else None


def _level(curves: dict[int, list[Curve]]) -> Threshold:
    """The threshold of base-rate curves; a batch that learned nothing in its steps is passed over like a diverged one.

    Raises:
        UsageError: Every run diverged or learned nothing.
    """
    start = float(np.median([found.losses[0] for runs in curves.values() for found in runs]))
    idle: list[int] = []
    level = threshold(curves, window=WINDOW)
    while level.value > LEARNED * start:
        idle.append(level.batch)
        curves = {batch: runs for batch, runs in curves.items() if batch < level.batch}
        if not any(curves.values()):
            raise UsageError(
                f"no batch size brought the loss below {LEARNED} of its start, {start:.4g}. Train for longer."
            )
        level = threshold(curves, window=WINDOW)
    if not idle:
        return level
    return replace(level, fallback=True, rule=f"{level.rule}; batch {', '.join(map(str, idle))} learned nothing")


def _crossings(
    plan: Plan, results: Results, name: str, rule: str, fraction: float, level: float
) -> list[tuple[int, int, Crossing]]:
    """(batch size, seed, crossing) of every finished run of a rule whose seed has its smallest batch."""
    found = []
    for _, batch, seed in curves(plan, name, (rule,), fraction):
        rows = curve(results, run(plan, name, batch, rule, seed, fraction=fraction))
        if rows is not None:
            found.append((batch, seed, steps_to(rows, level, window=WINDOW)))
    smallest = batches(problem(plan, name), fraction)[0]
    started = {seed for batch, seed, _ in found if batch == smallest}
    return [row for row in found if row[1] in started]
