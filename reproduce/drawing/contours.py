"""Loss over batch size and iterations as filled contours (Golmant, Figs 1 and 5).

Each batch size was trained for the same number of epochs, so its iterations end at a budget line n E / m that falls
as the batch grows. The surface is drawn on a mesh that follows this line: every column is one batch size, its rows
run from its first evaluation to its last, evenly in log iterations, and log loss is interpolated along the column and
linearly in log2 batch between neighbours. So nothing is drawn where no run has been.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from bsgap.errors import UsageError
from reproduce.drawing import footer as footers
from reproduce.drawing import frames
from reproduce.drawing.bounds import crosses, room_for_crosses
from reproduce.drawing.powers import power_axis
from reproduce.drawing.style import TEXT_WIDTH, VERMILLION, legend, panel_title, styled

_ROWS = 200  # of the mesh
_BETWEEN = 16  # mesh columns between neighbouring batch sizes: contours are straight in data, not in logarithms
_FILLS, _LINES = 24, 6  # filled bands and level lines between the lowest and the highest loss
_TITLE = 52  # characters of 8 pt over half a page
_COLOURS = "viridis_r"  # light is low, as in the paper; read by all, and in grey
_DIVERGED: dict[str, Any] = {
    "marker": "v", "markersize": 4.5, "markerfacecolor": "white", "markeredgewidth": 0.8, "color": VERMILLION,
    "linestyle": "", "clip_on": False, "zorder": 5,
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """The loss of one batch size: log2 iterations and log loss, both `(rows,)`; `lost` where every run diverged."""

    batch: float
    lost: bool
    steps: np.ndarray
    losses: np.ndarray


@styled
def contours(
    frame: pd.DataFrame,
    footer: footers.Footer,
    *,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    loss_label: str = "Training loss (nats)",
    titles: Mapping[str, str] | None = None,
) -> Figure:
    """Filled contours of the loss, log-log over batch size and iterations: a row a problem, a column a strategy.

    All panels of a row share axes and colours, with one colour bar; thin lines are level lines. A batch size at which
    runs diverged has a hollow triangle at the top of its panel, with how many of how many.

    Args:
        frame: Columns row, column, batch, step, loss (nats), and seed (several are averaged in log loss) and diverged
            (true on the rows of a run that diverged) where there are such. Means are over the runs that did not
            diverge; where all did, their batch size is a strip of its own, as far as the losses were finite.
        footer: Where the numbers come from.
        rows: The rows, from the top; default: those of the frame. One that was not run is named in the footer.
        columns: The columns, from the left. A panel that was not run says so.
        loss_label: Name and unit of the colour bar.
        titles: Words for the rows.

    Raises:
        UsageError: A column is missing, the frame is empty, or it holds none of the rows and columns asked for.
    """
    frames.need(frame, ("row", "column", "batch", "step", "loss"), "contours")
    across = list(columns or frames.order(frame, "column"))
    found = {
        row: {column: frame[(frame["row"] == row) & (frame["column"] == column)] for column in across}
        for row in rows or frames.order(frame, "row")
    }
    meshes = {row: {column: surface(panel) for column, panel in panels.items()} for row, panels in found.items()}
    down = [row for row, panels in meshes.items() if any(any(mesh) for mesh in panels.values())]
    if not down:
        raise UsageError("contours has no run with two finite losses to draw: draw it when at least one run is there")
    figure = Figure(figsize=(TEXT_WIDTH, 2.0 * len(down) + 0.5), layout=ConstrainedLayoutEngine(h_pad=0.03, w_pad=0.03))
    axes = figure.subplots(len(down), len(across), sharex="row", sharey="row", squeeze=False)
    diverged = False
    for position, (row, strip) in enumerate(zip(down, axes, strict=True)):
        diverged |= _row(figure, strip, meshes[row], found[row], loss_label)
        for place, (axis, column) in enumerate(zip(strip, across, strict=True)):
            words = [(titles or {}).get(row, row), column]
            name = ": ".join(words) if sum(map(len, words)) < _TITLE else ":\n".join(words)
            axis.set_title(panel_title(position * len(across) + place, len(down) * len(across), name))
    if diverged:
        legend(figure, [Line2D([], [], **_DIVERGED, label="diverged")])
    for axis in axes[-1]:
        axis.set_xlabel("Batch size $m$ (examples)")
    absent = [row for row, panels in found.items() if not any(map(len, panels.values()))]
    empty = [row for row in meshes if row not in down + absent]
    seeds = "mean of log loss over seeds" if "seed" in frame.columns and frame["seed"].nunique() > 1 else ""
    remarks = (("not run", absent), ("no finite losses", empty))
    footers.put(figure, footer, seeds, *(f"{word}: {', '.join(names)}" for word, names in remarks if names))
    return figure


def surface(panel: pd.DataFrame) -> list[Column | None]:
    """The mesh columns of a panel, by ascending batch size; None for a batch size without two finite losses.

    Args:
        panel: Columns batch, step, loss, and seed and diverged where there are such.
    """
    if not len(panel):
        return []
    return [_column(float(batch), rows) for batch, rows in panel.groupby("batch")]


def _column(batch: float, rows: pd.DataFrame) -> Column | None:
    """Log loss over the range of steps that every run of a batch size covers, averaged over these runs."""
    diverged = _diverged(rows)
    lost = bool(diverged.all())
    if not lost:
        rows = rows[~diverged]
    runs = []
    for _, run in rows.groupby("seed") if "seed" in rows.columns else [(0, rows)]:
        run = run[run["step"] > 0].sort_values("step")
        good = np.isfinite(run["loss"].to_numpy(float)) & (run["loss"].to_numpy(float) > 0)
        run = run[np.logical_and.accumulate(good)]  # up to where it first ceased to be a number
        if len(run) > 1:
            runs.append((np.log2(run["step"].to_numpy(float)), np.log(run["loss"].to_numpy(float))))
    if not runs:
        return None
    steps = np.linspace(max(x[0] for x, _ in runs), min(x[-1] for x, _ in runs), _ROWS)
    return Column(batch, lost, steps, np.mean([np.interp(steps, x, y) for x, y in runs], axis=0))


def _diverged(rows: pd.DataFrame) -> np.ndarray:
    return rows["diverged"].to_numpy(bool) if "diverged" in rows.columns else np.zeros(len(rows), bool)


def _row(
    figure: Figure,
    strip: Sequence[Axes],
    meshes: Mapping[str, list[Column | None]],
    found: Mapping[str, pd.DataFrame],
    loss_label: str,
) -> bool:
    """Draw one row of panels and its colour bar; whether a run of it diverged."""
    drawn = [column for mesh in meshes.values() for column in mesh if column is not None]
    # a diverging run passes through losses far above the first; they would take all the colours
    seen = np.concatenate([column.losses for column in drawn if not column.lost] or [c.losses for c in drawn])
    low, high = float(seen.min()), float(max(column.losses[0] for column in drawn))
    high = max(high, low + 1e-6)
    over = any(column.losses.max() > high for column in drawn)
    norm = LogNorm(np.exp(low), np.exp(high))
    sizes: set[float] = set()
    any_lost = False
    for axis, (name, mesh) in zip(strip, meshes.items(), strict=True):
        axis.set_xscale("log", base=2)
        axis.set_yscale("log", base=2)
        axis.grid(False)
        if not len(found[name]):
            axis.text(0.5, 0.5, "not run", transform=axis.transAxes, ha="center", va="center", color="#555555")
            continue
        sizes |= set(found[name]["batch"].astype(float))
        for part in _neighbours(mesh):
            _fill(axis, part, np.linspace(low, high, _FILLS + 1), norm)
        any_lost |= _mark(axis, found[name])
    if any_lost:
        room_for_crosses(strip[0], "up")
    power_axis(strip[0].xaxis, sizes, most=7)
    power_axis(strip[0].yaxis, most=6)
    strip[0].set_ylabel("Iterations")
    bar = figure.colorbar(
        ScalarMappable(norm, _COLOURS), ax=list(strip), aspect=14, pad=0.015, label=loss_label,
        extend="max" if over else "neither", extendfrac=0.04,
    )  # fmt: skip
    _bar_ticks(bar.ax.yaxis, float(np.exp(low)), float(np.exp(high)))
    return any_lost


def _neighbours(mesh: list[Column | None]) -> list[list[Column]]:
    """Batch sizes without a gap: nothing is interpolated towards or across one whose runs all diverged."""
    parts: list[list[Column]] = [[]]
    for column in mesh:
        if column is None:
            parts.append([])
        elif column.lost:
            parts += [[column], []]
        else:
            parts[-1].append(column)
    return [part for part in parts if part]


def _fill(axis: Axes, part: list[Column], levels: np.ndarray, norm: LogNorm) -> None:
    """Contours over neighbouring batch sizes; one batch size alone is drawn a third of an octave wide."""
    batches = np.log2([column.batch for column in part])
    steps, losses = np.stack([c.steps for c in part], axis=1), np.stack([c.losses for c in part], axis=1)
    alone = len(part) == 1
    if alone:
        batches = batches[0] + np.array([-1 / 6, 1 / 6])
        steps, losses = np.repeat(steps, 2, axis=1), np.repeat(losses, 2, axis=1)
    fine = np.interp(np.arange((len(batches) - 1) * _BETWEEN + 1) / _BETWEEN, np.arange(len(batches)), batches)
    steps, losses = (np.apply_along_axis(lambda row: np.interp(fine, batches, row), 1, a) for a in (steps, losses))
    mesh = np.exp2(np.broadcast_to(fine, steps.shape)), np.exp2(steps), np.exp(losses.clip(levels[0], levels[-1]))
    filled = axis.contourf(*mesh, levels=np.exp(levels), norm=norm, cmap=_COLOURS)
    filled.set_edgecolor("face")  # closes the hairlines that viewers show between bands
    if not alone:
        lines = np.exp(levels[:: _FILLS // _LINES][1:-1])
        axis.contour(*mesh, levels=lines, colors="#333333", linewidths=0.5, linestyles="solid")


def _mark(axis: Axes, panel: pd.DataFrame) -> bool:
    """Triangles where runs diverged, with how many of how many where not all did."""
    runs = panel.assign(diverged=_diverged(panel), seed=panel.get("seed", 0))
    runs = runs.groupby(["batch", "seed"])["diverged"].any().groupby("batch").agg(["sum", "count"])
    lost = runs[runs["sum"] > 0]
    crosses(axis, lost.index, lost["sum"], lost["count"], colour=VERMILLION, direction="up", style=_DIVERGED)
    return bool(len(lost))


def _bar_ticks(axis: Any, low: float, high: float) -> None:
    """Plain losses on the colour bar, as many as can be read."""
    for subs in ((1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0), (1.0, 2.0, 5.0), (1.0,)):
        ticks = [tick for tick in LogLocator(10, subs).tick_values(low, high) if low <= tick <= high]
        if len(ticks) <= 7:
            break
    if len(ticks) < 3:  # a narrow range: evenly in the logarithm
        ticks = list(np.geomspace(low, high, 5))
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
