"""The figures of Goyal et al.: the frame that each draws."""

import pandas as pd
from matplotlib.figure import Figure

from reproduce import arms, drawing
from reproduce.papers.goyal import facts
from reproduce.papers.goyal.knee import Knee, knee
from reproduce.papers.goyal.problems import LAST, PROBLEMS, TOLERANCE, key, sizes_of
from reproduce.results import Results
from reproduce.study import Plan

Drawn = tuple[Figure, pd.DataFrame]
RULE = "linear rule, gradual warm-up"
WARM_UPS = {"none": "No warm-up", "constant": "Constant warm-up", "gradual": "Gradual warm-up"}


def errors(plan: Plan, results: Results, name: str, arm: str) -> dict[int, float]:
    """Seed -> test error (%) of an arm: the median of the last epochs; NaN where the run diverged."""
    return arms.finals(plan, results, PROBLEMS, name, arm, "test_error", LAST[plan.scale])


def by_batch(plan: Plan, results: Results, name: str) -> dict[int, dict[int, float]]:
    """Batch size -> seed -> error under the linear rule with a gradual warm-up, for what has been run."""
    found = {batch: errors(plan, results, name, key(batch)) for batch in sizes_of(plan.scale, name).all}
    return {batch: values for batch, values in found.items() if values}


def knee_of(plan: Plan, results: Results, name: str) -> Knee | None:
    """The knee of a problem's curve; None where there is too little of it."""
    return knee(by_batch(plan, results, name), sizes_of(plan.scale, name).base, TOLERANCE[plan.scale])


def against_batch(plan: Plan, results: Results) -> Drawn | None:
    """Fig. 1: error against batch size, with the knee, beside the paper's curve."""
    rows, shown, marks, notes = [], {}, {}, []
    for name in plan.networks:
        problem = PROBLEMS[plan.scale][name]
        found = by_batch(plan, results, name)
        if not found:
            continue
        shown[name] = problem
        # at the paper's scale both are of one problem, so they share a panel
        panel = facts.PANEL if plan.scale == "paper" else problem.label
        rows += [
            {"panel": panel, "problem": name, "arm": RULE, "batch": batch, "seed": seed, "value": value}
            for batch, values in found.items()
            for seed, value in values.items()
        ]
        bend = knee_of(plan, results, name)
        if bend is not None:
            notes.append(bend.words())
            if bend.found:
                marks[panel] = float(bend.batch)
    if not rows:
        return None
    frame, paper = pd.DataFrame(rows), facts.figure1(RULE)
    marks.setdefault(facts.PANEL, float(facts.level_until(TOLERANCE[plan.scale])))
    figure = drawing.against_size(
        frame, arms.footer(plan, results, shown, *notes), y_label="Top-1 error (%)", reported=paper,
        reported_label="reported (P)", deviations=2, reported_alone=True, marks=marks, marks_label="knee",
        titles={facts.PANEL: facts.LABEL} if plan.scale == "paper" else None,
    )  # fmt: skip
    return figure, frame


def warm_ups(plan: Plan, results: Results) -> Drawn | None:
    """Fig. 2: training error by epoch at the large batch size under each warm-up, beside the base batch size."""
    parts, shown = [], {}
    for name in plan.networks:
        sizes, problem = sizes_of(plan.scale, name), PROBLEMS[plan.scale][name]
        for way, title in WARM_UPS.items():
            chosen = {key(sizes.base): f"batch {sizes.base}", _arm(way, sizes.large): f"batch {sizes.large}"}
            found = arms.frame(plan, results, PROBLEMS, "train_error", names=[name], keys=list(chosen))
            if len(found):
                shown[name] = problem
                parts.append(found.assign(panel=title, arm=found["key"].map(chosen)))
    if not parts:
        return None
    frame = pd.concat(parts, ignore_index=True)
    figure = drawing.arm_curves(frame, arms.footer(plan, results, shown), y_label="Training error (%)")
    return figure, frame


def _arm(warm_up: str, batch: int) -> str:
    """The arm of a warm-up at the large batch size; the gradual one is that of the sweep."""
    return key(batch) if warm_up == "gradual" else warm_up


def curves(plan: Plan, results: Results) -> Drawn | None:
    """Fig. 3: training and test error by epoch at every batch size."""
    parts, shown = [], {}
    for name in plan.networks:
        keys = [key(batch) for batch in sizes_of(plan.scale, name).all]
        for metric, title in (("train_error", "Training error"), ("test_error", "Test error")):
            found = arms.frame(plan, results, PROBLEMS, metric, names=[name], keys=keys)
            if len(found):
                shown[name] = PROBLEMS[plan.scale][name]
                parts.append(found.assign(panel=title))
    if not parts:
        return None
    frame = pd.concat(parts, ignore_index=True)
    return drawing.arm_curves(frame, arms.footer(plan, results, shown), y_label="Top-1 error (%)"), frame
