"""The tables of LARS: the accuracies of its figure, and the norms that its rates are made of."""

import math

import numpy as np
import pandas as pd

from reproduce import arms, drawing
from reproduce.drawing.tables import ABSENT
from reproduce.latex import spread
from reproduce.papers.lars import facts
from reproduce.papers.lars.problems import LARS, METHODS, SGD
from reproduce.papers.lars.trials import accuracies, norm_frame, pair
from reproduce.results import Results
from reproduce.study import Plan

Drawn = tuple[drawing.Table, pd.DataFrame]
STATISTICS = {"weight": "‖w‖", "gradient": "‖∇L‖", "ratio": "‖w‖/‖∇L‖"}


def accuracy(plan: Plan, results: Results) -> Drawn | None:
    """Rate and accuracy at every batch size, and what LARS gains."""
    rows = []
    for name in plan.networks:
        chosen = pair(plan, name)
        for batch in chosen.batches:
            found = {method: accuracies(plan, results, name, method, batch) for method in METHODS}
            if not any(found.values()):
                continue
            rows.append({
                "problem": chosen.plain.label, "batch": batch, "steps an epoch": chosen.steps(batch),
                **{METHODS[method]: arms.mean_and_spread(values.values()) for method, values in found.items()},
                "difference": arms.signed(arms.compared(found[LARS], found[SGD])),
            })  # fmt: skip
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    return drawing.plain_table(frame), frame


def norms(plan: Plan, results: Results) -> Drawn | None:
    """‖w‖, ‖∇L‖ and their ratio, layer by layer, before the first step."""
    found = norm_frame(plan, results)
    if found.empty:
        return None
    rows = []
    for (name, layer), part in found.groupby(["network", "layer"], sort=False):
        role = ""  # the paper names AlexNet's layers
        if name == "AlexNet":
            role = _role(str(layer), list(found.loc[found["network"] == name, "layer"].unique()))
        rows.append({
            "problem": pair(plan, str(name)).plain.label, "layer": f"{layer} ({role})" if role else str(layer),
            **{title: _several(part[column]) for column, title in STATISTICS.items()},
            "reported (N)": facts.RATIOS.get(role),
        })  # fmt: skip
    frame = pd.DataFrame(rows)
    return drawing.plain_table(frame), frame


def _role(layer: str, layers: list[str]) -> str:
    """What the paper calls an AlexNet layer of ours; where the output follows the last convolution there is no fc6."""
    convolutions = [name for name in layers if name.startswith("features")]
    behind = [name for name in layers if name not in convolutions]
    if layer in convolutions:
        return f"conv{convolutions.index(layer) + 1}"
    return f"fc{6 + behind.index(layer)}" if len(behind) > 1 else "output"


def _several(values: pd.Series) -> str:
    """Mean and deviation over seeds."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ABSENT
    return spread(float(np.mean(finite)), float(np.std(finite, ddof=1)) if len(finite) > 1 else None)
