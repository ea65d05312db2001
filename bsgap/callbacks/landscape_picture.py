"""A plain picture of a surface, for whoever trains: no house style, no footer."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bsgap.files import whole
from bsgap.measures.surface import Surface

if TYPE_CHECKING:
    from matplotlib.contour import QuadContourSet
    from matplotlib.figure import Figure

_LOSS, _ACCURACY = "#0072B2", "#D55E00"  # told apart with every common colour blindness
_WIDTH = 72  # letters of a line of the title
_RIM = 0.08  # share of the width and of the height at each side, where half a label would be cut off


def draw(found: Surface, stem: Path, title: str = "") -> list[Path]:
    """Write `stem.pdf` and `stem.png`: curves of loss and accuracy of a line, level lines of the loss of a plane.

    Of several splits the first is solid and the others are dashed, and a plane is that of the first. Each file appears
    whole or not at all.

    Args:
        found: What to draw.
        stem: Path without the ending.
        title: Above the picture.

    Raises:
        UsageError: The folder cannot be written to.
    """
    import matplotlib as mpl  # here: a training that draws nothing need not wait for it
    from matplotlib.figure import Figure

    with mpl.rc_context():
        mpl.rcdefaults()
        figure = Figure(figsize=(4.6, 3.6), layout="constrained")
        (_curves if found.betas is None else _levels)(found, figure)
        figure.axes[0].set_title(textwrap.fill(title, _WIDTH), fontsize=8)
        figure.axes[0].set_xlabel(r"step $\alpha$ along the direction" if found.betas is None else r"$\alpha$")
        paths = [stem.with_name(f"{stem.name}.{kind}") for kind in ("pdf", "png")]
        for path in paths:
            with whole(path) as aside:
                metadata = {"CreationDate": None} if path.suffix == ".pdf" else {}  # the same picture, the same bytes
                figure.savefig(aside, format=path.suffix[1:], dpi=200, metadata=metadata)
    return paths


def _curves(found: Surface, figure: Figure) -> None:
    left = figure.subplots()
    left.grid(color="#E6E6E6", linewidth=0.5)
    left.set_ylabel("loss (nats)", color=_LOSS)
    left.tick_params(axis="y", colors=_LOSS)
    shown = {name: values for name, values in found.accuracies.items() if None not in values}
    right = left.twinx() if shown else None
    for index, (name, losses) in enumerate(found.losses.items()):
        style = "-" if index == 0 else "--"
        left.plot(found.alphas, losses, color=_LOSS, linestyle=style, label=f"loss, {name}")
        if right is not None and name in shown:
            per_cent = [100 * value for value in shown[name]]
            right.plot(found.alphas, per_cent, color=_ACCURACY, linestyle=style, label=f"accuracy, {name}")
    handles, labels = left.get_legend_handles_labels()
    if right is not None:
        right.set_ylabel("accuracy (%)", color=_ACCURACY)
        right.tick_params(axis="y", colors=_ACCURACY)
        right.set_ylim(-3, 103)
        more = right.get_legend_handles_labels()
        handles, labels = handles + more[0], labels + more[1]
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=8)


def _levels(found: Surface, figure: Figure) -> None:
    import numpy as np
    from matplotlib.colors import LogNorm, Normalize

    axis = figure.subplots()
    axis.set_ylabel(r"$\beta$")
    axis.plot(0, 0, marker="+", color="black")
    name, rows = next(iter(found.losses.items()))
    losses = np.array(rows, dtype=float).T
    losses[~np.isfinite(losses)] = np.nan
    if min(losses.shape) < 2 or not np.isfinite(losses).any():
        axis.text(0.5, 0.5, "no grid of finite losses to draw", transform=axis.transAxes, ha="center")
        return
    low, high = float(np.nanmin(losses)), float(np.nanmax(losses))
    if low > 0:
        high = max(high, 1.01 * low)
        levels, norm = np.geomspace(low, high, 25), cast(Normalize, LogNorm(low, high))
    else:  # a density's logarithm, say, whose zero means nothing
        high = max(high, low + 0.01 * abs(low) + 1e-12)
        levels, norm = np.linspace(low, high, 25), Normalize(low, high)
    filled = axis.contourf(found.alphas, found.betas, losses, levels=levels, norm=norm, cmap="viridis_r")
    lines = axis.contour(found.alphas, found.betas, losses, levels=levels[1::4], colors="black", linewidths=0.5)
    rise = (high - low) / max(abs(low), abs(high))
    digits = 2 if rise > 1 / 3 else 2 + math.ceil(-math.log10(rise))
    _label(lines, found, digits)
    ticks = levels[::4]
    bar = figure.colorbar(filled, ax=axis, label=f"loss, {name} (nats)", ticks=ticks)
    bar.ax.set_yticklabels([f"{value:.{digits}g}" for value in ticks])
    bar.ax.minorticks_off()


def _label(lines: QuadContourSet, found: Surface, digits: int) -> None:
    """Write the losses on the level lines, but for where the rim would cut them off."""
    style: dict[str, Any] = {"fontsize": 6, "fmt": lambda value: f"{value:.{digits}g}"}
    labels = list(lines.clabel(**style, inline=False))  # only to see where they would go: it cuts no gaps
    kept = [label.get_position() for label in labels if _inside(label.get_position(), found)]
    for label in labels:
        label.remove()
    lines.labelTexts.clear()
    lines.clabel(**style, manual=kept)


def _inside(position: tuple[float, float], found: Surface) -> bool:
    """Whether a place of a plane is not near its rim."""
    assert found.betas is not None
    return all(
        _RIM <= (value - min(steps)) / (max(steps) - min(steps)) <= 1 - _RIM
        for value, steps in zip(position, (found.alphas, found.betas), strict=True)
    )
