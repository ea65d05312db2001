"""A value against the ratio of learning rate to batch size, one colour a batch size."""

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reproduce.drawing import footer as footers
from reproduce.drawing import frames
from reproduce.drawing.arms import columns_of, label_rows, look
from reproduce.drawing.style import legend, panel_title, panels, plain_if_short, styled

APART = 0.12
"""Width, in decades, over which the points of one ratio are set side by side."""
UNIT = 1e4
"""What ratios are multiplied by on the axis: they are small, and numbers of five digits would run into one another."""


@styled
def against_ratio(
    frame: pd.DataFrame,
    footer: footers.Footer,
    *,
    y_label: str | Mapping[str, str],
    log_y: bool | Collection[str] = False,
    titles: Mapping[str, str] | None = None,
) -> Figure:
    """A point for every pair of rate and batch size, over their ratio (log): the mean, a bar of ± 1 std over seeds.

    Pairs of one ratio stand side by side, in the order of their batch sizes, so that what depends on the ratio alone
    shows as a level row.

    Args:
        frame: Columns panel, rate, batch, seed, value; what is not finite is left out and counted.
        footer: Where the numbers come from.
        y_label: Name and unit of the value, or those of each panel.
        log_y: Logarithmic vertical axis in all panels, or those in which it is; mean and deviation are then those of
            the logarithm.
        titles: Panel titles.

    Raises:
        UsageError: A column is missing or the frame is empty.
    """
    frames.need(frame, ("panel", "rate", "batch", "seed", "value"), "against_ratio")
    names, batches = frames.order(frame, "panel"), sorted(frame["batch"].unique())
    logarithmic = set(names) if log_y is True else set(log_y or ())
    figure, axes = panels(names, height=2.3 if len(names) == 1 else 2.15)
    places = APART * (np.arange(len(batches)) / max(len(batches) - 1, 1) - 0.5)
    for position, (name, (axis,)) in enumerate(zip(names, axes, strict=True)):
        log = name in logarithmic
        axis.set_xscale("log")
        if log:
            axis.set_yscale("log")
        for index, batch in enumerate(batches):
            here = frame[(frame["panel"] == name) & (frame["batch"] == batch)]
            ratio = UNIT * here["rate"].astype(float) / batch * 10.0 ** places[index]
            curve = frames.band(here.assign(ratio=ratio), "ratio", "value", log=log)
            if len(curve):
                spread = [curve["mean"] - curve["low"], curve["high"] - curve["mean"]]
                style = look(index) | {"linestyle": ""}
                axis.errorbar(curve["x"], curve["mean"], yerr=spread, elinewidth=0.7, capsize=1.5, **style)
        axis.set_title(panel_title(position, len(names), (titles or {}).get(name, name)))
        axis.set_xlabel(r"Rate / batch size, $10^4\,\eta/S$ (log)")
        plain_if_short(axis.xaxis)
        if log:
            plain_if_short(axis.yaxis)
    label_rows(axes, names, y_label)
    entries = [Line2D([], [], **look(index) | {"linestyle": ""}, label=f"batch {b}") for index, b in enumerate(batches)]
    legend(figure, entries, columns=columns_of(entries, wide=len(names) > 1))
    several = frame.groupby(["rate", "batch"])["seed"].nunique().max() > 1
    remark = "bar: ± 1 std over seeds" + (" (of the logarithm on log axes)" if logarithmic else "")
    footers.put(figure, footer, remark if several else "", *frames.left_out(frame, columns=("value",)))
    return figure
