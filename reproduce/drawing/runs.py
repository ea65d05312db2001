"""Sharpness against the loss along a run (Keskar, Fig. 6)."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reproduce.drawing import footer as footers
from reproduce.drawing import frames
from reproduce.drawing.style import (
    LABELS,
    LINE_STYLES,
    MARKERS,
    SHARPNESS_LABEL,
    colour_of,
    legend,
    panel_title,
    panels,
    plain_if_short,
    styled,
)


@styled
def scatter_path(
    frame: pd.DataFrame,
    footer: footers.Footer,
    *,
    labels: Mapping[str, str] = LABELS,
    titles: Mapping[str, str] | None = None,
) -> Figure:
    """Sharpness (log) against the training loss (log, falling to the right): a run goes from left to right.

    Each seed is a thin line of its own, because two seeds are never at the same loss at the same time; no mean is
    drawn.

    Args:
        frame: Columns network, method, seed, epoch (the order along the run), loss (nats), sharpness (Metric 2.1),
            and reading if the sharpness was measured in several ways.
        footer: Where the numbers come from.
        labels: Words for the methods in the legend.
        titles: Panel titles by network.

    Raises:
        UsageError: A column is missing or the frame is empty.
    """
    frames.need(frame, ("network", "method", "seed", "epoch", "loss", "sharpness"), "scatter_path")
    networks, methods, readings = frames.order(frame, "network"), frames.order(frame, "method"), frames.readings(frame)
    figure, axes = panels(networks)
    positive = frame[(frame["loss"] > 0) & (frame["sharpness"] > 0)]
    for position, (network, (axis,)) in enumerate(zip(networks, axes, strict=True)):
        for index, method in enumerate(methods):
            for style_index, reading in enumerate(readings):
                rows = frames.of_reading(positive, reading)
                rows = rows[(rows["network"] == network) & (rows["method"] == method)]
                for _, run in rows.sort_values("epoch").groupby("seed"):
                    axis.plot(
                        run["loss"], run["sharpness"], color=colour_of(method, index), alpha=0.75, linewidth=0.7,
                        marker=MARKERS[index % len(MARKERS)], markersize=2.2,
                        linestyle=LINE_STYLES[style_index % len(LINE_STYLES)],
                    )  # fmt: skip
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.invert_xaxis()
        plain_if_short(axis.yaxis)
        plain_if_short(axis.xaxis)
        axis.set_xlabel("Training cross-entropy (nats), falling to the right")
        axis.set_title(panel_title(position, len(networks), (titles or {}).get(network, network)))
    for row_start in axes[:: 3 if len(networks) != 4 else 2]:
        row_start[0].set_ylabel(SHARPNESS_LABEL)
    handles = [
        Line2D([], [], color=colour_of(method, index), marker=MARKERS[index % len(MARKERS)], linewidth=0.7,
               linestyle=LINE_STYLES[style_index % len(LINE_STYLES)],
               label=f"{labels.get(method, method)}{', ' + reading if reading else ''}")
        for index, method in enumerate(methods)
        for style_index, reading in enumerate(readings)
    ]  # fmt: skip
    legend(figure, handles)
    footers.put(
        figure,
        footer,
        "one line a seed" if frame["seed"].nunique() > 1 else "",
        *frames.left_out(frame, columns=("loss", "sharpness"), log=("loss", "sharpness")),
    )
    return figure
