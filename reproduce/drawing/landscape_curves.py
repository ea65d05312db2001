"""Loss and accuracy along a filter-normalised direction, a panel a solution (Li et al., Fig. 3, upper row)."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reproduce.drawing import footer as footers
from reproduce.drawing import frames
from reproduce.drawing.style import BLUE, GREY, SPLIT_STYLES, VERMILLION, legend, panel_title, panels, styled

_LOSS, _ACCURACY = BLUE, VERMILLION  # as in the paper


@styled
def landscape_curves(
    frame: pd.DataFrame, footer: footers.Footer, *, top: float | None = None, titles: Mapping[str, str] | None = None
) -> Figure:
    """Loss (left, blue) and accuracy (right, red) against α, the solution at 0; solid train, dashed test.

    All panels have the same axes, so that how wide a basin is can be compared at a glance.

    Args:
        frame: Columns panel, alpha, split, loss (nats), accuracy (per cent), and seed where there are several.
        footer: Where the numbers come from.
        top: Where the axis of the loss ends; None for the largest loss.
        titles: Words for the panels.

    Raises:
        UsageError: A column is missing, the frame is empty, or accuracies are fractions.
    """
    frames.need(frame, ("panel", "alpha", "split", "loss", "accuracy"), "landscape_curves")
    frames.need_per_cent(frame, ("accuracy",), "landscape_curves")
    names = frames.order(frame, "panel")
    across = 2 if len(names) == 4 else min(len(names), 3)
    figure, axes = panels(names, height=1.9)
    finite = frame["loss"].astype(float)
    highest = float(finite[np.isfinite(finite)].max()) if np.isfinite(finite).any() else 1.0
    ceiling = min(top, highest) if top is not None else highest
    splits = [split for split in SPLIT_STYLES if (frame["split"] == split).any()]
    for position, (name, (left,)) in enumerate(zip(names, axes, strict=True)):
        right = left.twinx()
        rows = frame[frame["panel"] == name]
        for axis, value, colour in ((left, "loss", _LOSS), (right, "accuracy", _ACCURACY)):
            for split in splits:
                curve = frames.band(rows[rows["split"] == split], "alpha", value)
                axis.plot(curve["x"], curve["mean"], color=colour, linestyle=SPLIT_STYLES[split])
                if (curve["n"] > 1).any():
                    axis.fill_between(curve["x"], curve["low"], curve["high"], color=colour, alpha=0.12, linewidth=0)
        _dress(left, right, ceiling)
        left.set_title(panel_title(position, len(names), (titles or {}).get(name, name)))
        left.set_xlabel(r"$\alpha$")
        if position % across == 0:
            left.set_ylabel("Loss (nats)", color=_LOSS)
        if position % across == across - 1 or position == len(names) - 1:
            right.set_ylabel("Accuracy (%)", color=_ACCURACY)
    legend(
        figure,
        [
            Line2D([], [], color=colour, linestyle=SPLIT_STYLES[split], label=f"{word}, {split}")
            for colour, word in ((_LOSS, "loss"), (_ACCURACY, "accuracy"))
            for split in splits
        ],
    )
    cut = f"losses above {ceiling:.3g} are not shown" if ceiling < highest else ""
    band = frames.band_remark(frame, log=False) if "seed" in frame.columns else ""
    footers.put(figure, footer, cut, band, *frames.left_out(frame, columns=("loss", "accuracy")))
    return figure


def _dress(left: Axes, right: Axes, ceiling: float) -> None:
    left.axvline(0, color=GREY, linewidth=0.6, linestyle=(0, (1, 1.5)), zorder=0)
    left.margins(x=0.01)
    left.set_ylim(-0.03 * ceiling, 1.03 * ceiling)
    right.set_ylim(-3, 103)
    right.grid(False)
    left.tick_params(axis="y", which="both", colors=_LOSS)
    right.tick_params(axis="y", which="both", colors=_ACCURACY)
    right.patch.set_visible(False)
