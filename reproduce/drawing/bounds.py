"""Curves over seeds whose points may be bounds: a run that never got there bounds what it would have taken.

A run that ends before it reaches the threshold says that it needs *more* steps than it was given, so its speed-up is
*less* than the ratio computed from its last step. Leaving it out would flatter its batch size. Three kinds of point:

- every run reached the threshold: a filled marker;
- some did not: the mean over values and bounds, hollow, with an arrow towards where the truth is;
- every run diverged: no number, a cross at the edge of the panel. Where only some did, the point stands for the
  others, hollow, and the cross carries how many.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.transforms import ScaledTranslation, blended_transform_factory
from numpy.typing import ArrayLike

from reproduce.drawing.style import GREY

Direction = Literal["down", "up"]

_SHAFT = [(0, 0), (0, -1), (-0.3, -0.7), (0, -1), (0.3, -0.7)]
_DRAW = [Path.MOVETO, Path.LINETO, Path.MOVETO, Path.LINETO, Path.LINETO]
_ARROWS = {
    "down": Path(_SHAFT, _DRAW),
    "up": Path([(x, -y) for x, y in _SHAFT], _DRAW),
}
_EDGE = 0.05  # height of the crosses, as a share of the panel's
_ARROW_SIZE = 17  # markersize: the arrow is half as long, in points


def summary(frame: pd.DataFrame, x: str, value: str, bound: str) -> pd.DataFrame:
    """Mean and one standard deviation of the logarithm over seeds at each `x`, with bounds where there is no value.

    Args:
        frame: Columns `x` and `value`; `reached` (default: the value is finite), `bound` (used where not reached) and
            `diverged` (default: no) where there are such.
        x: The horizontal column.
        value: What is drawn; positive.
        bound: The column of its bounds.

    Returns:
        Columns x, mean, low, high (NaN where nothing is known), n (runs in the mean), reached (every run did),
        diverged (how many did before that), runs; sorted by x.
    """
    values = frame[value].to_numpy(float)
    reached = _flags(frame, "reached", np.isfinite(values)) & np.isfinite(values)
    diverged = _flags(frame, "diverged", np.zeros(len(frame), bool)) & ~reached  # what came after does not matter
    bounds = frame[bound].to_numpy(float) if bound in frame.columns else np.full(len(frame), np.nan)
    known = np.where(reached, values, np.where(diverged, np.nan, bounds))
    usable = np.isfinite(known) & (known > 0)
    logs = np.full(len(frame), np.nan)
    logs[usable] = np.log(known[usable])
    table = pd.DataFrame({"x": frame[x].to_numpy(float), "log": logs, "reached": reached, "diverged": diverged})
    grouped = table.groupby("x")
    mean, deviation = grouped["log"].mean(), grouped["log"].std(ddof=1).fillna(0.0)
    return pd.DataFrame(
        {
            "x": mean.index.to_numpy(float),
            "mean": np.exp(mean.to_numpy()),
            "low": np.exp((mean - deviation).to_numpy()),
            "high": np.exp((mean + deviation).to_numpy()),
            "n": grouped["log"].count().to_numpy(),
            "reached": grouped["reached"].all().to_numpy(),
            "diverged": grouped["diverged"].sum().to_numpy(int),
            "runs": grouped.size().to_numpy(),
        }
    )


def _flags(frame: pd.DataFrame, column: str, default: np.ndarray) -> np.ndarray:
    return frame[column].to_numpy(bool) if column in frame.columns else default


def draw(
    axis: Axes,
    points: pd.DataFrame,
    *,
    colour: str,
    marker: str,
    direction: Direction,
    shift: float = 0.0,
) -> None:
    """Draw one series: band, line, filled and hollow points, and crosses where runs diverged.

    Args:
        axis: Where to; its scales are the caller's.
        points: What `summary` returned.
        colour: Of everything in the series.
        marker: Of its points.
        direction: Where the truth lies from a bound: "down" for speed-ups, "up" for steps and costs. Crosses stand at
            that edge of the panel.
        shift: Points by which the crosses are moved sideways, so that those of several series can be told apart.
    """
    known = points[points["n"] > 0]
    axis.fill_between(known["x"], known["low"], known["high"], color=colour, alpha=0.15, linewidth=0)
    axis.plot(known["x"], known["mean"], color=colour, linestyle=(0, (1, 1)), linewidth=0.8)
    solid = known["mean"].where(known["reached"])  # NaN breaks the line where a bound begins
    axis.plot(known["x"], solid, color=colour, marker=marker)
    hollow = known[~known["reached"]]
    if len(hollow):
        axis.plot(hollow["x"], hollow["mean"], color=colour, marker=_ARROWS[direction], markersize=_ARROW_SIZE,
                  fillstyle="none", linestyle="", markeredgewidth=0.7)  # fmt: skip
        axis.plot(hollow["x"], hollow["mean"], color=colour, marker=marker, linestyle="", markerfacecolor="white",
                  markersize=3.6)  # fmt: skip
    lost = points[points["diverged"] > 0]
    crosses(axis, lost["x"], lost["diverged"], lost["runs"], colour=colour, direction=direction, shift=shift)


def crosses(
    axis: Axes,
    places: ArrayLike,
    counts: ArrayLike,
    runs: ArrayLike,
    *,
    colour: str,
    direction: Direction,
    shift: float = 0.0,
    style: Mapping[str, Any] | None = None,
) -> None:
    """Mark where runs diverged, at an edge of the panel, with how many of how many where not all did.

    Args:
        axis: Where to.
        places: Horizontal places, in data.
        counts: Runs that diverged there.
        runs: Runs there.
        colour: Of marker and words.
        direction: The edge: "down" for the bottom, "up" for the top.
        shift: Points by which the marks are moved sideways.
        style: Another marker than the hollow cross.
    """
    down = direction == "down"
    edge = _EDGE if down else 1 - _EDGE
    aside = ScaledTranslation(shift / 72, 0, axis.get_figure(root=True).dpi_scale_trans)  # type: ignore[union-attr]
    across = blended_transform_factory(axis.transData, axis.transAxes) + aside
    for place, count, total in np.broadcast(places, counts, runs):
        # not in the layout: marks over the edge of a panel would make it shrink
        axis.plot([place], [edge], transform=across, in_layout=False, **(style or cross(colour)))
        if count < total:
            axis.annotate(
                f"{count}/{total}", (place, edge), xycoords=across, xytext=(0, 3.5 if down else -3.5),
                textcoords="offset points", ha="center", va="bottom" if down else "top", fontsize=4.5, color=colour,
                in_layout=False, annotation_clip=False,
            )  # fmt: skip


def cross(colour: str) -> dict[str, Any]:
    """How a run that diverged is marked: a hollow cross."""
    return {
        "color": colour, "marker": "X", "markersize": 4.5, "markerfacecolor": "white", "markeredgewidth": 0.7,
        "linestyle": "", "clip_on": False,
    }  # fmt: skip


def room(axis: Axes, direction: Direction, parts: Sequence[pd.DataFrame]) -> None:
    """Lengthen a logarithmic vertical axis at the edge to which arrows point or where crosses stand."""
    if any((part["diverged"] > 0).any() for part in parts):
        room_for_crosses(axis, direction)
    elif any(((part["n"] > 0) & ~part["reached"]).any() for part in parts):
        room_for_crosses(axis, direction, 0.06)


def room_for_crosses(axis: Axes, direction: Direction, share: float = 0.14) -> None:
    """Lengthen a logarithmic vertical axis at the edge where crosses stand, so that they hide no curve."""
    low, high = axis.get_ylim()
    factor = (high / low) ** share
    axis.set_ylim((low / factor, high) if direction == "down" else (low, high * factor))


def handles(parts: Sequence[pd.DataFrame], *, bound: str, direction: Direction) -> list[Line2D]:
    """Legend entries for what is not a filled point, where it occurs.

    Args:
        parts: The summaries that were drawn.
        bound: What a hollow point says, such as "upper bound (threshold not reached)".
        direction: As in `draw`.
    """
    found: list[Line2D] = []
    if any(((part["n"] > 0) & ~part["reached"]).any() for part in parts):
        arrow = r"$\downarrow$" if direction == "down" else r"$\uparrow$"
        hollow: dict[str, Any] = {
            "color": GREY,
            "marker": "o",
            "markerfacecolor": "white",
            "markersize": 3.6,
            "linestyle": (0, (1, 1)),
        }
        found.append(Line2D([], [], **hollow, label=f"{arrow} {bound}"))
    if any((part["diverged"] > 0).any() for part in parts):
        found.append(Line2D([], [], **cross(GREY), label="diverged"))
    return found
