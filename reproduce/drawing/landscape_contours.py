"""The loss over a plane of weights as level lines (Li et al., Fig. 3, lower row)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from reproduce.drawing import footer as footers
from reproduce.drawing import frames
from reproduce.drawing.landscape_levels import COLOURS, Grid, grid, levels
from reproduce.drawing.style import COLUMN_WIDTH, TEXT_WIDTH, panel_title, styled

_LABELLED = 0.25  # of a panel's side: around smaller level lines the labels would cover each other


@styled
def landscape_contours(
    frame: pd.DataFrame, footer: footers.Footer, *, loss_label: str = "Training loss (nats)", top: float | None = None
) -> Figure:
    """Labelled level lines of the loss over α and β, a panel a solution, with the same levels and colours in all.

    A cross marks the solution itself. What is not finite, and what lies above `top`, stays white.

    Args:
        frame: Columns panel, alpha, beta, loss (nats): one whole grid a panel.
        footer: Where the numbers come from.
        loss_label: Name and unit of the loss.
        top: The highest loss that is drawn, for a surface that rises far beyond what is to be seen.

    Raises:
        UsageError: A column is missing, the frame is empty, or a panel is no whole grid.
    """
    frames.need(frame, ("panel", "alpha", "beta", "loss"), "landscape_contours")
    names = frames.order(frame, "panel")
    grids = [grid(frame[frame["panel"] == name], "landscape_contours") for name in names]
    shown = levels([losses if top is None else np.minimum(losses, top) for _, _, losses in grids])
    across = len(names) if len(names) <= 4 else 3
    down = -(-len(names) // across)
    width = COLUMN_WIDTH if across == 1 else TEXT_WIDTH
    figure = Figure(
        figsize=(width, down * (0.92 * width / across + 0.3) + 0.4),
        layout=ConstrainedLayoutEngine(h_pad=0.03, w_pad=0.03),
    )
    axes = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    for axis in axes.flat[len(names) :]:
        axis.remove()
    norm = LogNorm(shown[0], shown[-1])
    for position, (name, places) in enumerate(zip(names, grids, strict=True)):
        axis = axes.flat[position]
        _panel(axis, places, shown, norm)
        axis.set_title(panel_title(position, len(names), name))
        if position % across == 0:
            axis.set_ylabel(r"$\beta$")
        if position + across >= len(names):
            axis.set_xlabel(r"$\alpha$")
            axis.tick_params(labelbottom=True)
    bar = figure.colorbar(
        ScalarMappable(norm, COLOURS), ax=list(axes.flat[: len(names)]), aspect=18 * down, pad=0.015, label=loss_label
    )
    bar.ax.yaxis.set_major_locator(FixedLocator(shown))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    remark = f"white: above {top:g} nats, or not finite" if top is not None else ""
    footers.put(figure, footer, remark, *([] if remark else frames.left_out(frame, columns=("loss",), log=("loss",))))
    return figure


def _extent(parts: Sequence[Grid]) -> float:
    """The longer side of the box around a level line."""
    points = np.concatenate([part for part in parts if len(part)]) if any(map(len, parts)) else np.zeros((1, 2))
    return float(np.ptp(points, axis=0).max())


def _panel(axis: Axes, places: tuple[Grid, Grid, Grid], shown: Sequence[float], norm: LogNorm) -> None:
    axis.set_aspect("equal")
    axis.grid(False)
    alphas, betas, losses = places
    if np.isfinite(losses).any():
        fine = np.geomspace(shown[0], shown[-1], 4 * len(shown))
        filled = axis.contourf(alphas, betas, losses, levels=fine, norm=norm, cmap=COLOURS)
        filled.set_edgecolor("face")  # closes the hairlines that viewers show between bands
        filled.set_rasterized(True)
        lines = axis.contour(alphas, betas, losses, levels=shown, colors="black", linewidths=0.4)
        least = _LABELLED * np.ptp(alphas)
        wide = [level for level, parts in zip(shown, lines.allsegs, strict=True) if _extent(parts) > least]
        for text in axis.clabel(lines, wide, fontsize=5, fmt=lambda value: f"{value:g}", inline_spacing=2):
            text.set_path_effects([withStroke(linewidth=1.0, foreground="white")])
    axis.plot(0, 0, marker="+", color="black", markersize=4, markeredgewidth=0.8, zorder=4)
