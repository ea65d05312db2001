"""One value of several ways of training against the batch size, beside the reported numbers."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reproduce.drawing import bounds, frames
from reproduce.drawing import footer as footers
from reproduce.drawing.arms import MARK, columns_of, label_rows, look, room
from reproduce.drawing.bounds import Direction
from reproduce.drawing.powers import power_axis
from reproduce.drawing.style import GREY, legend, panel_title, panels, plain_if_short, styled

REPORTED: dict[str, Any] = {
    "linestyle": (0, (1, 1.5)), "linewidth": 0.7, "markerfacecolor": "white", "markersize": 3.6,
}  # fmt: skip
"""How reported numbers differ from one's own of the same arm."""

HOLLOW: dict[str, Any] = {"linestyle": "", "markerfacecolor": "white"}
"""How a point that is only a bound differs from the others of its arm."""


@styled
def against_size(
    frame: pd.DataFrame,
    footer: footers.Footer,
    *,
    y_label: str | Mapping[str, str],
    reported: pd.DataFrame | None = None,
    reported_label: str = "reported",
    deviations: float = 1.0,
    worse: Direction = "up",
    log_y: bool | Collection[str] = False,
    x_label: str = "Batch size (examples)",
    titles: Mapping[str, str] | None = None,
    marks: Mapping[str, float] | None = None,
    marks_label: str = "",
    reported_alone: bool = False,
    bound_label: str = "bound",
) -> Figure:
    """Error, accuracy or time against the batch size (log2): a line with a band for every arm.

    A run that diverged has no value: a cross stands for it at the edge of the panel where the bad values are, with how
    many of how many where others of its arm and batch size did not.

    Args:
        frame: Columns panel, arm, seed, batch, value (not finite: diverged); optionally bound, whether the value is
            only a bound of what is looked for: a point of such values is hollow.
        footer: Where the numbers come from.
        y_label: Name and unit of the value, or those of each panel.
        reported: The paper's numbers: columns panel, arm, batch, mean, std (NaN where there is none); hollow, dashed,
            in the colour of their arm. Panels that `frame` does not have are left out, unless `reported_alone`.
        reported_label: Words for them in the legend, with the source.
        deviations: Standard deviations over seeds in half a band, and in half an error bar of the reported numbers:
            Goyal et al. show 2.
        worse: Where the bad values are: "up" for an error, "down" for an accuracy.
        log_y: Logarithmic vertical axis in all panels, or those in which it is.
        x_label: Name and unit of the horizontal axis.
        titles: Panel titles.
        marks: By panel, the batch size of a dotted vertical line, such as that of a knee.
        marks_label: What it is, in the legend.
        reported_alone: Draw the panels that only `reported` has too, after the others: numbers that are on another
            scale than one's own.
        bound_label: What a hollow point is, in the legend.

    Raises:
        UsageError: A column is missing or the frame is empty.
    """
    frames.need(frame, ("panel", "arm", "seed", "batch", "value"), "against_size")
    names, arms = frames.order(frame, "panel"), frames.order(frame, "arm")
    if reported is not None and len(reported):
        frames.need(reported, ("panel", "arm", "batch", "mean", "std"), "against_size (reported)")
        if reported_alone:
            names += [name for name in frames.order(reported, "panel") if name not in names]
        reported = reported[reported["panel"].isin(names)]
        arms += [arm for arm in frames.order(reported, "arm") if arm not in arms]
    else:
        reported = pd.DataFrame(columns=["panel", "arm", "batch", "mean", "std"])
    logarithmic = set(names) if log_y is True else set(log_y or ())
    figure, axes = panels(names, height=2.4 if len(names) == 1 else 2.15)
    lost = ~np.isfinite(frame["value"].astype(float))
    for position, (name, (axis,)) in enumerate(zip(names, axes, strict=True)):
        inside, log = frame["panel"] == name, name in logarithmic
        axis.set_xscale("log", base=2)
        if log:
            axis.set_yscale("log")
        for index, arm in enumerate(arms):
            here = frame[inside & (frame["arm"] == arm)]
            style = look(index)
            curve = frames.band(here, "batch", "value", log=log)
            low, high = (_stretched(curve, side, deviations, log=log) for side in ("low", "high"))
            axis.fill_between(curve["x"], low, high, color=style["color"], alpha=0.15, linewidth=0)
            if len(curve) == 1:  # of one point a band has no width
                axis.vlines(curve["x"], low, high, color=style["color"], linewidth=0.8)
            axis.plot(curve["x"], curve["mean"], **style)
            if "bound" in frame:
                hollow = curve[curve["x"].isin(here.loc[here["bound"].astype(bool), "batch"])]
                axis.plot(hollow["x"], hollow["mean"], **style | HOLLOW)
            paper = reported[(reported["panel"] == name) & (reported["arm"] == arm)].sort_values("batch")
            if len(paper):
                axis.errorbar(
                    paper["batch"].astype(float), paper["mean"].astype(float),
                    yerr=deviations * paper["std"].astype(float).fillna(0.0).to_numpy(), **style | REPORTED,
                    elinewidth=0.7, capsize=1.5, capthick=0.7, zorder=2.5,
                )  # fmt: skip
            gone = lost[here.index].groupby(here["batch"]).agg(["sum", "count"])
            gone = gone[gone["sum"] > 0]
            bounds.crosses(
                axis, gone.index, gone["sum"], gone["count"], colour=style["color"], direction=worse,
                shift=6 * (index - (len(arms) - 1) / 2),
            )  # fmt: skip
        sizes = pd.concat([frame.loc[inside, "batch"], reported.loc[reported["panel"] == name, "batch"]]).astype(float)
        mark = (marks or {}).get(name)
        if mark is not None:
            axis.axvline(mark, **MARK)
        axis.margins(x=0.06 if mark is None or sizes.min() < mark < sizes.max() else 0.15)  # room beside the mark
        if lost[inside].any():
            room(axis, worse, log=log)
        if log:
            plain_if_short(axis.yaxis)
        power_axis(axis.xaxis, sizes, most=8 if len(names) < 3 else 6)
        axis.set_title(panel_title(position, len(names), (titles or {}).get(name, name)))
        axis.set_xlabel(x_label)
    label_rows(axes, names, y_label)
    entries = _handles(arms, frame, reported, reported_label, lost.any())
    if marks and marks_label:
        entries.append(Line2D([], [], **MARK, label=marks_label))
    if "bound" in frame and frame["bound"].any():
        entries.append(Line2D([], [], **{**HOLLOW, "marker": "o", "color": GREY}, label=bound_label))
    legend(figure, entries, columns=columns_of(entries, wide=len(names) > 1))
    several = frame["seed"].nunique() > 1
    what = f"band: mean ± {deviations:g} std over seeds" + (" (of the logarithm on log axes)" if logarithmic else "")
    low = int((frame.loc[frame["panel"].isin(logarithmic), "value"].astype(float) <= 0).sum())
    footers.put(
        figure, footer, what if several else "", f"{low} values ≤ 0, left out of the logarithmic axis" * (low > 0)
    )
    return figure


def _stretched(curve: pd.DataFrame, side: str, deviations: float, *, log: bool) -> pd.Series:
    """The edge of a band of `deviations` standard deviations from that of one."""
    if log:
        return curve["mean"] * (curve[side] / curve["mean"]) ** deviations
    return curve["mean"] + (curve[side] - curve["mean"]) * deviations


def _handles(
    arms: list[str], frame: pd.DataFrame, reported: pd.DataFrame, reported_label: str, lost: bool
) -> list[Line2D]:
    found = []
    for index, arm in enumerate(arms):
        style = look(index)
        if (frame["arm"] == arm).any():
            found.append(Line2D([], [], **style, label=arm))
        if (reported["arm"] == arm).any():  # as it is drawn: a grey one would stand for none of them
            found.append(Line2D([], [], **style | REPORTED, label=f"{arm}, {reported_label}"))
    if lost:
        found.append(Line2D([], [], **bounds.cross(GREY), label="diverged"))
    return found
