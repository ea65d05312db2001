"""Curves of several ways of training, and the rates and batch sizes that they went through."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from reproduce.drawing import bounds, frames
from reproduce.drawing import footer as footers
from reproduce.drawing.bounds import Direction
from reproduce.drawing.style import (
    COLUMN_WIDTH,
    GREY,
    LINE_STYLES,
    MARKERS,
    PALETTE,
    TEXT_WIDTH,
    legend,
    panel_title,
    panels,
    plain_if_short,
    styled,
)

DrawStyle = Literal["default", "steps-post"]
X_LABELS = {"epoch": "Epochs", "step": "Updates (optimizer steps)", "examples": "Training examples"}
_SPARSE = 17  # up to so many points of a curve all are marked
_APART = 0.12  # from marker to marker on a longer one, as a share of the panel's diagonal
LOG_X_LABELS = {
    "epoch": "Epochs (log)", "step": "Updates (optimizer steps, log)", "examples": "Training examples (log)",
}  # fmt: skip
STEPPED: tuple[Any, ...] = (
    *LINE_STYLES,
    (0, (7, 1.5, 1, 1.5, 1, 1.5)),
    (0, (1, 2.5)),
)  # of lines that coincide all are seen
MARK: dict[str, Any] = {
    "color": "#555555",
    "linewidth": 0.9,
    "linestyle": (0, (1, 1.5)),
    "zorder": 1.6,
}  # above the grid


@styled
def arm_curves(
    frame: pd.DataFrame,
    footer: footers.Footer,
    *,
    y_label: str | Mapping[str, str],
    x: str = "epoch",
    x_label: str | Mapping[str, str] | None = None,
    log_x: bool | Collection[str] = False,
    log_y: bool | Collection[str] = False,
    drawstyle: DrawStyle = "default",
    marks: Mapping[str, Sequence[float]] | None = None,
    marks_label: str = "",
    titles: Mapping[str, str] | None = None,
    columns: int | None = None,
) -> Figure:
    """One value against epochs or updates: a line with a band for every arm, one panel for every panel of the frame.

    The mean is over the runs that did not diverge. Each of the others is drawn by itself, thin, up to a cross where it
    left the panel or ended; what it does beyond the others' range does not stretch the axis. Where the runs of an arm
    have no common abscissae, as updates have where the batch grows at another moment for every seed, they are
    interpolated, up to where the shortest ends.

    Args:
        frame: Columns panel, arm, seed, `x`, value; a run of which a row is marked in a column diverged has diverged.
        footer: Where the numbers come from.
        y_label: Name and unit of the value, or those of each panel.
        x: The horizontal column.
        x_label: Its name and unit, or those of each panel; epochs, updates and examples are known.
        log_x: Logarithmic horizontal axis in all panels, or those in which it is; points at 0 are then left out.
        log_y: Logarithmic vertical axis in all panels, or those in which it is.
        drawstyle: `steps-post` for what stays as it is until it changes, such as a schedule: lines without
            interpolation, in different line styles, since arms coincide.
        marks: By panel, abscissae of dotted vertical lines, such as the milestones of a schedule.
        marks_label: What they are, in the legend.
        titles: Panel titles.
        columns: Entries in a row of the legend.

    Raises:
        UsageError: A column is missing or the frame is empty.
    """
    frames.need(frame, ("panel", "arm", "seed", x, "value"), "arm_curves")
    names, arms = frames.order(frame, "panel"), frames.order(frame, "arm")
    logarithmic = set(names) if log_y is True else set(log_y or ())
    stepped = drawstyle == "steps-post"
    across = set(names) if log_x is True else set(log_x or ())
    frame = frame[(frame[x] > 0) | ~frame["panel"].isin(across)]
    gone = diverged(frame)
    figure, axes = panels(names, height=2.4 if len(names) == 1 else 2.15)
    looks = [look(index, stepped=stepped) for index in range(len(arms))]
    for position, (name, (axis,)) in enumerate(zip(names, axes, strict=True)):
        inside = frame["panel"] == name
        log = name in logarithmic
        if name in across:
            axis.set_xscale("log")
        if log:
            axis.set_yscale("log")
        for index, arm in enumerate(arms):
            runs = frame[inside & (frame["arm"] == arm) & ~gone]
            if len(runs):
                _line(axis, runs, x, looks[index], index / len(arms), log=log, drawstyle=drawstyle)
        _diverged_runs(axis, frame[inside & gone], x, arms, log=log, drawstyle=drawstyle)
        for place in (marks or {}).get(name, ()):
            axis.axvline(place, **MARK)
        axis.set_title(panel_title(position, len(names), (titles or {}).get(name, name)))
        label = x_label.get(name, x) if isinstance(x_label, Mapping) else x_label
        axis.set_xlabel(label or (LOG_X_LABELS if name in across else X_LABELS).get(x, x))
        if log:
            plain_if_short(axis.yaxis)
        if name in across:
            plain_if_short(axis.xaxis)
        else:
            axis.margins(x=0.02)
            axis.xaxis.set_major_locator(MaxNLocator(7, integer=True, steps=[1, 2, 5, 10]))  # no half epochs
            thousands(axis)
    label_rows(axes, names, y_label)
    entries = [Line2D([], [], **drawn, label=arm) for drawn, arm in zip(looks, arms, strict=True)]
    if marks and marks_label:
        entries.append(Line2D([], [], **MARK, label=marks_label))
    if gone.any():
        entries.append(Line2D([], [], **bounds.cross(GREY), label="diverged"))
    legend(figure, entries, columns=columns or columns_of(entries, wide=len(names) > 1))
    kept = frame[~gone]
    some = kept.groupby(["panel", "arm"])["seed"].nunique().max() if len(kept) else 0
    remark = frames.band_remark(kept, log=bool(logarithmic)) if some > 1 else ""
    low = ("value",) if len(logarithmic) == len(names) else ()
    footers.put(figure, footer, remark, *frames.left_out(kept, columns=("value",), log=low))
    return figure


def look(index: int, *, stepped: bool = False) -> dict[str, Any]:
    """How the arm in place `index` is drawn: its colour, and a marker or a line style that tells it apart in grey.

    >>> look(1)["marker"], "marker" in look(1, stepped=True)
    ('s', False)
    """
    colour = PALETTE[index % len(PALETTE)]
    if stepped:
        return {"color": colour, "linestyle": STEPPED[index % len(STEPPED)]}
    style = LINE_STYLES[index // len(PALETTE) % len(LINE_STYLES)]
    return {"color": colour, "linestyle": style, "marker": MARKERS[index % len(MARKERS)]}


def diverged(frame: pd.DataFrame) -> pd.Series:
    """Whether a row belongs to a run (panel, arm, seed) of which some row is marked as diverged."""
    if "diverged" not in frame.columns:
        return pd.Series(False, index=frame.index)
    return frame["diverged"].astype(bool).groupby([frame["panel"], frame["arm"], frame["seed"]]).transform("any")


def columns_of(entries: Sequence[Any], *, wide: bool) -> int:
    """Entries in a row of the legend: as many as fit, by the length of their words; matplotlib fills it by columns."""
    widths = [0.5 + 0.05 * len(re.sub(r"\\[a-z]+|[${}]", "", str(entry.get_label()))) for entry in entries]
    for columns in range(min(len(entries), 6 if wide else 3), 1, -1):
        needed = sum(max(part) for part in np.array_split(widths, columns))
        if needed <= (TEXT_WIDTH if wide else COLUMN_WIDTH):
            return -(-len(entries) // -(-len(entries) // columns))  # as many rows, filled evenly
    return 1


def label_rows(axes: Sequence[Sequence[Axes]], names: Sequence[str], y_label: str | Mapping[str, str]) -> None:
    """One label a row where all panels show the same, and one a panel where they do not."""
    labels = [y_label if isinstance(y_label, str) else y_label.get(name, "") for name in names]
    across = 3 if len(names) != 4 else 2
    for position, (axis,) in enumerate(axes):
        if len(set(labels)) > 1 or position % across == 0:
            axis.set_ylabel(labels[position])


def thousands(axis: Axes) -> None:
    """20k and 1.5M on a linear horizontal axis that goes beyond ten thousand."""
    top = axis.get_xlim()[1]
    if top < 1e4:
        return
    unit, word = (1e6, "M") if top >= 2e6 else (1e3, "k")
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / unit:g}{word}" if value else "0"))


def room(axis: Axes, edge: Direction, *, log: bool, share: float = 0.14) -> None:
    """Lengthen a vertical axis at the edge where crosses stand, so that they hide no curve."""
    if log:
        bounds.room_for_crosses(axis, edge, share)
        return
    low, high = axis.get_ylim()
    more = share * (high - low)
    axis.set_ylim((low - more, high) if edge == "down" else (low, high + more))


def aligned(runs: pd.DataFrame, x: str, *, log: bool = False, stepped: bool = False) -> pd.DataFrame:
    """Columns seed, `x`, value, with the same abscissae for every seed up to where the shortest run ends.

    Runs that have them already are left as they are. Others are interpolated at the abscissae of all of them.

    Args:
        runs: The runs of one arm: columns seed, `x`, value.
        x: The horizontal column.
        log: Interpolate the logarithm; values that are not positive are left out.
        stepped: Keep the last value instead of interpolating.
    """
    found = {}
    for seed, run in runs.groupby("seed"):
        places, values = run.sort_values(x)[[x, "value"]].to_numpy(float).T
        usable = np.isfinite(values) & ((values > 0) if log else True)
        if usable.any():
            found[seed] = places[usable], values[usable]
    if not found:
        return runs.iloc[:0][["seed", x, "value"]]
    every = [places for places, _ in found.values()]
    grid = every[0]
    if any(len(places) != len(grid) or (places != grid).any() for places in every):
        grid = np.unique(np.concatenate(every))
        grid = grid[(grid >= max(places[0] for places in every)) & (grid <= min(places[-1] for places in every))]
    parts = []
    for seed, (places, values) in found.items():
        if stepped:
            there = values[np.maximum(np.searchsorted(places, grid, side="right") - 1, 0)]
        elif log:
            there = np.exp(np.interp(grid, places, np.log(values)))
        else:
            there = np.interp(grid, places, values)
        parts.append(pd.DataFrame({"seed": seed, x: grid, "value": there}))
    return pd.concat(parts, ignore_index=True)


def _line(
    axis: Axes, runs: pd.DataFrame, x: str, style: Mapping[str, Any], place: float, *, log: bool, drawstyle: DrawStyle
) -> None:
    """One curve with its band; `place`, from 0 to 1, sets its markers apart from those of lines that coincide."""
    stepped = drawstyle == "steps-post"
    curve = frames.band(aligned(runs, x, log=log, stepped=stepped), x, "value", log=log)
    # of a curve with many points some are marked, equally far apart on the page
    some = None if len(curve) <= _SPARSE else (_APART * place, _APART)
    axis.plot(curve["x"], curve["mean"], **style, drawstyle=drawstyle, markevery=some)
    axis.fill_between(
        curve["x"], curve["low"], curve["high"], color=style["color"], alpha=0.15, linewidth=0,
        step="post" if stepped else None,
    )  # fmt: skip


def _diverged_runs(
    axis: Axes, rows: pd.DataFrame, x: str, arms: Sequence[str], *, log: bool, drawstyle: DrawStyle
) -> None:
    """Every run that diverged, thin, up to a cross at the last point that is inside the panel."""
    runs = []
    for (arm, _), run in rows.groupby(["arm", "seed"], sort=False):
        places, values = run.sort_values(x)[[x, "value"]].to_numpy(float).T
        usable = np.isfinite(values) & ((values > 0) if log else True)
        if usable.any():
            runs.append((arms.index(str(arm)), places[usable], values[usable]))
    if not runs:
        return
    if not axis.has_data():  # nothing else gives a range: twice what they started from
        top = 2 * max(values[0] for _, _, values in runs)
        seen = np.concatenate([values[values <= top] for _, _, values in runs])
        axis.set_ylim(seen.min() / 1.3 if log else min(seen.min(), 0), top)
        axis.set_xlim(min(places[0] for _, places, _ in runs), max(places[-1] for _, places, _ in runs) * 1.02)
    low, high = axis.get_ylim()
    if any((values > high).any() for _, _, values in runs):
        room(axis, "up", log=log, share=0.08)
    limits = axis.get_ylim()
    for index, places, values in runs:
        outside = np.flatnonzero((values < low) | (values > high))
        end = outside[0] if len(outside) else len(values)
        colour = look(index)["color"]
        # the line goes on out of the panel, where it is clipped
        axis.plot(places[: end + 1], values[: end + 1], color=colour, linewidth=0.6, alpha=0.8, drawstyle=drawstyle)
        at = _exit(places, values, end, low, high, log=log) if 0 < end < len(values) else (places[-1], values[-1])
        axis.plot([at[0]], [np.clip(at[1], low, high)], **bounds.cross(colour), zorder=5)
    axis.set_ylim(limits)


def _exit(
    places: NDArray[np.float64], values: NDArray[np.float64], end: int, low: float, high: float, *, log: bool
) -> tuple[float, float]:
    """Where a line leaves the range between its points `end` - 1 and `end`."""
    edge = high if values[end] > high else low
    scale = np.log if log else np.asarray
    before, after = scale(values[end - 1 : end + 1])
    share = (scale(edge) - before) / (after - before)
    return float(places[end - 1] + share * (places[end] - places[end - 1])), edge
