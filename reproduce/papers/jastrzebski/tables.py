"""The table of jastrzebski: what every pair of rate and batch size came to."""

import math

import numpy as np
import pandas as pd

from reproduce import arms, drawing
from reproduce.drawing.tables import ABSENT
from reproduce.latex import spread
from reproduce.papers.jastrzebski.trials import at, frame, grid
from reproduce.results import Results
from reproduce.study import Plan

Drawn = tuple[drawing.Table, pd.DataFrame]


def pairs(plan: Plan, results: Results) -> Drawn | None:
    """Loss, Hessian norm and accuracy of every pair, by falling ratio."""
    found = frame(plan, results)
    rows = []
    for name in plan.networks:
        chosen = grid(plan, name)
        for rate, batch in sorted(chosen.pairs, key=lambda pair: (-pair[0] / pair[1], pair[1])):
            values = {
                column: at(found, name, (rate, batch), column) for column in ("loss", "end", "matched", "accuracy")
            }
            if not values["end"]:
                continue
            rows.append({
                "problem": chosen.problem.label, "η/S": f"{rate / batch:.3g}", "η": f"{rate:g}", "S": batch,
                "train loss": _several(values["loss"]), "λ1": _several(values["end"]),
                "λ1, matched": _several(values["matched"]),
                "test accuracy (%)": arms.mean_and_spread(values["accuracy"].values()),
            })  # fmt: skip
    if not rows:
        return None
    table = pd.DataFrame(rows)
    return drawing.plain_table(table), table


def _several(values: dict[int, float]) -> str:
    """Mean and deviation over seeds."""
    finite = [value for value in values.values() if math.isfinite(value)]
    if not finite:
        return ABSENT
    return spread(float(np.mean(finite)), float(np.std(finite, ddof=1)) if len(finite) > 1 else None)
