"""Test accuracy and sharpness against the batch size (Keskar, Fig. 4)."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from reproduce.drawing import footer as footers
from reproduce.drawing import frames
from reproduce.drawing.style import (
    BLUE,
    GREY,
    LINE_STYLES,
    MARKERS,
    SHARPNESS_LABEL,
    VERMILLION,
    legend,
    panel_title,
    panels,
    plain_if_short,
    styled,
)


@styled
def against_batch(
    frame: pd.DataFrame,
    footer: footers.Footer,
    *,
    thresholds: Mapping[str, float] | None = None,
    titles: Mapping[str, str] | None = None,
) -> Figure:
    """Test accuracy (left, blue) and sharpness (right, red, log) against the batch size (log2), one panel a network.

    Args:
        frame: Columns network, batch_size, seed, test_accuracy (per cent), sharpness (Metric 2.1), and reading if
            there are several ways of measuring it: one line style each.
        footer: Where the numbers come from.
        thresholds: By network, the batch size at which the paper reports that the accuracy begins to drop: a dotted
            line.
        titles: Panel titles by network.

    Raises:
        UsageError: A column is missing, the frame is empty, or accuracies are fractions.
    """
    frames.need(frame, ("network", "batch_size", "seed", "test_accuracy", "sharpness"), "against_batch")
    frames.need_per_cent(frame, ("test_accuracy",), "against_batch")
    networks, readings = frames.order(frame, "network"), frames.readings(frame)
    figure, axes = panels(networks)
    marked = False
    for position, (network, (left,)) in enumerate(zip(networks, axes, strict=True)):
        right = left.twinx()
        here = frame[frame["network"] == network]
        _line(left, here.drop_duplicates(["batch_size", "seed"]), "test_accuracy", BLUE, "o", "-", log=False)
        for index, reading in enumerate(readings):
            style, marker = LINE_STYLES[index % len(LINE_STYLES)], MARKERS[1 + index % (len(MARKERS) - 1)]
            _line(right, frames.of_reading(here, reading), "sharpness", VERMILLION, marker, style, log=True)
        if thresholds and network in thresholds:
            left.axvline(thresholds[network], color=GREY, linewidth=0.7, linestyle=(0, (1, 1.5)), zorder=0)
            marked = True
        left.set_xscale("log", base=2)
        right.set_yscale("log")
        right.grid(False)
        plain_if_short(right.yaxis)
        _batch_ticks(left, here)
        left.set_title(panel_title(position, len(networks), (titles or {}).get(network, network)))
        left.set_xlabel("Batch size (examples)")
        left.set_ylabel("Test accuracy (%)", color=BLUE)
        right.set_ylabel(SHARPNESS_LABEL, color=VERMILLION)
        left.tick_params(axis="y", colors=BLUE)
        right.tick_params(axis="y", which="both", colors=VERMILLION)
        left.set_zorder(right.get_zorder() - 1)
    legend(figure, _handles(readings, marked))
    footers.put(
        figure,
        footer,
        frames.band_remark(frame, log=True),
        *frames.left_out(frame, columns=("test_accuracy", "sharpness"), log=("sharpness",)),
    )
    return figure


def _line(axis: Axes, frame: pd.DataFrame, value: str, colour: str, marker: str, style: object, *, log: bool) -> None:
    curve = frames.band(frame, "batch_size", value, log=log)
    axis.plot(curve["x"], curve["mean"], color=colour, marker=marker, linestyle=style)
    axis.fill_between(curve["x"], curve["low"], curve["high"], color=colour, alpha=0.15, linewidth=0)


def _batch_ticks(axis: Axes, frame: pd.DataFrame) -> None:
    """Name the batch sizes that were run, thinned to what fits."""
    sizes = sorted(frame["batch_size"].unique())
    step = -(-len(sizes) // 8)
    axis.xaxis.set_major_locator(FixedLocator([float(size) for size in sizes[::step]]))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))


def _handles(readings: list[str], marked: bool) -> list[Line2D]:
    handles = [Line2D([], [], color=BLUE, marker="o", label="test accuracy (left)")]
    for index, reading in enumerate(readings):
        style, marker = LINE_STYLES[index % len(LINE_STYLES)], MARKERS[1 + index % (len(MARKERS) - 1)]
        word = f"sharpness, {reading} (right)" if reading else "sharpness (right)"
        handles.append(Line2D([], [], color=VERMILLION, marker=marker, linestyle=style, label=word))
    if marked:
        handles.append(
            Line2D([], [], color=GREY, linewidth=0.7, linestyle=(0, (1, 1.5)), label="accuracy drops, reported")
        )
    return handles
