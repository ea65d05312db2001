"""The speed-up that a larger batch gives, s(m; m0) = k(m0) / k(m), and what it costs in examples, m · k(m)."""

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from bsgap.analysis.curves import Crossing
from bsgap.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

Crossings = Mapping[tuple[int, int], Crossing] | Iterable[tuple[int, int, Crossing]]
"""The crossing of each run, by (batch size, seed): a mapping, or rows of batch size, seed and crossing."""


def speedup(crossings: Crossings) -> "pd.DataFrame":
    """Speed-up and cost of every run of one curve over the smallest batch of the same seed.

    m0 is the smallest batch size. A run that never reached the threshold is censored: k(m) > last_step gives its
    speed-up an upper and its cost a lower bound, and the values themselves are NaN.

    Args:
        crossings: Crossings of one threshold, of one learning-rate rule on one problem.

    Returns:
        One row a run, sorted by batch size and seed:

        | column | what |
        |---|---|
        | batch, seed | the run |
        | steps | k(m), optimizer steps to the threshold |
        | reached, diverged | whether it got there; whether it diverged |
        | last_step | the last step with a finite loss |
        | speedup | k(m0) / k(m) |
        | speedup_bound | k(m0) / last_step where the threshold was not reached: the speed-up is below it |
        | ideal | m / m0 |
        | efficiency | speed-up over ideal |
        | cost | m · k(m), examples |
        | cost_ratio | cost over that of m0 |
        | cost_bound | m · last_step where the threshold was not reached: the cost is above it |
        | threshold | ε, nats |

    Raises:
        UsageError: No run, one batch size alone, two runs of one batch size and seed, more than one threshold, or a
            smallest batch that is missing, never reached the threshold or began below it.

    >>> at = [(64, 0, Crossing(800.0, 900, 0.5)), (256, 0, Crossing(400.0, 900, 0.5))]
    >>> speedup(at)[["batch", "speedup", "efficiency", "cost_ratio"]].values.tolist()
    [[64.0, 1.0, 1.0, 1.0], [256.0, 2.0, 0.5, 2.0]]
    """
    import pandas as pd  # half a second: only what makes a table pays for it

    runs = _by_run(crossings)
    smallest = min(batch for batch, _ in runs)
    rows = []
    for (batch, seed), found in runs.items():
        base = _baseline(runs, smallest, seed)
        censored = not found.reached
        steps = math.nan if found.step is None else found.step
        bound = (base / found.last_step if found.last_step else math.inf) if censored else math.nan
        ideal = batch / smallest
        rows.append({
            "batch": batch, "seed": seed, "steps": steps, "reached": found.reached, "diverged": found.diverged,
            "last_step": found.last_step, "speedup": base / steps, "speedup_bound": bound, "ideal": ideal,
            "efficiency": base / steps / ideal, "cost": batch * steps, "cost_ratio": ideal * steps / base,
            "cost_bound": float(batch * found.last_step) if censored else math.nan, "threshold": found.threshold,
        })  # fmt: skip
    return pd.DataFrame(rows).sort_values(["batch", "seed"], ignore_index=True)


def _by_run(crossings: Crossings) -> dict[tuple[int, int], Crossing]:
    """Crossings by (batch size, seed), checked to be those of one curve."""
    rows = ((*run, at) for run, at in crossings.items()) if isinstance(crossings, Mapping) else crossings
    runs: dict[tuple[int, int], Crossing] = {}
    for batch, seed, found in rows:
        if (batch, seed) in runs:
            raise UsageError(
                f"two runs of batch {batch} and seed {seed} in one speed-up curve."
                " Give each learning-rate rule and problem its own."
            )
        if found.step == 0:
            raise UsageError(
                f"batch {batch}, seed {seed} was at or below the threshold {found.threshold:.4g} before its first step."
                " Choose a lower one."
            )
        runs[batch, seed] = found
    if len(levels := sorted({found.threshold for found in runs.values()})) > 1:
        raise UsageError(
            f"runs of different thresholds cannot share a speed-up curve, got {', '.join(f'{x:.6g}' for x in levels)}."
        )
    if len(batches := {batch for batch, _ in runs}) < 2:
        only = f"batch {batches.pop()} alone" if batches else "no run"
        raise UsageError(f"a speed-up curve needs at least two batch sizes, got {only}.")
    return runs


def _baseline(runs: Mapping[tuple[int, int], Crossing], smallest: int, seed: int) -> float:
    """k(m0) of a seed."""
    found = runs.get((smallest, seed))
    if found is None:
        raise UsageError(
            f"seed {seed} has no run at the smallest batch size, {smallest}: run it, or leave the seed out."
        )
    if found.step is None:
        raise UsageError(
            f"batch {smallest}, the smallest, never reached the threshold {found.threshold:.4g} with seed {seed}:"
            " no speed-up can be taken. Choose a higher threshold or train longer."
        )
    return found.step
