"""The density of a Hessian's eigenvalues, one line for each way of training (Foret et al., Fig. 3)."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reproduce.drawing import footer as footers
from reproduce.drawing import frames
from reproduce.drawing.arms import MARK, columns_of
from reproduce.drawing.style import LINE_STYLES, PALETTE, legend, panel_title, panels, styled

FLOOR = 1e-8
"""Share of a panel's highest density below which nothing is drawn: the tails of the broadening say nothing."""


@styled
def spectra(
    frame: pd.DataFrame, footer: footers.Footer, *, x_label: str = "Eigenvalue", y_label: str = "Density (log)"
) -> Figure:
    """Density against eigenvalue, on a logarithmic axis, on which few large eigenvalues can be seen; zero is marked.

    Every seed is a thin line, and its largest eigenvalue, where it is given, a tick at the bottom.

    Args:
        frame: Columns panel, arm, seed, eigenvalue and density, an evenly spaced grid for each seed; top, the largest
            eigenvalue by itself, is optional and the same in all rows of a seed.
        footer: Where the numbers come from.
        x_label: Name and unit of the eigenvalues.
        y_label: Name of the density.

    Raises:
        UsageError: A column is missing or the frame is empty.
    """
    frames.need(frame, ("panel", "arm", "seed", "eigenvalue", "density"), "spectra")
    names, arms = frames.order(frame, "panel"), frames.order(frame, "arm")
    looks = [
        {"color": PALETTE[index % len(PALETTE)], "linestyle": LINE_STYLES[index % len(LINE_STYLES)], "linewidth": 0.9}
        for index in range(len(arms))
    ]
    figure, axes = panels(names)
    for position, (name, (axis,)) in enumerate(zip(names, axes, strict=True)):
        inside = frame[frame["panel"] == name]
        floor = FLOOR * float(inside["density"].max())
        axis.set_yscale("log")
        axis.axvline(0.0, **MARK)
        for arm, look in zip(arms, looks, strict=True):
            for _, rows in inside[inside["arm"] == arm].groupby("seed", sort=True):
                density = rows["density"].to_numpy(float)
                axis.plot(rows["eigenvalue"].to_numpy(float), np.where(density > floor, density, np.nan), **look)
                top = float(rows["top"].iloc[0]) if "top" in rows else np.nan
                if np.isfinite(top):
                    axis.plot(
                        [top], [0.0], transform=axis.get_xaxis_transform(), color=look["color"], marker="|",
                        markersize=9, markeredgewidth=1.1, linestyle="", clip_on=False, zorder=5,
                    )  # fmt: skip
        axis.set_title(panel_title(position, len(names), name))
        axis.set_xlabel(x_label)
    axes[0][0].set_ylabel(y_label)
    entries = [Line2D([], [], label=arm, **look) for arm, look in zip(arms, looks, strict=True)]
    if "top" in frame.columns and np.isfinite(frame["top"].astype(float)).any():
        entries.append(
            Line2D([], [], color="#555555", marker="|", markersize=7, linestyle="", label="largest eigenvalue")
        )
    legend(figure, entries, columns=columns_of(entries, wide=len(names) > 1))
    several = frame["seed"].nunique() > 1
    footers.put(figure, footer, "one line a seed" if several else "")
    return figure
