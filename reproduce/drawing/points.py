"""One value a seed, with mean and standard deviation: the distance ratio, or readings of sharpness side by side."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from reproduce.drawing import footer as footers
from reproduce.drawing import frames
from reproduce.drawing.style import LABELS, MARKERS, colour_of, legend, panel_title, panels, plain_if_short, styled


@styled
def points(
    frame: pd.DataFrame,
    footer: footers.Footer,
    *,
    value: str,
    y_label: str,
    group: str = "network",
    hue: str | None = None,
    panel: str | None = None,
    reported: pd.DataFrame | None = None,
    reported_label: str = "reported",
    log: bool = False,
    labels: Mapping[str, str] = LABELS,
    titles: Mapping[str, str] | None = None,
) -> Figure:
    """Every seed as a dot, mean ± std beside it as a bar with a cap, and the reported range as a grey block behind.

    Args:
        frame: Columns `group`, `value`, seed, and `hue` and `panel` where they are given.
        footer: Where the numbers come from.
        value: The column that is drawn.
        y_label: Its name and unit.
        group: The column along the horizontal axis.
        hue: The column that gives the colour, such as "method".
        panel: The column that makes panels, such as "network" when `group` is something else.
        reported: The paper's ranges: columns `group`, low, high (low = high draws a line), and `hue` and `panel`
            where they are given. Groups that `frame` does not have are left out.
        reported_label: Words for the grey block in the legend, with the source: "reported: 3 to 10 [P]".
        log: Logarithmic axis; mean and deviation are then those of the logarithm.
        labels: Words for the values of `hue` in the legend.
        titles: Panel titles.

    Raises:
        UsageError: A column is missing or the frame is empty.
    """
    keys = [column for column in (panel, group, hue) if column is not None]
    frames.need(frame, (*keys, value, "seed"), "points")
    if reported is not None:
        frames.need(reported, (*keys, "low", "high"), "points (reported)")
    names = frames.order(frame, panel) if panel else [""]
    hues = frames.order(frame, hue) if hue else [""]
    figure, axes = panels(names)
    for position, (name, (axis,)) in enumerate(zip(names, axes, strict=True)):
        here = frame[frame[panel] == name] if panel else frame
        groups = frames.order(here, group)
        for index, colour_name in enumerate(hues):
            rows = here[here[hue] == colour_name] if hue else here
            places = {label: place + _shift(index, len(hues)) for place, label in enumerate(groups)}
            _draw(
                axis, rows, group, value, places, colour_of(colour_name, index), MARKERS[index % len(MARKERS)], log=log
            )
            if reported is not None:
                ranges = reported[reported[panel] == name] if panel else reported
                _ranges(axis, ranges[ranges[hue] == colour_name] if hue else ranges, group, places, 0.8 / len(hues))
        axis.set_xticks(range(len(groups)), groups)
        axis.set_xlim(-0.6, len(groups) - 0.4)
        axis.grid(visible=False, axis="x")
        if log:
            axis.set_yscale("log")
            plain_if_short(axis.yaxis)
        if panel:
            axis.set_title(panel_title(position, len(names), (titles or {}).get(name, name)))
    for row_start in axes[:: 3 if len(names) != 4 else 2]:
        row_start[0].set_ylabel(y_label)
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=colour_of(hue_name, index), marker=MARKERS[index % len(MARKERS)], linestyle="",
               label=labels.get(hue_name, hue_name) or "one seed")
        for index, hue_name in enumerate(hues)
    ]  # fmt: skip
    if frame["seed"].nunique() > 1:
        handles.append(Line2D([], [], color="#333333", marker="_", markersize=7, label="mean ± 1 std over seeds"))
    if reported is not None:
        handles.append(Patch(color="#DDDDDD", label=reported_label))
    legend(figure, handles)
    remark = "mean and std of the logarithm" if log and frame["seed"].nunique() > 1 else ""
    footers.put(figure, footer, remark, *frames.left_out(frame, columns=(value,), log=(value,) if log else ()))
    return figure


def _shift(index: int, count: int) -> float:
    """Horizontal offset of one hue within its group."""
    return (index - (count - 1) / 2) * 0.8 / count


def _draw(
    axis: Axes,
    rows: pd.DataFrame,
    group: str,
    value: str,
    places: Mapping[str, float],
    colour: str,
    marker: str,
    *,
    log: bool,
) -> None:
    for label, place in places.items():
        of_group = rows[rows[group].astype(str) == label].sort_values("seed")
        seeds = of_group[value].to_numpy(float)
        seeds = seeds[np.isfinite(seeds) & ((seeds > 0) if log else True)]
        if not seeds.size:
            continue
        spread = np.linspace(-0.05, 0.05, seeds.size) if seeds.size > 1 else np.zeros(1)
        axis.plot(
            place - 0.06 + spread,
            seeds,
            color=colour,
            marker=marker,
            linestyle="",
            alpha=0.65,
            markersize=2.8,
            zorder=3,
        )
        if seeds.size > 1:
            summary = frames.band(of_group.assign(place=place), "place", value, log=log).iloc[0]
            error = [[summary["mean"] - summary["low"]], [summary["high"] - summary["mean"]]]
            axis.errorbar(
                [place + 0.08],
                [summary["mean"]],
                yerr=error,
                color=colour,
                marker="_",
                markersize=7,
                capsize=2,
                zorder=4,
            )


def _ranges(axis: Axes, reported: pd.DataFrame, group: str, places: Mapping[str, float], width: float) -> None:
    for _, row in reported.iterrows():
        place = places.get(str(row[group]))
        if place is None:
            continue
        axis.fill_between(
            [place - width / 2.2, place + width / 2.2],
            row["low"],
            row["high"],
            color="#DDDDDD",
            linewidth=1.2,
            zorder=0,
        )
