"""The figures of Hoffer et al.: the frame that each draws, from runs."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from reproduce import arms, drawing
from reproduce.papers.hoffer.problems import (
    LABELS,
    MAIN,
    MEMORY,
    MILESTONES,
    PROBLEMS,
    RA,
    SIZES,
    STAGES,
    initial_phase,
)
from reproduce.papers.hoffer.trials import adapted, after, before, walks
from reproduce.results import Results
from reproduce.study import Plan

Drawn = tuple[Figure, pd.DataFrame]
TRAINING, TEST = "Training error", "Test error"
BEFORE, AFTER, ADAPTED = "One rate", "Scaled rate, ghost BatchNorm", "As many updates"
UPDATES = "Updates (optimizer steps, log)"


def by_size(plan: Plan, results: Results) -> Drawn | None:
    """Fig. 1: training and test error by epoch at every batch size, without adaptation."""
    labels = {key: f"$m$ = {batch}" for batch, key in before(plan.scale).items()}
    parts = []
    for metric, title in (("train_error", TRAINING), ("test_error", TEST)):
        for key, label in labels.items():  # in the order of the batch sizes
            found = arms.frame(plan, results, PROBLEMS, metric, names=(MAIN,), keys=(key,))
            if len(found):
                parts.append(found.assign(panel=title, arm=label))
    if not parts:
        return None
    frame = pd.concat(parts, ignore_index=True)
    figure = drawing.arm_curves(
        frame, arms.footer(plan, results, arms.present(plan, PROBLEMS, (MAIN,))),
        y_label="Top-1 error (%, log)", log_y=True,  # a training error of 0 is left out, and the footer says so
        marks=dict.fromkeys((TRAINING, TEST), MILESTONES[plan.scale, MAIN]), marks_label="rate falls to a tenth",
    )  # fmt: skip
    return figure, frame


def _panels(scale: str) -> dict[str, dict[int, str]]:
    return {BEFORE: before(scale), AFTER: after(scale), ADAPTED: adapted(scale)}


def distances(plan: Plan, results: Results) -> pd.DataFrame:
    """Distances of the weights from their start at the initial rate: panel, batch, key, seed, step, value."""
    parts = []
    for panel, chosen in _panels(plan.scale).items():
        for batch, key in chosen.items():
            rows = arms.frame(plan, results, PROBLEMS, "distance", names=(MAIN,), keys=(key,))
            if len(rows):
                rows = rows[(rows["step"] <= initial_phase(plan.scale, MAIN, key)[1]) & ~rows["diverged"].astype(bool)]
                parts.append(rows.assign(panel=panel, batch=batch))
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["panel", "batch"])
    return frame


def fitted(plan: Plan, results: Results) -> pd.DataFrame:
    """The fits of Fig. 2, one row a panel, batch size and seed."""
    rows = [
        {
            "panel": panel, "batch": batch, "key": key, "seed": seed, "slope": fit.slope, "intercept": fit.intercept,
            "low": fit.low, "high": fit.high, "n": fit.n, "r_squared": fit.r_squared, "power": fit.power,
            "power_r_squared": fit.power_r_squared,
        }
        for panel, chosen in _panels(plan.scale).items()
        for batch, key in chosen.items()
        for seed, fit in walks(plan, results, key)
        if fit is not None
    ]  # fmt: skip
    return pd.DataFrame(rows)


def diffusion(plan: Plan, results: Results) -> Drawn | None:
    """Fig. 2: the distance from the start against the logarithm of time, before and after adaptation."""
    frame = distances(plan, results)
    if frame.empty:
        return None
    figure = drawing.diffusion(
        frame,
        arms.footer(
            plan, results, arms.present(plan, PROBLEMS, (MAIN,)), f"fitted from step {MEMORY} on",
            *_lost(plan, results, frame),
        ),
        fitted(plan, results),
    )  # fmt: skip
    return figure, frame


def _lost(plan: Plan, results: Results, frame: pd.DataFrame) -> list[str]:
    """What is said of the runs that diverged and are not drawn."""
    problem, lost = PROBLEMS[plan.scale][MAIN], 0
    for key in {key for chosen in _panels(plan.scale).values() for key in chosen.values()}:
        arm = problem.arm(key)
        assert arm is not None
        lost += sum(results.diverged(arms.trial(plan, problem, arm, seed)) for seed in range(plan.seeds[MAIN]))
    return [f"{lost} diverged run{'s' if lost > 1 else ''} left out"] if lost else []


def stages(plan: Plan, results: Results) -> Drawn | None:
    """Fig. 3: test error of every stage, by updates for each network and by epochs for the main one."""
    ratio = SIZES[plan.scale].ratio
    parts, x_labels, marks = [], {}, {}
    for name, problem in arms.present(plan, PROBLEMS).items():
        found = arms.frame(plan, results, PROBLEMS, "test_error", names=(name,), keys=STAGES)
        if found.empty:
            continue
        epochs = found["epoch"] / found["key"].map(lambda key: ratio if key == RA else 1)
        if name == MAIN:
            panel = f"{problem.label}, by epochs"
            x_labels[panel] = f"Epochs (adapted regime: divided by {ratio})"
            marks[panel] = MILESTONES[plan.scale, MAIN]
            parts.append(found.assign(panel=panel, x=epochs))
        panel = f"{problem.label}, by updates"
        x_labels[panel] = UPDATES
        parts.append(found.assign(panel=panel, x=found["step"]))
    if not parts:
        return None
    frame = _in_order(pd.concat(parts, ignore_index=True), LABELS)
    shown = {name: problem for name, problem in arms.present(plan, PROBLEMS).items() if name in set(frame["problem"])}
    sizes = SIZES[plan.scale]
    figure = drawing.arm_curves(
        frame, arms.footer(plan, results, shown, f"small batch {sizes.small}, large batch {sizes.large}"),
        y_label="Top-1 test error (%, log)", log_y=True, x="x", x_label=x_labels,
        log_x={panel for panel, label in x_labels.items() if label == UPDATES}, marks=marks,
        marks_label="rate falls to a tenth",
    )  # fmt: skip
    return figure, frame


def _in_order(frame: pd.DataFrame, labels: Mapping[str, str]) -> pd.DataFrame:
    """The rows with the main network's panels first and the arms in the paper's order, which the legend keeps."""
    order = {key: place for place, key in enumerate(labels)}
    first = (frame["problem"] != MAIN).astype(int)
    return frame.assign(_place=frame["key"].map(order), _first=first).sort_values(
        ["_first", "_place"], kind="stable"
    ).drop(columns=["_place", "_first"])  # fmt: skip
