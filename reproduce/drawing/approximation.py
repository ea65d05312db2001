"""Error of the linear approximation and test accuracy against the batch size (Golmant, Fig. 2 right)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reproduce.drawing import footer as footers
from reproduce.drawing import frames
from reproduce.drawing.bounds import cross, crosses, room_for_crosses
from reproduce.drawing.powers import power_axis
from reproduce.drawing.style import BLUE, GREY, VERMILLION, legend, panels, styled

_SAME: dict[str, Any] = {"linestyle": (0, (4, 1.5)), "markerfacecolor": "white"}


@styled
def approximation(frame: pd.DataFrame, footer: footers.Footer, *, title: str = "") -> Figure:
    """Error of the linear approximation (left, log) and final test accuracy (right) against the batch size (log2).

    Error bars are one standard deviation over seeds, of the logarithm for errors. A dotted line marks an error of 1,
    which the paper names as the end of the regime in which the approximation holds. Runs that diverged are in no mean:
    a cross at the top stands for them, and for errors that are not finite, with how many of how many where not all.

    Args:
        frame: Columns batch, seed, error, test_accuracy (per cent), and same_batch_error where it was measured: the
            error of the loss of the same mini-batch, a true second-order remainder; diverged (default: the error is
            not finite).
        footer: Where the numbers come from.
        title: What was trained.

    Raises:
        UsageError: A column is missing, the frame is empty, or accuracies are fractions.
    """
    frames.need(frame, ("batch", "seed", "error", "test_accuracy"), "approximation")
    frames.need_per_cent(frame, ("test_accuracy",), "approximation")
    same = "same_batch_error" in frame.columns
    numbers = ["error", "same_batch_error"] if same else ["error"]
    frame = frame.astype(dict.fromkeys(numbers, float))
    gone = ~np.isfinite(frame["error"])
    diverged = frame["diverged"].astype(bool) if "diverged" in frame.columns else gone
    gone |= diverged
    kept, runs = frame[~gone], gone.groupby(frame["batch"]).agg(["sum", "count"])
    lost = runs[runs["sum"] > 0]
    figure, ((left,),) = panels([title], height=2.5)
    right = left.twinx()
    left.set_xscale("log", base=2)
    left.set_yscale("log")
    _line(left, kept, "error", BLUE, "o", log=True)
    same = same and bool((kept["same_batch_error"] > 0).any())
    if same:
        _line(left, kept, "same_batch_error", BLUE, "D", log=True, **_SAME)
    _line(right, frame[~diverged], "test_accuracy", VERMILLION, "s", log=False)
    left.axhline(1.0, color=GREY, linewidth=0.8, linestyle=(0, (1, 1.5)), zorder=1)
    if len(lost):
        room_for_crosses(left, "up")
        crosses(left, lost.index, lost["sum"], lost["count"], colour=GREY, direction="up")
    power_axis(left.xaxis, frame["batch"].unique())
    left.set_title(title)
    left.set_xlabel("Batch size $m$ (examples)")
    left.set_ylabel("Linear-approximation error (nats)", color=BLUE)
    right.set_ylabel("Final test accuracy (%)", color=VERMILLION)
    left.tick_params(axis="y", which="both", colors=BLUE)
    right.tick_params(axis="y", colors=VERMILLION)
    right.grid(False)
    handles = [Line2D([], [], color=BLUE, marker="o", label="error (left)")]
    if same:
        handles.append(Line2D([], [], color=BLUE, marker="D", **_SAME, label="error, same batch (left)"))
    handles.append(Line2D([], [], color=VERMILLION, marker="s", label="test accuracy (right)"))
    handles.append(Line2D([], [], color=GREY, linewidth=0.8, linestyle=(0, (1, 1.5)), label="error = 1"))
    if len(lost):
        handles.append(Line2D([], [], **cross(GREY), label="diverged, or no finite error"))
    legend(figure, handles)
    remark = "bars: mean ± 1 std over seeds (of the logarithm for errors)" if frame["seed"].nunique() > 1 else ""
    footers.put(figure, footer, remark, *frames.left_out(frame[~diverged], columns=("test_accuracy",), log=numbers))
    return figure


def _line(axis: Axes, frame: pd.DataFrame, value: str, colour: str, marker: str, *, log: bool, **style: Any) -> None:
    curve = frames.band(frame, "batch", value, log=log)
    several = curve["n"] > 1
    axis.plot(curve["x"], curve["mean"], color=colour, marker=marker, **style)
    if several.any():
        bars = curve[several]
        sides = [bars["mean"] - bars["low"], bars["high"] - bars["mean"]]
        axis.errorbar(bars["x"], bars["mean"], yerr=sides, fmt="none", ecolor=colour, elinewidth=0.7, capsize=1.5)
