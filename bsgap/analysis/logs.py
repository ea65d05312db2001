"""From any collection of metric logs, as one tidy frame, to loss curves and speed-ups."""

from typing import TYPE_CHECKING

from bsgap.analysis.curves import Curve, steps_to
from bsgap.analysis.speedup import speedup
from bsgap.analysis.thresholds import LOWER_QUARTILE, Threshold, threshold
from bsgap.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd


def read_curves(logs: "pd.DataFrame", metric: str = "train_loss") -> dict[tuple[int, int], Curve]:
    """Curves by (batch size, seed) from a tidy frame.

    Args:
        logs: Columns batch, seed, step, value, one row an evaluation, in any order. A value that is not finite means
            that the run diverged there. A column `metric` picks the rows of one metric; a column `diverged` marks runs
            that were ended as diverged while their loss was finite.
        metric: The metric, one that falls, where `logs` has such a column.

    Raises:
        UsageError: A column or the metric is missing or holds no numbers, or a run has two values at one step.

    >>> import pandas as pd
    >>> logs = pd.DataFrame({"batch": 64, "seed": 0, "step": [2, 1], "value": [1.0, 2.0]})
    >>> read_curves(logs)[64, 0].losses.tolist()
    [2.0, 1.0]
    """
    if missing := {"batch", "seed", "step", "value"} - set(logs.columns):
        raise UsageError(f"logs need the columns batch, seed, step and value, got none named {min(missing)}.")
    rows = logs[logs["metric"] == metric] if "metric" in logs.columns else logs
    if rows.empty:
        raise UsageError(f"logs hold no row of {metric}.")
    _check_numbers(rows)
    curves = {}
    for (batch, seed), run in rows.sort_values("step").groupby(["batch", "seed"]):
        ended = bool(run["diverged"].any()) if "diverged" in run.columns else False
        if run["step"].duplicated().any():
            raise UsageError(
                f"batch {batch}, seed {seed} has two values of {metric} at one step."
                " Give the logs of one learning-rate rule and problem at a time."
            )
        curves[int(batch), int(seed)] = Curve(run["step"], run["value"], diverged=ended)
    return curves


def speedups(
    logs: "pd.DataFrame",
    *,
    by: str | None = None,
    metric: str = "train_loss",
    level: float | None = None,
    quantile: float = LOWER_QUARTILE,
    window: int = 1,
) -> "tuple[pd.DataFrame, Threshold]":
    """Speed-up of every run in the logs of one problem, at one threshold for all of them.

    Args:
        logs: As `read_curves` takes them.
        by: Column that tells several curves apart, such as the learning-rate rule; each has its own baseline, all
            share the threshold.
        metric: The metric that counts.
        level: The threshold, in the metric's unit; absent, a quantile of what the largest batch went through.
        quantile: That quantile.
        window: Evaluations of the running median taken first.

    Returns:
        The frame of `speedup`, with `by` as its first column, and the threshold.

    Raises:
        UsageError: As `read_curves`, `threshold` and `speedup`.
    """
    import pandas as pd

    if by is not None and by not in logs.columns:
        raise UsageError(f"logs have no column {by} to tell curves apart.")
    parts = {None: logs} if by is None else dict(iter(logs.groupby(by, sort=False)))
    curves = {name: read_curves(part, metric) for name, part in parts.items()}
    if level is None:
        pool: dict[int, list[Curve]] = {}
        for runs in curves.values():
            for (batch, _), curve in runs.items():
                pool.setdefault(batch, []).append(curve)
        chosen = threshold(pool, quantile=quantile, window=window)
    else:
        largest = max(batch for runs in curves.values() for batch, _ in runs)
        chosen = Threshold(level, largest, f"{metric} {level:g}, as given")
    frames = []
    for name, runs in curves.items():
        frame = speedup({run: steps_to(curve, chosen.value, window=window) for run, curve in runs.items()})
        if by is not None:
            frame.insert(0, by, name)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True), chosen


def _check_numbers(rows: "pd.DataFrame") -> None:
    """Refuse what is no number, and batch sizes and seeds that are not whole."""
    import pandas as pd

    for column in ("batch", "seed", "step", "value"):
        values = pd.to_numeric(rows[column], errors="coerce")
        wrong = rows.loc[values.isna() & rows[column].notna(), column]
        if column in ("batch", "seed"):
            wrong = pd.concat([wrong, rows.loc[values.isna() | (values % 1 != 0), column]])
        if len(wrong):
            whole = "whole numbers" if column in ("batch", "seed") else "numbers"
            raise UsageError(f"column {column} of the logs must hold {whole}, got {wrong.iloc[0]!r}.")
