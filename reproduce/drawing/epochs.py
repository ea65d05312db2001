"""Accuracy by epoch for small and large batch (Keskar, Fig. 2)."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reproduce.drawing import footer as footers
from reproduce.drawing import frames
from reproduce.drawing.style import LABELS, SPLIT_STYLES, colour_of, legend, panel_title, panels, styled


@styled
def epoch_curves(
    frame: pd.DataFrame,
    footer: footers.Footer,
    *,
    labels: Mapping[str, str] = LABELS,
    titles: Mapping[str, str] | None = None,
) -> Figure:
    """Train (solid) and test (dashed) accuracy against the epoch, one colour a method, one panel a network.

    Args:
        frame: Columns network, method, seed, epoch, split ("train", "test"), accuracy (per cent).
        footer: Where the numbers come from.
        labels: Words for the methods in the legend, such as {"SB": "SB, m = 256"}.
        titles: Panel titles by network; the network's name where there is none.

    Raises:
        UsageError: A column is missing, the frame is empty, or accuracies are fractions.
    """
    frames.need(frame, ("network", "method", "seed", "epoch", "split", "accuracy"), "epoch_curves")
    frames.need_per_cent(frame, ("accuracy",), "epoch_curves")
    networks, methods = frames.order(frame, "network"), frames.order(frame, "method")
    splits = [split for split in SPLIT_STYLES if (frame["split"] == split).any()]
    figure, axes = panels(networks)
    for position, (network, (axis,)) in enumerate(zip(networks, axes, strict=True)):
        for index, method in enumerate(methods):
            for split in splits:
                chosen = (frame["network"] == network) & (frame["method"] == method) & (frame["split"] == split)
                curve = frames.band(frame[chosen], "epoch", "accuracy")
                colour = colour_of(method, index)
                axis.plot(curve["x"], curve["mean"], color=colour, linestyle=SPLIT_STYLES[split])
                axis.fill_between(curve["x"], curve["low"], curve["high"], color=colour, alpha=0.18, linewidth=0)
        axis.set_xlabel("Epoch")
        axis.set_title(panel_title(position, len(networks), (titles or {}).get(network, network)))
        axis.margins(x=0.02)
        axis.set_ylim(top=min(axis.get_ylim()[1], 101.0))
    for row_start in axes[:: 3 if len(networks) != 4 else 2]:
        row_start[0].set_ylabel("Accuracy (%)")
    handles = [
        Line2D(
            [],
            [],
            color=colour_of(method, index),
            linestyle=SPLIT_STYLES[split],
            label=f"{labels.get(method, method)}, {split}",
        )
        for index, method in enumerate(methods)
        for split in splits
    ]
    legend(figure, handles)
    footers.put(figure, footer, frames.band_remark(frame, log=False), *frames.left_out(frame, columns=("accuracy",)))
    return figure
