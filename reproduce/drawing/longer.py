"""What training for longer gives a large batch: steps to the threshold and test accuracy against the budget."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from reproduce.drawing import bounds, frames
from reproduce.drawing import footer as footers
from reproduce.drawing.style import MARKERS, PALETTE, legend, panel_title, panels, plain_if_short, styled


@styled
def longer(frame: pd.DataFrame, footer: footers.Footer) -> Figure:
    """Steps to the threshold (left, log) and final test accuracy (right) against the epochs that a run was given.

    A series that was trained for one budget only, the small batch, is drawn as a level line across the panel: it is
    what the large batch is to be compared with. A run that ended above the threshold is drawn at its last step, a
    lower bound, hollow with an arrow up. The accuracy is that of runs that did not diverge; a cross at the edge stands
    for the others.

    Args:
        frame: Columns series ("batch 64, base rate"), epochs (the budget), seed, steps (to the threshold, NaN where
            not reached), test_accuracy (per cent); where there are such runs reached, last_step, diverged.
        footer: Where the numbers come from; state the threshold in its notes.

    Raises:
        UsageError: A column is missing, the frame is empty, or accuracies are fractions.
    """
    frames.need(frame, ("series", "epochs", "seed", "steps", "test_accuracy"), "longer")
    frames.need_per_cent(frame, ("test_accuracy",), "longer")
    series, budgets = frames.order(frame, "series"), sorted(frame["epochs"].unique().astype(float))
    figure, ((steps,), (accuracy,)) = panels(["steps", "accuracy"])
    parts = []
    for index, name in enumerate(series):
        here = frame[frame["series"] == name]
        colour, marker = PALETTE[index % len(PALETTE)], MARKERS[index % len(MARKERS)]
        points = bounds.summary(here, "epochs", "steps", "last_step")
        gone = _diverged(here)
        ends = frames.band(here[~gone], "epochs", "test_accuracy")
        if here["epochs"].nunique() == 1 and len(budgets) > 1:
            _level(steps, points, colour)
            _level(accuracy, ends, colour)
        parts.append(points)
        shift = 6 * (index - (len(series) - 1) / 2)
        bounds.draw(steps, points, colour=colour, marker=marker, direction="up", shift=shift)
        accuracy.plot(ends["x"], ends["mean"], color=colour, marker=marker)
        runs = gone.groupby(here["epochs"]).agg(["sum", "count"])
        lost = runs[runs["sum"] > 0]
        bounds.crosses(accuracy, lost.index, lost["sum"], lost["count"], colour=colour, direction="down", shift=shift)
        accuracy.fill_between(ends["x"], ends["low"], ends["high"], color=colour, alpha=0.15, linewidth=0)
    steps.set_yscale("log")
    if _diverged(frame).any():
        bounds.room_for_crosses(steps, "up")
        low, high = accuracy.get_ylim()
        accuracy.set_ylim(low - 0.14 * (high - low), high)
    plain_if_short(steps.yaxis)
    for position, (axis, title) in enumerate(((steps, "Speed"), (accuracy, "Quality"))):
        axis.set_xscale("log", base=2)
        axis.margins(x=0.06)
        axis.xaxis.set_major_locator(FixedLocator(budgets))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_xlabel("Budget (epochs)")
        axis.set_title(panel_title(position, 2, title))
    steps.set_ylabel("Steps to threshold")
    accuracy.set_ylabel("Final test accuracy (%)")
    handles = [
        Line2D([], [], color=PALETTE[index % len(PALETTE)], marker=MARKERS[index % len(MARKERS)], label=name)
        for index, name in enumerate(series)
    ]
    handles += bounds.handles(parts, bound="lower bound: not all reached it", direction="up")
    legend(figure, handles, columns=min(len(handles), 3))
    remark = "band: mean ± 1 std over seeds (of the logarithm for steps)" if frame["seed"].nunique() > 1 else ""
    footers.put(figure, footer, remark, *frames.left_out(frame[~_diverged(frame)], columns=("test_accuracy",)))
    return figure


def _level(axis: Axes, points: pd.DataFrame, colour: str) -> None:
    """A level line with its band at the only point of a series."""
    if points["n"].sum():
        axis.axhline(points["mean"].iloc[0], color=colour, linewidth=0.8, linestyle=(0, (4, 1.5)), zorder=1)
        axis.axhspan(points["low"].iloc[0], points["high"].iloc[0], color=colour, alpha=0.1, linewidth=0, zorder=0)


def _diverged(frame: pd.DataFrame) -> pd.Series:
    return frame["diverged"].astype(bool) if "diverged" in frame.columns else pd.Series(False, index=frame.index)
