"""Bars of several ways of training side by side, such as speed-ups, with every seed and the reported numbers."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from reproduce.drawing import bounds, frames
from reproduce.drawing import footer as footers
from reproduce.drawing.arms import columns_of, label_rows
from reproduce.drawing.style import GREY, PALETTE, legend, panel_title, panels, styled

_REFERENCE: dict[str, Any] = {"color": "#333333", "linewidth": 0.8, "linestyle": (0, (4, 1.5)), "zorder": 2.5}
_REPORTED: dict[str, Any] = {
    "marker": "D", "markersize": 3.6, "markerfacecolor": "white", "markeredgewidth": 0.8, "color": "#333333",
    "linestyle": "", "zorder": 6,
}  # fmt: skip
_HATCHES = ("", "////", "....", "xxxx")
_SEED: dict[str, Any] = {"color": "#333333", "marker": "o", "markersize": 1.8, "linestyle": "", "markeredgewidth": 0}


@styled
def bars(
    frame: pd.DataFrame,
    footer: footers.Footer,
    *,
    y_label: str | Mapping[str, str],
    reported: pd.DataFrame | None = None,
    reported_label: str = "reported",
    reference: float | None = 1.0,
    reference_label: str = "",
    words: str | None = None,
    bottom: float = 0.0,
    titles: Mapping[str, str] | None = None,
) -> Figure:
    """Grouped bars: the mean, an error bar of ± one standard deviation over seeds, and a dot for every seed.

    Args:
        frame: Columns panel, group (along the horizontal axis), arm (the colour), seed, value (not finite: diverged,
            drawn as a cross at the foot of its bar).
        footer: Where the numbers come from.
        y_label: Name and unit of the value, or those of each panel.
        reported: The paper's numbers: columns panel, group, arm, value; hollow diamonds on the bars. What `frame` does
            not have is left out.
        reported_label: Words for them in the legend, with the source.
        reference: Height of a level line, such as 1 for a speed-up; None for none.
        reference_label: What it is, in the legend.
        words: Format of the mean above each bar, such as "{:.2f}×"; None for none.
        bottom: Where the vertical axis begins; say it in the footer where that is not 0.
        titles: Panel titles.

    Raises:
        UsageError: A column is missing or the frame is empty.
    """
    frames.need(frame, ("panel", "group", "arm", "seed", "value"), "bars")
    if reported is not None and len(reported):
        frames.need(reported, ("panel", "group", "arm", "value"), "bars (reported)")
    else:
        reported = None
    names, arms = frames.order(frame, "panel"), frames.order(frame, "arm")
    figure, axes = panels(names, height=2.3 if len(names) == 1 else 2.15)
    shown = False
    for position, (name, (axis,)) in enumerate(zip(names, axes, strict=True)):
        here = frame[frame["panel"] == name]
        groups = frames.order(here, "group")
        width = 0.8 / len(arms)
        for index, arm in enumerate(arms):
            for place, group in enumerate(groups):
                values = here.loc[(here["arm"] == arm) & (here["group"] == group), "value"].to_numpy(float)
                if not len(values):
                    continue
                at = place + (index - (len(arms) - 1) / 2) * width
                top = _bar(axis, at, values, _filled(index), width)
                for value in _of(reported, name, group, arm):
                    axis.plot([at + 0.28 * width], [value], **_REPORTED)
                    top, shown = max(top, value), True
                if words and np.isfinite(values).any():
                    axis.annotate(
                        words.format(values[np.isfinite(values)].mean()), (at, top), xytext=(0, 2.5),
                        textcoords="offset points", ha="center", va="bottom", fontsize=5,
                    )  # fmt: skip
        if reference is not None:
            axis.axhline(reference, **_REFERENCE)
        _finish(axis, groups, len(names), bottom)
        axis.set_title(panel_title(position, len(names), (titles or {}).get(name, name)))
    if isinstance(y_label, str):  # one value: bars of different panels compare by their heights
        top = max(axis.get_ylim()[1] for (axis,) in axes)
        for (axis,) in axes:
            axis.set_ylim(bottom, top)
    label_rows(axes, names, y_label)
    lost = ~np.isfinite(frame["value"].astype(float))
    entries: list[Any] = [Patch(**_filled(index), label=arm) for index, arm in enumerate(arms)]
    several = frame.groupby(["panel", "group", "arm"])["seed"].nunique().max() > 1
    if several:
        entries.append(Line2D([], [], **_SEED, label="one seed"))
    if shown:
        entries.append(Line2D([], [], **_REPORTED, label=reported_label))
    if reference is not None and reference_label:
        entries.append(Line2D([], [], **_REFERENCE, label=reference_label))
    if lost.any():
        entries.append(Line2D([], [], **bounds.cross(GREY), label="diverged"))
    legend(figure, entries, columns=columns_of(entries, wide=len(names) > 1))
    footers.put(figure, footer, "error bar: ± 1 std over seeds" if several else "")
    return figure


def _filled(index: int) -> dict[str, Any]:
    """How the bars of the arm in place `index` are filled: a colour, and hatching that tells them apart in grey."""
    return {
        "facecolor": PALETTE[index % len(PALETTE)], "alpha": 0.75, "hatch": _HATCHES[index % len(_HATCHES)],
        "edgecolor": "white", "linewidth": 0,
    }  # fmt: skip


def _bar(axis: Axes, at: float, values: np.ndarray, look: Mapping[str, Any], width: float) -> float:
    """One bar with its seeds; the height of the highest thing drawn."""
    finite = values[np.isfinite(values)]
    if len(finite) < len(values):
        on_bar = "#333333" if len(finite) else look["facecolor"]
        bounds.crosses(axis, [at], [len(values) - len(finite)], [len(values)], colour=on_bar, direction="down")
    if not len(finite):
        return 0.0
    mean, spread = finite.mean(), finite.std(ddof=1) if len(finite) > 1 else 0.0
    axis.bar(at, mean, width * 0.9, **look, zorder=2)
    if len(finite) > 1:
        axis.errorbar([at], [mean], yerr=[spread], color="#333333", elinewidth=0.8, capsize=1.8, zorder=4)
        places = at + np.linspace(-0.22, 0.22, len(finite)) * width
        axis.plot(
            places, finite, color="#333333", marker="o", markersize=1.8, linestyle="", markeredgewidth=0, zorder=5
        )
    return float(max(mean + spread, finite.max()))


def _of(reported: pd.DataFrame | None, panel: str, group: str, arm: str) -> list[float]:
    if reported is None:
        return []
    chosen = (reported["panel"] == panel) & (reported["group"].astype(str) == group) & (reported["arm"] == arm)
    return reported.loc[chosen, "value"].astype(float).tolist()


def _finish(axis: Axes, groups: Sequence[str], count: int, bottom: float) -> None:
    """Group names, wrapped to the width that each has, and an axis with room for the words above the bars."""
    characters = max(6, int((46 if count == 1 else 100 / min(count, 3)) / max(len(groups), 1)))
    axis.set_xticks(range(len(groups)), [textwrap.fill(group, characters) for group in groups])
    axis.set_xlim(-0.6, len(groups) - 0.4)
    axis.grid(visible=False, axis="x")
    high = axis.get_ylim()[1]
    axis.set_ylim(bottom, high + 0.06 * (high - bottom))
