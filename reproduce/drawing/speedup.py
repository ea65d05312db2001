"""Speed-up and cost against the batch size (Golmant, Figs 2 left, 3 and 4, and the cost that they imply)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from reproduce.drawing import bounds, frames
from reproduce.drawing import footer as footers
from reproduce.drawing.bounds import Direction
from reproduce.drawing.powers import power_axis
from reproduce.drawing.style import (
    GREY,
    LINE_STYLES,
    MARKERS,
    PALETTE,
    legend,
    panel_title,
    panels,
    plain_if_short,
    styled,
)

_IDEAL: dict[str, Any] = {"color": "#333333", "linewidth": 0.8, "linestyle": (0, (4, 1.5)), "zorder": 1.5}


@styled
def speedups(
    frame: pd.DataFrame,
    footer: footers.Footer,
    *,
    breaks: pd.DataFrame | None = None,
    ideal: bool = True,
    titles: Mapping[str, str] | None = None,
) -> Figure:
    """Speed-up s(m; m0) = k(m0) / k(m) against the batch size m, log2-log2, a line with a band for every series.

    A run that never reached the threshold is drawn at its upper bound, hollow with an arrow down; one that diverged
    as a cross at the bottom.

    Args:
        frame: Columns panel, series, batch, seed, speedup; and where there are such runs reached, speedup_bound (used
            where not reached) and diverged: what `bsgap.analysis.speedup` returns, with panel and series.
        footer: Where the numbers come from; state the threshold and m0 in its notes.
        breaks: Batch sizes at which a regime ends, as vertical lines: columns panel, label ("linear until", "flat
            from"), batch, and low, high for a shaded interval, series for the colour of that series.
        ideal: Draw s = m / m0, with m0 the smallest batch of the panel.
        titles: Panel titles.

    Raises:
        UsageError: A column is missing or the frame is empty.
    """
    frames.need(frame, ("panel", "series", "batch", "seed", "speedup"), "speedups")
    if breaks is not None and len(breaks):
        frames.need(breaks, ("panel", "label", "batch"), "speedups (breaks)")
    return _curves(
        frame, footer, value="speedup", bound="speedup_bound", direction="down",
        y_label="Speed-up $k(m_0)/k(m)$", bound_label="upper bound: not all reached it",
        reference=_diagonal if ideal else None, breaks=breaks, titles=titles,
    )  # fmt: skip


@styled
def costs(
    frame: pd.DataFrame,
    footer: footers.Footer,
    *,
    relative: bool = False,
    titles: Mapping[str, str] | None = None,
) -> Figure:
    """Total cost m k(m) to the threshold against the batch size m, log-log: level while the speed-up is linear.

    A run that never reached the threshold is drawn at the cost it had paid when it ended, a lower bound, hollow with
    an arrow up; one that diverged as a cross at the top.

    Args:
        frame: Columns panel, series, batch, seed, and cost (examples) or, when `relative`, cost_ratio (over the
            smallest batch); where there are such runs reached, diverged, and cost_bound or, when `relative`, ideal
            and speedup_bound. What `bsgap.analysis.speedup` returns has them all.
        footer: Where the numbers come from.
        relative: Draw cost_ratio, with a line at 1.
        titles: Panel titles.

    Raises:
        UsageError: A column is missing or the frame is empty.
    """
    value = "cost_ratio" if relative else "cost"
    frames.need(frame, ("panel", "series", "batch", "seed", value), "costs")
    if relative and {"ideal", "speedup_bound"} <= set(frame.columns):
        frame = frame.assign(cost_ratio_bound=frame["ideal"] / frame["speedup_bound"])
    label = "Cost to threshold, relative to $m_0$" if relative else "Cost to threshold (examples)"
    return _curves(
        frame, footer, value=value, bound=f"{value}_bound", direction="up", y_label=label,
        bound_label="lower bound: not all reached it", reference=_level if relative else None, titles=titles,
    )  # fmt: skip


def _curves(
    frame: pd.DataFrame,
    footer: footers.Footer,
    *,
    value: str,
    bound: str,
    direction: Direction,
    y_label: str,
    bound_label: str,
    reference: Callable[[Axes, np.ndarray], None] | None = None,
    breaks: pd.DataFrame | None = None,
    titles: Mapping[str, str] | None = None,
) -> Figure:
    names = frames.order(frame, "panel")
    shared = len({tuple(frames.order(frame[frame["panel"] == name], "series")) for name in names}) == 1
    figure, axes = panels(names, height=2.5 if len(names) == 1 else 2.15)
    parts: list[pd.DataFrame] = []
    marked: list[Line2D] = []
    for position, (name, (axis,)) in enumerate(zip(names, axes, strict=True)):
        here = frame[frame["panel"] == name]
        series = frames.order(here, "series")
        axis.set_xscale("log", base=2)
        axis.margins(x=0.06)
        axis.set_yscale("log", base=2 if direction == "down" else 10)
        drawn = _series(axis, here, series, value, bound, direction)
        parts += drawn
        sizes = np.sort(here["batch"].unique().astype(float))
        if reference is not None:
            reference(axis, sizes)
        if breaks is not None and len(breaks):
            marked = _breaks(axis, breaks[breaks["panel"] == name], series) or marked
        bounds.room(axis, direction, drawn)
        if direction == "down":
            power_axis(axis.yaxis, most=7)
        else:
            plain_if_short(axis.yaxis)
            _thousands(axis)
        power_axis(axis.xaxis, sizes, most=8 if len(names) < 3 else 6)
        axis.set_title(panel_title(position, len(names), (titles or {}).get(name, name)))
        axis.set_xlabel("Batch size $m$ (examples)")
        if not shared:
            axis.legend(handles=_handles(series), loc="upper left", borderaxespad=0.3)
    for row_start in axes[:: 3 if len(names) != 4 else 2]:
        row_start[0].set_ylabel(y_label)
    entries = _handles(frames.order(frame, "series")) if shared else []
    if reference is not None:
        entries.append(Line2D([], [], **_IDEAL, label="ideal" if direction == "down" else "as cheap as $m_0$"))
    entries += marked + bounds.handles(parts, bound=bound_label, direction=direction)
    legend(figure, entries, columns=min(len(entries), 2 if len(names) == 1 else 5))
    remark = "band: mean ± 1 std of the logarithm over seeds" if frame["seed"].nunique() > 1 else ""
    footers.put(figure, footer, remark)
    return figure


def _thousands(axis: Axes) -> None:
    """50k and 2M on a logarithmic axis of less than two decades; longer ones have powers of ten."""
    low, high = axis.get_ylim()
    if high >= 1e4 and high / low < 100:
        axis.yaxis.set_major_formatter(
            FuncFormatter(lambda value, _: f"{value / 1e6:g}M" if value >= 1e6 else f"{value / 1e3:g}k")
        )


def _diagonal(axis: Axes, sizes: np.ndarray) -> None:
    axis.plot(sizes, sizes / sizes[0], **_IDEAL)


def _level(axis: Axes, sizes: np.ndarray) -> None:
    axis.axhline(1.0, **_IDEAL)


def _series(
    axis: Axes, frame: pd.DataFrame, series: Sequence[str], value: str, bound: str, direction: Direction
) -> list[pd.DataFrame]:
    """Draw every series of a panel; what was drawn."""
    drawn = []
    for index, name in enumerate(series):
        points = bounds.summary(frame[frame["series"] == name], "batch", value, bound)
        bounds.draw(
            axis, points, colour=PALETTE[index % len(PALETTE)], marker=MARKERS[index % len(MARKERS)],
            direction=direction, shift=6 * (index - (len(series) - 1) / 2),
        )  # fmt: skip
        drawn.append(points)
    return drawn


def _breaks(axis: Axes, breaks: pd.DataFrame, series: Sequence[str]) -> list[Line2D]:
    """Vertical lines at the ends of regimes, their intervals shaded; legend entries, one a label."""
    styles = {label: LINE_STYLES[2 + place % 2] for place, label in enumerate(frames.order(breaks, "label"))}
    limits = axis.get_xlim()
    for _, row in breaks.iterrows():
        name = row.get("series")
        colour = PALETTE[list(series).index(name) % len(PALETTE)] if name in series else GREY
        axis.axvline(row["batch"], color=colour, linewidth=0.8, linestyle=styles[row["label"]], zorder=1)
        low, high = np.clip([row.get("low", np.nan), row.get("high", np.nan)], *limits)
        if low < high:
            axis.axvspan(low, high, color=colour, alpha=0.1, linewidth=0, zorder=0)
    axis.set_xlim(limits)  # few seeds make intervals far wider than the panel
    return [Line2D([], [], color=GREY, linewidth=0.8, linestyle=style, label=label) for label, style in styles.items()]


def _handles(series: Sequence[str]) -> list[Line2D]:
    return [
        Line2D([], [], color=PALETTE[index % len(PALETTE)], marker=MARKERS[index % len(MARKERS)], label=name)
        for index, name in enumerate(series)
    ]
