"""The figures of sam: the frame that each draws."""

import math

import pandas as pd
from matplotlib.figure import Figure

from reproduce import arms, drawing
from reproduce.papers.sam.problems import LONG, PROBLEMS, SGD, compares, radius
from reproduce.papers.sam.trials import compared, density, eigenvalues, errors, setting
from reproduce.results import Results
from reproduce.study import Plan

Drawn = tuple[Figure, pd.DataFrame]


def radii(plan: Plan, results: Results) -> Drawn | None:
    """Test error against rho: SAM at every m, and SGD, whose rho is 0, as a line across."""
    rows = []
    for name in compares(plan):
        here = setting(plan, name)
        for group in (None, *reversed(here.groups)):
            label = f"SAM, m = {here.batch if group is None else group}"
            for key in here.keys(group):
                rows += _points(plan, results, name, key, label, radius(key))
        for key, label in ((SGD, "SGD"), (LONG, "SGD, twice the epochs")):
            for rho in dict.fromkeys((here.radii[0], here.radii[-1])):
                rows += _points(plan, results, name, key, label, rho)
    batches = {setting(plan, name).batch for name in compares(plan)}
    whole = f"m = {' and '.join(map(str, sorted(batches)))} is the whole batch"
    return against_radius(plan, results, PROBLEMS, rows, whole)


def _points(plan: Plan, results: Results, name: str, key: str, label: str, rho: float) -> list[dict[str, object]]:
    panel = setting(plan, name).problem.label
    return [
        {"panel": panel, "problem": name, "arm": label, "key": key, "seed": seed, "rho": rho, "value": value}
        for seed, value in errors(plan, results, name, key).items()
    ]


def against_radius(
    plan: Plan, results: Results, problems: arms.Problems, rows: list[dict[str, object]], *notes: str
) -> Drawn | None:
    """Test error against rho: a line an arm.

    Args:
        plan: Names scale and seeds.
        results: Names the machines.
        problems: The paper's.
        rows: Panel, problem, arm, key, seed, rho and value (NaN: diverged) of every point.
        notes: Remarks for the footer.
    """
    frame = pd.DataFrame(rows)
    if frame.empty:
        return None
    lost = frame["value"].isna()
    drawn = frame[~lost]
    if drawn.empty:
        return None
    shown = {str(name): problems[plan.scale][str(name)] for name in drawn["problem"].unique()}
    gone = frame[lost].drop_duplicates(["panel", "key", "seed"])
    note = arms.footer(
        plan, results, shown, *notes, "SGD has rho 0 and is drawn across",
        *[f"{len(gone)} diverged, left out"] * (len(gone) > 0), of=list(plan.not_run),
    )  # fmt: skip
    figure = drawing.arm_curves(drawn, note, y_label="Test error (%)", x="rho", x_label=r"$\rho$ (log)", log_x=True)
    return figure, frame


def spectra(plan: Plan, results: Results) -> Drawn | None:
    """The density of the Hessian's eigenvalues where SGD and SAM ended."""
    parts, shown = [], {}
    for name, label, key, seed in compared(plan, results):
        found = results.measured(density(plan, name, key, seed))
        if found is None:
            continue
        here = setting(plan, name)
        shown[name] = here.problem
        top = results.measured(eigenvalues(plan, name, key, seed))
        parts.append(pd.DataFrame({
            "panel": here.problem.label, "problem": name, "arm": label, "key": key, "seed": seed,
            "eigenvalue": found["grid"], "density": found["density"],
            "top": math.nan if top is None else top["values"][0],
        }))  # fmt: skip
    if not parts:
        return None
    frame = pd.concat(parts, ignore_index=True)
    counts = sorted({setting(plan, name).measured for name in shown})
    rho = sorted({radius(key) for _, label, key, _ in compared(plan, results) if label == "SAM"})
    note = arms.footer(
        plan, results, shown, f"over {' and '.join(f'{count:,}' for count in counts)} training examples",
        f"SAM with rho {' and '.join(f'{value:g}' for value in rho)}",
    )  # fmt: skip
    return drawing.spectra(frame, note, x_label="Eigenvalue of the Hessian"), frame
