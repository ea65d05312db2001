"""The figures of Smith et al.: the frame that each draws, from runs."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
from matplotlib.figure import Figure

from reproduce import arms, drawing
from reproduce.papers.smith.problems import LABELS, MAIN, OTHERS, PROBLEMS, SCHEDULES, THREE
from reproduce.papers.smith.trials import PANELS, schedule_frame
from reproduce.results import Results
from reproduce.study import Plan

Drawn = tuple[Figure, pd.DataFrame]
EPOCHS, UPDATES = "By epochs", "By updates"
TEST, ERROR = "test_error", "Test error (%, log)"
X_LABELS = {EPOCHS: "Epochs", UPDATES: "Updates (optimizer steps)"}


def _footer(plan: Plan, results: Results, names: Sequence[str], *notes: str, of: Sequence[str] = ()) -> drawing.Footer:
    return arms.footer(plan, results, arms.present(plan, PROBLEMS, names), *notes, of=of)


def _sizes(plan: Plan) -> str:
    chosen = SCHEDULES[plan.scale]
    return f"batch {chosen.batch} at the start, at most {chosen.maximum}"


def schedules(plan: Plan, results: Results) -> Drawn | None:
    """Fig. 1: batch size, rate and noise scale, epoch by epoch."""
    frame = schedule_frame(plan, results)
    if frame.empty:
        return None
    frame = frame.assign(panel=frame["panel"].map(PANELS))
    labels = {
        PANELS["batch"]: "Batch size (log)", PANELS["rate"]: "Learning rate (log)",
        PANELS["noise"]: "Noise scale $g$ (log)",
    }  # fmt: skip
    chosen = SCHEDULES[plan.scale]
    # the schedules are the same for all seeds, so those of one are drawn
    footer = replace(_footer(plan, results, (MAIN,), _sizes(plan)), seeds="as logged by the runs of the first seed")
    figure = drawing.arm_curves(
        frame, footer, y_label=labels, log_y=True, drawstyle="steps-post",
        marks=dict.fromkeys(PANELS.values(), chosen.milestones), marks_label="milestones",
    )  # fmt: skip
    return figure, frame


def _both(plan: Plan, results: Results, metric: str, keys: Sequence[str]) -> pd.DataFrame:
    """The curves of a metric by epochs and by updates: two panels, the horizontal value in column x."""
    found = arms.frame(plan, results, PROBLEMS, metric, names=(MAIN,), keys=keys)
    if found.empty:
        return found
    panels = ((EPOCHS, "epoch"), (UPDATES, "step"))
    return pd.concat([found.assign(panel=panel, x=found[column]) for panel, column in panels], ignore_index=True)


def _compared(plan: Plan, results: Results, metric: str, label: str, *, further: pd.DataFrame) -> Drawn | None:
    frame = _both(plan, results, metric, THREE)
    if len(further):
        frame = pd.concat([frame, further], ignore_index=True)
    if frame.empty:
        return None
    drawn = list(dict.fromkeys(frame["problem"]))
    names = list(dict.fromkeys(frame["panel"]))
    milestones = SCHEDULES[plan.scale].milestones
    figure = drawing.arm_curves(
        frame, _footer(plan, results, drawn, _sizes(plan), of=("WRN-Nesterov",) if metric == TEST else ()),
        y_label=label, x="x", x_label={name: X_LABELS.get(name, "Epochs") for name in names}, log_y=True,
        marks={name: milestones for name in names if name != UPDATES}, marks_label="milestones",
    )  # fmt: skip
    return figure, frame


def loss(plan: Plan, results: Results) -> Drawn | None:
    """Fig. 2: training loss by epochs and by updates."""
    return _compared(plan, results, "train_loss", "Training loss (nats, log)", further=pd.DataFrame())


def error(plan: Plan, results: Results) -> Drawn | None:
    """Fig. 3: test error by epochs and by updates, and with Nesterov momentum by epochs."""
    nesterov = _others(plan, results, ("WRN-Nesterov",))
    return _compared(plan, results, TEST, ERROR, further=nesterov)


def _others(plan: Plan, results: Results, names: Sequence[str]) -> pd.DataFrame:
    found = arms.frame(plan, results, PROBLEMS, TEST, names=names, keys=THREE)
    return found.assign(x=found["epoch"])


def optimizers(plan: Plan, results: Results) -> Drawn | None:
    """Fig. 4: test error with plain SGD and with Adam."""
    frame = _others(plan, results, OTHERS[1:])
    if frame.empty:
        return None
    figure = drawing.arm_curves(
        frame, _footer(plan, results, list(dict.fromkeys(frame["problem"])), _sizes(plan), of=OTHERS[1:]),
        y_label=ERROR, log_y=True, titles={name: name[:1].upper() + name[1:] for name in frame["panel"].unique()},
    )  # fmt: skip
    return figure, frame


def larger(plan: Plan, results: Results) -> Drawn | None:
    """Fig. 5: test error where the rate, or the momentum too, is larger from the start, beside the others."""
    frame = _both(plan, results, TEST, tuple(LABELS))
    if frame.empty:
        return None
    labels = X_LABELS | {UPDATES: "Updates (optimizer steps, log)"}
    figure = drawing.arm_curves(
        frame, _footer(plan, results, (MAIN,), _sizes(plan)), y_label=ERROR, log_y=True, x="x", x_label=labels,
        log_x={UPDATES},
    )  # fmt: skip
    return figure, frame
