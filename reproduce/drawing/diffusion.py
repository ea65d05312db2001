"""How far the weights have moved, against the logarithm of time (Hoffer et al., Fig. 2)."""

import math
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reproduce.drawing import footer as footers
from reproduce.drawing import frames
from reproduce.drawing.arms import aligned
from reproduce.drawing.style import GREY, MARKERS, legend, panel_title, panels, styled

_APART = 0.12  # from marker to marker of a curve, as a share of the panel's diagonal
_FIT: dict[str, Any] = {"color": "#333333", "linewidth": 0.9, "linestyle": (0, (4, 1.5)), "zorder": 3}


@styled
def diffusion(
    frame: pd.DataFrame,
    footer: footers.Footer,
    fits: pd.DataFrame | None = None,
    *,
    y_label: str = r"Distance from the start $\|w_t - w_0\|$",
    titles: Mapping[str, str] | None = None,
) -> Figure:
    """Distance of the weights from their start against the step t (log): one line a batch size, light to dark.

    A distance that grows like ln t is a straight line here. The fitted lines a + s ln t are dashed over the steps that
    were fitted, and their slopes s, the mean over seeds, are named in the panel.

    Args:
        frame: Columns panel, batch, seed, step, value.
        footer: Where the numbers come from.
        fits: Columns panel, batch, slope, intercept, low, high (the steps fitted); one row a batch size, or one a seed
            of it.
        y_label: Name of the vertical axis.
        titles: Panel titles.

    Raises:
        UsageError: A column is missing or the frame is empty.
    """
    frames.need(frame, ("panel", "batch", "seed", "step", "value"), "diffusion")
    if fits is not None and len(fits):
        frames.need(fits, ("panel", "batch", "slope", "intercept", "low", "high"), "diffusion (fits)")
    else:
        fits = None
    frame = frame[frame["step"] > 0]
    names, batches = frames.order(frame, "panel"), sorted(frame["batch"].unique())
    shades = np.linspace(0.82, 0.0, len(batches)) if len(batches) > 1 else [0.3]
    looks: dict[float, dict[str, Any]] = {
        batch: {"color": to_hex(mpl.colormaps["viridis"](shade)), "marker": MARKERS[index % len(MARKERS)]}
        for index, (batch, shade) in enumerate(zip(batches, shades, strict=True))
    }
    figure, axes = panels(names, height=2.5 if len(names) == 1 else 2.3)
    for position, (name, (axis,)) in enumerate(zip(names, axes, strict=True)):
        here = frame[frame["panel"] == name]
        axis.set_xscale("log")
        for index, batch in enumerate(batches):
            if not (here["batch"] == batch).any():
                continue
            curve = frames.band(aligned(here[here["batch"] == batch], "step"), "step", "value")
            some = (_APART * index / len(batches), _APART)
            axis.plot(curve["x"], curve["mean"], **looks[batch], markevery=some)
            colour = looks[batch]["color"]
            axis.fill_between(curve["x"], curve["low"], curve["high"], color=colour, alpha=0.15, linewidth=0)
        axis.set_ylim(bottom=0)
        axis.set_title(panel_title(position, len(names), (titles or {}).get(name, name)))
        axis.set_xlabel("Updates $t$ (optimizer steps, log)")
        if fits is not None:
            _fits(axis, fits[fits["panel"] == name], looks)
    for row_start in axes[:: 3 if len(names) != 4 else 2]:
        row_start[0].set_ylabel(y_label)
    entries = [Line2D([], [], **looks[batch], label=f"$m$ = {batch:g}") for batch in batches]
    if fits is not None:
        entries.append(Line2D([], [], **_FIT, label=r"fit $a + s\,\ln t$"))
    legend(figure, entries, columns=min(len(entries), 8 if len(names) > 1 else 4))
    remark = frames.band_remark(frame, log=False)
    footers.put(figure, footer, remark, *frames.left_out(frame, columns=("value",)))
    return figure


def _fits(axis: Axes, fits: pd.DataFrame, looks: Mapping[float, Mapping[str, Any]]) -> None:
    """Fitted lines, and a legend of their slopes where the curves, which rise, leave room."""
    entries = []
    for batch, rows in fits.groupby("batch"):
        slope, intercept, low, high = rows[["slope", "intercept", "low", "high"]].astype(float).mean()
        places = np.array([low, high])
        axis.plot(places, intercept + slope * np.log(places), **_FIT)
        places_after = 2 - math.floor(math.log10(abs(slope))) if slope else 2  # three significant digits
        digits = min(max(places_after, 0), 6)
        spread = f" ± {rows['slope'].std(ddof=1):.{digits}f}" if len(rows) > 1 else ""
        words = f"$s$ = {slope:.{digits}f}{spread}  ($m$ = {batch:g})"
        entries.append(Line2D([], [], **looks.get(batch, {"color": GREY}), linestyle="", label=words))
    axis.legend(handles=entries, loc="upper left", fontsize=5.5, handlelength=1.6, labelspacing=0.25, borderaxespad=0.3)
