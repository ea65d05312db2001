"""The tables of asam."""

import pandas as pd

from reproduce import arms, drawing
from reproduce.drawing.tables import ABSENT
from reproduce.papers.asam.problems import here
from reproduce.papers.asam.trials import ADAPTIVE, BALL, METHODS, chosen, errors, keys, minima, widths
from reproduce.papers.sam.problems import radius
from reproduce.papers.sam.tables import several
from reproduce.results import Results
from reproduce.study import Plan

Drawn = tuple[drawing.Table, pd.DataFrame]


def methods(plan: Plan, results: Results) -> Drawn | None:
    """Test error of SGD, SAM and ASAM, each at its best rho, and how wide the range of good rho is."""
    rows = []
    for name in plan.networks:
        found = {method: chosen(plan, results, name, method) for method in METHODS}
        values = {method: errors(plan, results, name, key) for method, key in found.items()}
        for method in METHODS:
            if not values[method]:
                continue
            key = found[method]
            wide = widths(plan, results, name, method) if method != "SGD" else {}
            gains = {
                other: arms.signed(arms.compared(values[method], values[other])) if method != other else ABSENT
                for other in ("SGD", "SAM")
            }
            rows.append({
                "network": here(plan, name).problem.label, "method": method,
                "rho": f"{radius(key):g}" if key is not None and method != "SGD" else ABSENT,
                "test error (%)": arms.mean_and_spread(values[method].values(), plan.seeds[name]),
                "minus SGD": gains["SGD"], "minus SAM": gains["SAM"] if method == "ASAM" else ABSENT,
                "range of rho (decades)": several(wide.values()),
            })  # fmt: skip
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    return drawing.plain_table(frame), frame


def grid(plan: Plan, results: Results) -> Drawn | None:
    """Test error at every place of the two grids."""
    rows = []
    for name in plan.networks:
        for method in ("SAM", "ASAM"):
            best = chosen(plan, results, name, method)
            for key in keys(plan, name, method):
                found = errors(plan, results, name, key)
                if found:
                    rows.append({
                        "network": here(plan, name).problem.label, "method": method, "rho": f"{radius(key):g}",
                        "test error (%)": arms.mean_and_spread(found.values(), plan.seeds[name]) + " ★" * (key == best),
                    })  # fmt: skip
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    return drawing.plain_table(frame), frame


def sharpness(plan: Plan, results: Results) -> Drawn | None:
    """Both balls where SGD, SAM and ASAM ended, beside the training loss."""
    found = minima(plan, results)
    if found.empty or not found[[BALL, ADAPTIVE]].notna().any(axis=None):
        return None
    rows = []
    for (name, method), part in found.groupby(["network", "method"], sort=False):
        rho = radius(str(part["key"].iloc[0]))
        rows.append({
            "network": here(plan, str(name)).problem.label, "method": f"{method}, rho {rho:g}" if rho else method,
            "train loss": several(part["loss"]), "ball": several(part[BALL]), "adaptive ball": several(part[ADAPTIVE]),
        })  # fmt: skip
    frame = pd.DataFrame(rows)
    return drawing.plain_table(frame), frame
