"""A value along a line through weight space: the loss along an eigenvector, or between two solutions."""

from collections.abc import Collection, Mapping

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reproduce.drawing import footer as footers
from reproduce.drawing import frames
from reproduce.drawing.arms import columns_of, label_rows, look
from reproduce.drawing.style import GREY, legend, panel_title, panels, plain_if_short, styled


@styled
def lines(
    frame: pd.DataFrame,
    footer: footers.Footer,
    *,
    x: str,
    x_label: str,
    y_label: str | Mapping[str, str],
    log_y: bool | Collection[str] = False,
    marks: Mapping[float, str] | None = None,
    titles: Mapping[str, str] | None = None,
) -> Figure:
    """One curve with a band for every arm, told apart by colour and by line style, over a linear axis.

    Args:
        frame: Columns panel, arm, seed, `x`, value; what is not finite is left out and counted.
        footer: Where the numbers come from.
        x: The horizontal column.
        x_label: Its name and unit.
        y_label: Name and unit of the value, or those of each panel.
        log_y: Logarithmic vertical axis in all panels, or those in which it is.
        marks: Abscissae of dotted vertical lines, with the word that stands over each.
        titles: Panel titles.

    Raises:
        UsageError: A column is missing or the frame is empty.
    """
    frames.need(frame, ("panel", "arm", "seed", x, "value"), "lines")
    names, arms = frames.order(frame, "panel"), frames.order(frame, "arm")
    logarithmic = set(names) if log_y is True else set(log_y or ())
    figure, axes = panels(names, height=2.3 if len(names) == 1 else 2.15)
    for position, (name, (axis,)) in enumerate(zip(names, axes, strict=True)):
        log = name in logarithmic
        if log:
            axis.set_yscale("log")
        for index, arm in enumerate(arms):
            here = frame[(frame["panel"] == name) & (frame["arm"] == arm)]
            style = look(index, stepped=True)
            curve = frames.band(here, x, "value", log=log)
            axis.fill_between(curve["x"], curve["low"], curve["high"], color=style["color"], alpha=0.15, linewidth=0)
            axis.plot(curve["x"], curve["mean"], **style)
        for place, word in (marks or {}).items():
            axis.axvline(place, color=GREY, linewidth=0.6, linestyle=(0, (1, 1.5)), zorder=0)
            axis.annotate(
                word, (place, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 1.5), textcoords="offset points",
                ha="center", va="bottom", fontsize=6, color="#555555",
            )  # fmt: skip
        axis.margins(x=0.01)
        axis.set_title(panel_title(position, len(names), (titles or {}).get(name, name)), pad=9 if marks else None)
        axis.set_xlabel(x_label)
        if log:
            plain_if_short(axis.yaxis)
    label_rows(axes, names, y_label)
    entries = [Line2D([], [], **look(index, stepped=True), label=arm) for index, arm in enumerate(arms)]
    legend(figure, entries, columns=columns_of(entries, wide=len(names) > 1))
    footers.put(
        figure, footer, frames.band_remark(frame, log=bool(logarithmic)), *frames.left_out(frame, columns=("value",))
    )
    return figure
