"""Large-batch training warm-started from small-batch iterates (Keskar, Fig. 5)."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from reproduce.drawing import footer as footers
from reproduce.drawing import frames
from reproduce.drawing.style import (
    BLUE,
    GREEN,
    LINE_STYLES,
    SHARPNESS_LABEL,
    VERMILLION,
    legend,
    panel_title,
    panels,
    plain_if_short,
    styled,
)


@styled
def warm_start(frame: pd.DataFrame, footer: footers.Footer, *, titles: Mapping[str, str] | None = None) -> Figure:
    """Two stacked panels a network against the small-batch epochs before the switch.

    Upper: test accuracy of the small-batch iterate (blue) and of the large-batch run that starts from it (red). Lower:
    sharpness of the solution which that large-batch run finds (log).

    Args:
        frame: Columns network, seed, sb_epoch, sb_accuracy, lb_accuracy (per cent), sharpness (Metric 2.1), and
            reading if the sharpness was measured in several ways.
        footer: Where the numbers come from.
        titles: Panel titles by network.

    Raises:
        UsageError: A column is missing, the frame is empty, or accuracies are fractions.
    """
    frames.need(frame, ("network", "seed", "sb_epoch", "sb_accuracy", "lb_accuracy", "sharpness"), "warm_start")
    frames.need_per_cent(frame, ("sb_accuracy", "lb_accuracy"), "warm_start")
    networks, readings = frames.order(frame, "network"), frames.readings(frame)
    figure, axes = panels(networks, rows_each=2, height=3.0)
    for position, (network, (upper, lower)) in enumerate(zip(networks, axes, strict=True)):
        here = frame[frame["network"] == network]
        once = here.drop_duplicates(["sb_epoch", "seed"])
        for value, colour, marker in (("sb_accuracy", BLUE, "o"), ("lb_accuracy", VERMILLION, "s")):
            curve = frames.band(once, "sb_epoch", value)
            upper.plot(curve["x"], curve["mean"], color=colour, marker=marker)
            upper.fill_between(curve["x"], curve["low"], curve["high"], color=colour, alpha=0.15, linewidth=0)
        for index, reading in enumerate(readings):
            curve = frames.band(frames.of_reading(here, reading), "sb_epoch", "sharpness", log=True)
            lower.plot(
                curve["x"], curve["mean"], color=GREEN, marker="D", linestyle=LINE_STYLES[index % len(LINE_STYLES)]
            )
            lower.fill_between(curve["x"], curve["low"], curve["high"], color=GREEN, alpha=0.15, linewidth=0)
        lower.set_yscale("log")
        plain_if_short(lower.yaxis)
        lower.xaxis.set_major_locator(MaxNLocator(integer=True))
        upper.set_ylabel("Test accuracy (%)")
        lower.set_ylabel(SHARPNESS_LABEL)
        lower.set_xlabel("Epochs of small-batch training before the switch")
        upper.set_title(panel_title(position, len(networks), (titles or {}).get(network, network)))
    handles = [
        Line2D([], [], color=BLUE, marker="o", label="small-batch iterate"),
        Line2D([], [], color=VERMILLION, marker="s", label="large batch started from it"),
    ]
    for index, reading in enumerate(readings):
        word = f"sharpness, {reading}" if reading else "sharpness of the large-batch solution"
        handles.append(
            Line2D([], [], color=GREEN, marker="D", linestyle=LINE_STYLES[index % len(LINE_STYLES)], label=word)
        )
    legend(figure, handles)
    footers.put(
        figure,
        footer,
        frames.band_remark(frame, log=True),
        *frames.left_out(frame, columns=("sb_accuracy", "lb_accuracy", "sharpness"), log=("sharpness",)),
    )
    return figure
