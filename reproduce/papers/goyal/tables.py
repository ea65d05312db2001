"""The tables of Goyal et al., with the paper's ImageNet numbers beside those of the problem that runs here."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from reproduce import arms, drawing
from reproduce.drawing.tables import ABSENT
from reproduce.papers.goyal import facts
from reproduce.papers.goyal.figures import errors, knee_of
from reproduce.papers.goyal.problems import PROBLEMS, TOLERANCE, key, sizes_of
from reproduce.results import Results
from reproduce.study import Plan

Drawn = tuple[drawing.Table, pd.DataFrame]
RULES = {
    "half": "2a: half the base rate, linear rule", "linear": "2a: base rate, linear rule",
    "double": "2a: twice the base rate, linear rule", "fixed": "2a: base rate, kept",
    "square-root": "2a: base rate, square-root rule", "gains": "2b: initial gains of 1 in every BatchNorm",
    "deep": "2c: ResNet-101",
}  # fmt: skip


def sweep(plan: Plan, results: Results) -> Drawn | None:
    """The numbers of Fig. 1, with what a batch size means in steps, and the knee."""
    rows = []
    for name in plan.networks:
        problem, sizes = PROBLEMS[plan.scale][name], sizes_of(plan.scale, name)
        found = knee_of(plan, results, name)
        if found is None:
            continue
        for step in found.steps:
            rows.append({
                "problem": f"{problem.label}, ours", "batch": step.batch, "× base": f"{step.batch / sizes.base:g}",
                "steps an epoch": problem.examples // step.batch, "rate": sizes.rate * step.batch / sizes.base,
                "error (%)": arms.mean_and_spread(errors(plan, results, name, key(step.batch)).values()),
                "above the base": ABSENT if step.batch == sizes.base else arms.signed(step.above),
                "within": "yes" if step.level else "no",
            })  # fmt: skip
    if not rows:
        return None
    last, base = facts.level_until(TOLERANCE[plan.scale]), facts.FIGURE1[facts.BASE]
    for batch, cell in facts.FIGURE1.items():
        if batch >= facts.BASE:
            rows.append({
                "problem": facts.PANEL, "batch": batch, "× base": f"{batch / facts.BASE:g}",
                "steps an epoch": facts.EXAMPLES // batch, "rate": facts.RATE * batch / facts.BASE,
                "error (%)": facts.spelled(cell),
                "above the base": ABSENT if batch == facts.BASE else facts.signed(cell, base),
                "within": "yes" if batch <= last else "no",
            })  # fmt: skip
    frame = pd.DataFrame(rows).rename(columns={"within": f"within {TOLERANCE[plan.scale]:g}"})
    return drawing.plain_table(frame), frame


def warm_ups(plan: Plan, results: Results) -> Drawn | None:
    """Table 1."""
    for name in plan.networks:  # a scale has one problem
        sizes = sizes_of(plan.scale, name)
        ways = {"base": key(sizes.base), "none": "none", "constant": "constant", "gradual": key(sizes.large)}
        found = {way: errors(plan, results, name, arm) for way, arm in ways.items()}
        if not any(found.values()):
            return None
        ours = f"{PROBLEMS[plan.scale][name].label}, ours"
        rows = [
            {
                ("", "warm-up"): "none needed" if way == "base" else way,
                (facts.PANEL, "batch"): facts.BASE if way == "base" else facts.LARGE,
                (facts.PANEL, "error (%)"): facts.spelled(facts.TABLE1[way]),
                (ours, "batch"): sizes.base if way == "base" else sizes.large,
                (ours, "error (%)"): arms.mean_and_spread(values.values()),
                (ours, "above gradual"): arms.signed(arms.compared(values, found["gradual"]))
                if way in ("none", "constant")
                else ABSENT,
            }
            for way, values in found.items()
        ]
        return _spanning(rows)
    return None


def rules(plan: Plan, results: Results) -> Drawn | None:
    """Table 2."""
    for name in plan.networks:
        sizes, problem = sizes_of(plan.scale, name), PROBLEMS[plan.scale][name]
        ours = f"{problem.label}, ours"
        plain = errors(plan, results, name, key(sizes.large))
        rows, some = [], False
        for row, label in RULES.items():
            small, large = _arms(row, sizes.base, sizes.large)
            base, values = (errors(plan, results, name, arm) if arm else {} for arm in (small, large))
            some = some or bool(values)
            rows.append({
                ("", "setting"): label,
                (facts.PANEL, f"{facts.BASE}"): facts.spelled(facts.TABLE2[row][0]),
                (facts.PANEL, f"{facts.LARGE}"): facts.spelled(facts.TABLE2[row][1]),
                (ours, f"{sizes.base}"): arms.mean_and_spread(base.values()),
                **_moderate(plan, results, name, row, ours),
                (ours, f"{sizes.large}"): arms.mean_and_spread(values.values()),
                (ours, "above linear"): ABSENT if row == "linear" else arms.signed(arms.compared(values, plain)),
            })  # fmt: skip
        return _spanning(rows) if some else None
    return None


def _moderate(plan: Plan, results: Results, name: str, row: str, ours: str) -> dict[tuple[str, str], str]:
    """The cell of a row at the moderate batch size, where the problem has one; a dash for settings not run there."""
    sizes = sizes_of(plan.scale, name)
    if sizes.flat == sizes.large:
        return {}
    arm = key(sizes.flat) if row == "linear" else f"{row}-{sizes.flat}"
    known = row in ("linear", "fixed", "square-root")
    values = errors(plan, results, name, arm) if known else {}
    return {(ours, f"{sizes.flat}"): arms.mean_and_spread(values.values())}


def _arms(row: str, base: int, large: int) -> tuple[str | None, str]:
    """The arms of a row of Table 2 at both batch sizes; at the base every rule gives the base rate."""
    if row == "linear":
        return key(base), key(large)
    if row in ("fixed", "square-root"):
        return None, row
    return f"{row}-{base}", f"{row}-{large}"


def _spanning(rows: Sequence[Mapping[tuple[str, str], Any]]) -> Drawn:
    """A table whose columns are grouped: the reported numbers and ours."""
    frame = pd.DataFrame(rows)
    frame.columns = pd.MultiIndex.from_tuples(frame.columns)
    return drawing.plain_table(frame), frame
