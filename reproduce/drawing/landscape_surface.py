"""The loss over a plane of weights in perspective (Li et al., Fig. 1)."""

import numpy as np
import pandas as pd
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator
from mpl_toolkits.mplot3d import Axes3D

from reproduce.drawing import footer as footers
from reproduce.drawing import frames
from reproduce.drawing.landscape_levels import COLOURS, grid, levels
from reproduce.drawing.style import COLUMN_WIDTH, TEXT_WIDTH, panel_title, styled

_VIEW = {"elev": 32.0, "azim": -55.0}


@styled
def landscape_surface(
    frame: pd.DataFrame,
    footer: footers.Footer,
    *,
    loss_label: str = "Training loss (nats, log)",
    top: float | None = None,
) -> Figure:
    """The loss as a surface over α and β, on a logarithmic axis, seen from above; a panel a solution.

    Args:
        frame: Columns panel, alpha, beta, loss (nats): one whole grid a panel.
        footer: Where the numbers come from.
        loss_label: Name and unit of the loss.
        top: Where a surface that rises far beyond what is to be seen is cut off.

    Raises:
        UsageError: A column is missing, the frame is empty, or a panel is no whole grid.
    """
    frames.need(frame, ("panel", "alpha", "beta", "loss"), "landscape_surface")
    names = frames.order(frame, "panel")
    grids = [grid(frame[frame["panel"] == name], "landscape_surface") for name in names]
    if top is not None:
        grids = [(alphas, betas, np.minimum(losses, top)) for alphas, betas, losses in grids]
    shown = levels([losses for _, _, losses in grids])
    across = min(len(names), 2)
    down = -(-len(names) // across)
    figure = Figure(
        figsize=(COLUMN_WIDTH if across == 1 else TEXT_WIDTH, 2.5 * down + 0.2),
        layout=ConstrainedLayoutEngine(h_pad=0.03, w_pad=0.03),
    )
    norm = Normalize(np.log(shown[0]), np.log(shown[-1]))
    for position, (name, (alphas, betas, losses)) in enumerate(zip(names, grids, strict=True)):
        axis = figure.add_subplot(down, across, position + 1, projection="3d")
        assert isinstance(axis, Axes3D)
        heights = np.log(losses)
        axis.plot_surface(
            *np.meshgrid(alphas, betas), heights, cmap=COLOURS, norm=norm, rstride=1, cstride=1, linewidth=0.15,
            edgecolor=(0, 0, 0, 0.35), antialiased=True, rasterized=True,
        )  # fmt: skip
        _dress(axis, shown, loss_label)
        axis.set_title(panel_title(position, len(names), name), pad=0)
    footers.put(
        figure, footer, f"cut off at {top:g} nats" if top is not None else "",
        *([] if top is not None else frames.left_out(frame, columns=("loss",), log=("loss",))),
    )  # fmt: skip
    return figure


def _dress(axis: Axes3D, shown: list[float], loss_label: str) -> None:
    axis.view_init(**_VIEW)
    axis.set_box_aspect((1, 1, 0.7), zoom=1.1)
    for flat in (axis.xaxis, axis.yaxis):
        flat.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        flat.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_zlim(np.log(shown[0]), np.log(shown[-1]))
    few = shown if len(shown) <= 6 else shown[:: -(-len(shown) // 6)]
    axis.zaxis.set_major_locator(FixedLocator([float(np.log(value)) for value in few]))
    axis.zaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{np.exp(value):.3g}"))
    axis.set_xlabel(r"$\alpha$", labelpad=-10)
    axis.set_ylabel(r"$\beta$", labelpad=-10)
    axis.set_zlabel(loss_label, labelpad=-5)
    for each in (axis.xaxis, axis.yaxis, axis.zaxis):
        each.set_tick_params(pad=-3, labelsize=6)
        each.pane.set_facecolor("white")
