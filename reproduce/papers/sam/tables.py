"""The tables of sam."""

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd

from reproduce import arms, drawing
from reproduce.drawing.tables import ABSENT
from reproduce.latex import spread
from reproduce.papers.sam import facts
from reproduce.papers.sam.problems import DATA, LONG, SGD, compares, radius
from reproduce.papers.sam.trials import chosen, curvature, errors, setting
from reproduce.results import Results
from reproduce.study import Plan

Drawn = tuple[drawing.Table, pd.DataFrame]


def methods(plan: Plan, results: Results) -> Drawn | None:
    """Test error of SGD, of SGD for twice the epochs and of SAM, under the reported ones."""
    rows = []
    for name in compares(plan):
        key, planned = chosen(plan, results, name), plan.seeds[name]
        sgd, longer, sam = (errors(plan, results, name, arm) for arm in (SGD, LONG, key))
        if not (sgd or longer or sam):
            continue
        rows.append({
            "network": setting(plan, name).problem.label, "source": "ours",
            "SGD": arms.mean_and_spread(sgd.values(), planned),
            "SGD, twice the epochs": arms.mean_and_spread(longer.values(), planned),
            "SAM": arms.mean_and_spread(sam.values(), planned),
            "rho": f"{radius(key):g}" if key is not None else ABSENT,
            "SAM − SGD": arms.signed(arms.compared(sam, sgd)),
            "SAM − SGD, twice": arms.signed(arms.compared(sam, longer)),
        })  # fmt: skip
    if not rows:
        return None
    for name, row in facts.TABLE1.items():
        rows.append({
            "network": f"WRN-28-10 on {DATA[name]}", "source": "reported (P)",
            "SGD": f"{row.sgd:g} ± {row.spread[1]:g}*", "SGD, twice the epochs": ABSENT,
            "SAM": f"{row.sam:g} ± {row.spread[0]:g}", "rho": ABSENT,
            "SAM − SGD": arms.with_sign(row.sam - row.sgd), "SAM − SGD, twice": ABSENT,
        })  # fmt: skip
    frame = pd.DataFrame(rows)
    return drawing.plain_table(frame), frame


def grid(plan: Plan, results: Results) -> Drawn | None:
    """Test error at every rho and m."""
    rows = []
    for name in compares(plan):
        here, best, planned = setting(plan, name), chosen(plan, results, name), plan.seeds[name]
        for group in (None, *reversed(here.groups)):
            found = {key: errors(plan, results, name, key) for key in here.keys(group)}
            if not any(found.values()):
                continue
            row = {"network": here.problem.label, "m": f"{here.batch} (whole batch)" if group is None else str(group)}
            for key, values in found.items():
                row[f"rho {radius(key):g}"] = arms.mean_and_spread(values.values(), planned) + " ★" * (key == best)
            rows.append(row)
    if not rows:
        return None
    frame = pd.DataFrame(rows).fillna(ABSENT)
    return drawing.plain_table(frame), frame


def minima(plan: Plan, results: Results) -> Drawn | None:
    """The curvature where SGD and SAM ended."""
    found = curvature(plan, results)
    if found.empty:
        return None
    rows = []
    for (name, label), here in found.groupby(["network", "arm"], sort=False):
        rho = radius(str(here["key"].iloc[0]))
        rows.append({
            "network": setting(plan, str(name)).problem.label, "source": "ours",
            "method": label if not rho else f"{label}, rho {rho:g}", "train loss": several(here["loss"]),
            "λ_max": several(here["top"]), "λ_max/λ_5": several(here["ratio"]), "trace": several(here["trace"]),
        })  # fmt: skip
    for label, top in facts.TOP_EIGENVALUE.items():
        rows.append({
            "network": "WRN-40-10 on CIFAR-10, no BatchNorm", "source": "reported (P)", "method": label,
            "train loss": ABSENT, "λ_max": f"≈ {top}" if label == "SGD" else top, "λ_max/λ_5": f""
            f"{facts.RATIO[label]:g}",
            "trace": ABSENT,
        })  # fmt: skip
    frame = pd.DataFrame(rows)
    return drawing.plain_table(frame), frame


def several(values: Iterable[float]) -> str:
    """Mean and deviation over seeds; a dash where nothing is finite."""
    finite = [float(value) for value in values if math.isfinite(value)]
    if not finite:
        return ABSENT
    return spread(float(np.mean(finite)), float(np.std(finite, ddof=1)) if len(finite) > 1 else None)
