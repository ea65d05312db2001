"""Histograms of weights, one line for each solution (Li et al., Fig. 2)."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reproduce.drawing import footer as footers
from reproduce.drawing import frames
from reproduce.drawing.style import LINE_STYLES, PALETTE, legend, panel_title, panels, styled


@styled
def histograms(
    frame: pd.DataFrame, footer: footers.Footer, *, x_label: str = "Weight", y_label: str = "Share of the weights (log)"
) -> Figure:
    """The share of values in each bin, as outlines over each other; a logarithmic axis, on which tails can be seen.

    Args:
        frame: Columns panel, arm, low and high (edges of a bin) and share (of all values of that arm, in [0, 1]). The
            bins of an arm lie side by side, in ascending order.
        footer: Where the numbers come from.
        x_label: Name and unit of the values.
        y_label: Name of the share.

    Raises:
        UsageError: A column is missing or the frame is empty.
    """
    frames.need(frame, ("panel", "arm", "low", "high", "share"), "histograms")
    names, arms = frames.order(frame, "panel"), frames.order(frame, "arm")
    figure, axes = panels(names)
    looks = [
        {"color": PALETTE[index % len(PALETTE)], "linestyle": LINE_STYLES[index % len(LINE_STYLES)]}
        for index in range(len(arms))
    ]
    for position, (name, (axis,)) in enumerate(zip(names, axes, strict=True)):
        axis.set_yscale("log")
        for arm, look in zip(arms, looks, strict=True):
            bins = frame[(frame["panel"] == name) & (frame["arm"] == arm)]
            if len(bins):
                edges = np.append(bins["low"].to_numpy(float), bins["high"].to_numpy(float)[-1])
                share = bins["share"].to_numpy(float)
                axis.stairs(np.where(share > 0, share, np.nan), edges, linewidth=0.9, baseline=None, **look)
        axis.set_title(panel_title(position, len(names), name))
        axis.set_xlabel(x_label)
    axes[0][0].set_ylabel(y_label)
    legend(figure, [Line2D([], [], linewidth=0.9, label=arm, **look) for arm, look in zip(arms, looks, strict=True)])
    footers.put(figure, footer)
    return figure
