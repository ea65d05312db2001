"""The tables of AdaBatch: its schedules, where the runs ended, and the times behind the speed-ups."""

import numpy as np
import pandas as pd

from reproduce import drawing
from reproduce.arms import mean_and_spread
from reproduce.papers.adabatch.problems import LABELS, PROBLEMS, Schedule, schedule
from reproduce.papers.adabatch.trials import DIRECTIONS, errors, seconds_an_example, updates
from reproduce.results import Results
from reproduce.study import Plan

Drawn = tuple[drawing.Table, pd.DataFrame]


def _table(rows: list[dict[tuple[str, str], object]]) -> Drawn | None:
    """Rows whose keys are (heading that spans columns, column)."""
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    frame.columns = pd.MultiIndex.from_tuples(frame.columns)
    table = drawing.plain_table(frame)
    flat = frame.set_axis([", ".join(filter(None, name)) for name in frame.columns], axis=1)
    return drawing.Table(table.tex, flat), flat


def schedules(plan: Plan, results: Results) -> Drawn | None:
    """Epochs, batch size and rate of every phase of every arm; networks with the same schedule share a block."""
    sharing: dict[Schedule, list[str]] = {}
    for name in plan.networks:
        sharing.setdefault(schedule(plan.scale, name), []).append(PROBLEMS[plan.scale][name].label)
    rows: list[dict[tuple[str, str], object]] = []
    for chosen, labels in sharing.items():
        start = 0
        for phases in zip(*(chosen.phases(key) for key in LABELS), strict=True):
            end = start + phases[0][0]
            row: dict[tuple[str, str], object] = {("", "networks"): "; ".join(labels)} if len(sharing) > 1 else {}
            row["", "epochs"] = f"{start} to {end}"
            for label, (_, batch, rate) in zip(LABELS.values(), phases, strict=True):
                row[label, "batch"], row[label, "rate"] = batch, float(f"{rate:.3g}")
            rows.append(row)
            start = end
    return _table(rows)


def endings(plan: Plan, results: Results) -> Drawn | None:
    """Test error and updates of every arm at the end."""
    rows: list[dict[tuple[str, str], object]] = []
    for name in plan.networks:
        found = {key: errors(plan, results, name, key) for key in LABELS}
        if not any(found.values()):
            continue
        row: dict[tuple[str, str], object] = {("", "network"): PROBLEMS[plan.scale][name].label}
        for key, label in LABELS.items():
            row["test error (%)", label] = mean_and_spread(found[key].values())
        for key, label in LABELS.items():
            taken = [count for count in updates(plan, results, name, key).values() if np.isfinite(count)]
            row["updates", label] = f"{np.mean(taken):.0f}" if taken else "–"
        rows.append(row)
    return _table(rows)


def times(plan: Plan, results: Results) -> Drawn | None:
    """Microseconds an example at each batch size, forward and backward: medians over seeds."""
    rows: list[dict[tuple[str, str], object]] = []
    for name in plan.networks:
        for direction in DIRECTIONS:
            seeds = [seconds_an_example(plan, results, name, seed, direction) for seed in range(plan.seeds[name])]
            taken = [seconds for seconds in seeds if seconds is not None]
            if not taken:
                continue
            row: dict[tuple[str, str], object] = {
                ("", "network"): PROBLEMS[plan.scale][name].label, ("", "pass"): direction,
            }  # fmt: skip
            for batch in schedule(plan.scale, name).batches():
                row["µs an example at batch", str(batch)] = 1e6 * float(np.nanmedian([of[batch] for of in taken]))
            rows.append(row)
    return _table(rows)
