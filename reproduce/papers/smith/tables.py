"""The table of Smith et al.: updates and test accuracy, theirs and ours."""

import numpy as np
import pandas as pd

from reproduce import drawing
from reproduce.arms import mean_and_spread
from reproduce.papers.smith.facts import TABLE
from reproduce.papers.smith.problems import (
    LABELS,
    MAIN,
    MOMENTUM,
    MORE_MOMENTUM,
    PAPER,
    SCHEDULES,
)
from reproduce.papers.smith.trials import MOMENTUM as USUAL
from reproduce.papers.smith.trials import accuracies, updates
from reproduce.results import Results
from reproduce.study import Plan

Drawn = tuple[drawing.Table, pd.DataFrame]


def compared(plan: Plan, results: Results) -> Drawn | None:
    """Updates and test accuracy of every arm beside what the paper reports."""
    if MAIN not in plan.networks:
        return None
    chosen = SCHEDULES[plan.scale]
    rows, measured = [], False
    for key, label in LABELS.items():
        known, found = TABLE.get(key), accuracies(plan, results, key)
        taken = [count for count in updates(plan, results, key).values() if np.isfinite(count)]
        sizes = [phase.batch for phase in chosen.phases(key)]
        measured = measured or bool(found)
        rows.append({
            ("", "schedule"): label,
            ("", "rate"): chosen.first_rate(key),
            ("", "momentum"): MORE_MOMENTUM if key == MOMENTUM else USUAL,
            ("reported [N]", "updates"): known.updates if known else "–",
            ("reported [N]", "accuracy (%)"): f"{known.accuracy:.1f}" if known else "–",
            ("paper's schedule", "updates"): f"{PAPER.updates(key):.0f}",
            ("ours", "batch"): ", ".join(str(size) for size in dict.fromkeys(sizes)),
            ("ours", "updates"): f"{np.mean(taken):.0f}" if taken else "–",
            ("ours", "accuracy (%)"): mean_and_spread(found.values()),
        })  # fmt: skip
    if not measured:
        return None
    frame = pd.DataFrame(rows)
    frame.columns = pd.MultiIndex.from_tuples(frame.columns)
    table = drawing.plain_table(frame)
    flat = frame.set_axis([", ".join(filter(None, name)) for name in frame.columns], axis=1)
    return drawing.Table(table.tex, flat), flat
