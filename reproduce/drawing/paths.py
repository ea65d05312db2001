"""Loss and accuracy along the path between two solutions (Keskar, Figs 3 and 7)."""

from collections.abc import Mapping
from typing import Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reproduce.drawing import footer as footers
from reproduce.drawing import frames
from reproduce.drawing.style import (
    BLUE,
    GREY,
    PALE,
    SPLIT_STYLES,
    VERMILLION,
    legend,
    panel_title,
    panels,
    plain_if_short,
    styled,
)

_LOSS, _ACCURACY = BLUE, VERMILLION  # as in the paper: loss blue on the left, accuracy red on the right
_COLUMNS = ("network", "alpha", "split", "loss", "accuracy")
_WEIGHTS = {
    "linear": "weights at α: α·LB + (1−α)·SB",
    "curvilinear": "weights at α: sin(απ/2)·LB + cos(απ/2)·SB",
}


@styled
def path_figure(
    frame: pd.DataFrame,
    footer: footers.Footer,
    *,
    authors: pd.DataFrame | None = None,
    kind: Literal["linear", "curvilinear"] = "linear",
    loss_scale: Literal["log", "linear"] = "log",
    titles: Mapping[str, str] | None = None,
    top: float | None = None,
) -> Figure:
    """Cross-entropy (left, blue) and accuracy (right, red) against alpha; solid train, dashed test; SB at 0, LB at 1.

    The path is alpha x_l + (1 - alpha) x_s, or sin(alpha pi / 2) x_l + cos(alpha pi / 2) x_s for `kind`
    "curvilinear". The authors' code draws the loss on a logarithmic axis, which is the default here.

    Args:
        frame: Columns network, seed, alpha, split, loss (nats), accuracy (per cent).
        footer: Where the numbers come from.
        authors: The paper's own curves, drawn in light grey behind; columns network, alpha, split, loss, accuracy.
            Networks that `frame` does not have are left out.
        kind: Which path; it is named in the footer.
        loss_scale: Axis of the loss.
        titles: Panel titles by network.
        top: Where the axis of the loss ends, for curves that rise far beyond what is to be seen.

    Raises:
        UsageError: A column is missing, the frame is empty, or accuracies are fractions.
    """
    frames.need(frame, ("seed", *_COLUMNS), "path_figure")
    frames.need_per_cent(frame, ("accuracy",), "path_figure")
    if authors is not None:
        frames.need(authors, _COLUMNS, "path_figure (authors)")
        frames.need_per_cent(authors, ("accuracy",), "path_figure (authors)")
    log = loss_scale == "log"
    networks = frames.order(frame, "network")
    across = 2 if len(networks) == 4 else min(len(networks), 3)
    figure, axes = panels(networks)
    behind: list[str] = []
    for position, (network, (left,)) in enumerate(zip(networks, axes, strict=True)):
        right = left.twinx()
        left.set_yscale(loss_scale)
        if authors is not None and (authors["network"] == network).any():
            _curves(left, right, authors[authors["network"] == network], log=log, grey=True)
            behind.append(network)
        _curves(left, right, frame[frame["network"] == network], log=log, grey=False)
        _dress(left, right, panel_title(position, len(networks), (titles or {}).get(network, network)))
        left.set_xlabel(r"$\alpha$")
        if top is not None:
            left.set_ylim(top=top, bottom=None if log else -0.02 * top)
        if log:
            plain_if_short(left.yaxis)
        if position % across == 0:
            left.set_ylabel("Cross-entropy (nats)", color=_LOSS)
        if position % across == across - 1 or position == len(networks) - 1:
            right.set_ylabel("Accuracy (%)", color=_ACCURACY)
    legend(figure, _handles(bool(behind)), columns=None if len(networks) > 1 else 3)
    footers.put(
        figure,
        footer,
        _WEIGHTS[kind],
        f"authors' curves: {', '.join(behind)}" if behind else "",
        frames.band_remark(frame, log=log),
        *frames.left_out(frame, columns=("loss", "accuracy"), log=("loss",) if log else ()),
    )
    return figure


def _curves(left: Axes, right: Axes, frame: pd.DataFrame, *, log: bool, grey: bool) -> None:
    for axis, value, colour in ((left, "loss", _LOSS), (right, "accuracy", _ACCURACY)):
        for split, style in SPLIT_STYLES.items():
            curve = frames.band(frame[frame["split"] == split], "alpha", value, log=log and value == "loss")
            if grey:
                axis.plot(curve["x"], curve["mean"], color=PALE, linestyle=style, linewidth=0.9, zorder=1)
                continue
            axis.plot(curve["x"], curve["mean"], color=colour, linestyle=style, zorder=3)
            axis.fill_between(
                curve["x"],
                curve["low"],
                curve["high"],
                color=colour,
                alpha=0.15 if split == "train" else 0.08,
                linewidth=0,
            )


def _dress(left: Axes, right: Axes, title: str) -> None:
    for place, word in ((0.0, "SB"), (1.0, "LB")):
        left.axvline(place, color=GREY, linewidth=0.6, linestyle=(0, (1, 1.5)), zorder=0)
        left.annotate(
            word, (place, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 1.5), textcoords="offset points",
            ha="center", va="bottom", fontsize=6, color="#555555",
        )  # fmt: skip
    left.set_title(title, pad=9)
    left.margins(x=0.01)
    right.set_ylim(-2, 102)
    right.grid(False)
    left.tick_params(axis="y", which="both", colors=_LOSS)
    right.tick_params(axis="y", which="both", colors=_ACCURACY)
    right.patch.set_visible(False)


def _handles(behind: bool) -> list[Line2D]:
    handles = [
        Line2D([], [], color=colour, linestyle=style, label=f"{word}, {split}")
        for colour, word in ((_LOSS, "loss"), (_ACCURACY, "accuracy"))
        for split, style in SPLIT_STYLES.items()
    ]
    if behind:
        handles.append(Line2D([], [], color=PALE, linewidth=0.9, label="authors' curves"))
    return handles
