"""The house style: IEEE column widths, type that matches IEEEtran's Times, colours that all readers can tell apart.

tueplots has no IEEE bundle; its two-column type sizes (`cvpr2024`: 8 pt labels, 6 pt ticks) and line widths are used,
with IEEEtran's own widths. STIX is the Times-like face that comes with matplotlib, so a figure looks the same on
every machine.
"""

import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter
from tueplots import axes as tueplots_axes
from tueplots import fontsizes

COLUMN_WIDTH = 252 / 72.27
"""Width of a column of IEEEtran's conference mode: 252 pt of TeX, in inches."""
TEXT_WIDTH = 516 / 72.27
"""Width of both columns and the space between them."""

# Okabe and Ito's palette: told apart with every common colour blindness, and in grey.
BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
GREY = "#8C8C8C"
PALE = "#BDBDBD"

METHOD_COLOURS = {"SB": BLUE, "LB": VERMILLION}
"""Colour of a method; others take `PALETTE` in order of appearance."""
PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
MARKERS = ("o", "s", "D", "^", "v", "P")
SPLIT_STYLES: dict[str, Any] = {"train": "-", "test": (0, (4, 1.5))}
LINE_STYLES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (4, 1.2, 1, 1.2)))
_SHORT = ((1, 2, 5), (1, 2, 3, 5), (1, 1.5, 2, 3, 4, 5, 6, 8))
_LONG = ((1, 3),)
"""What a logarithmic axis names of each decade, the coarsest first: over less than two decades, and over more."""
SHARPNESS_LABEL = r"Sharpness $\phi$ (%, log)"
LABELS = {"SB": "small batch (SB)", "LB": "large batch (LB)", "train": "train", "test": "test"}

P = ParamSpec("P")
R = TypeVar("R")


def house_style() -> dict[str, Any]:
    """Matplotlib settings of every figure, as for `matplotlib.rc_context`."""
    return {
        **fontsizes.cvpr2024(),
        **tueplots_axes.lines(),
        "font.family": ["STIXGeneral", "DejaVu Serif"],  # by name: "serif" would be looked up when it is drawn
        "mathtext.fontset": "stix",
        "axes.titlesize": 8,
        "axes.titlepad": 3,
        "axes.labelpad": 2,
        "axes.grid": True,
        "grid.color": "#E6E6E6",
        "grid.linewidth": 0.4,
        "lines.markersize": 3,
        "legend.frameon": False,
        "legend.fontsize": 7,
        "legend.handlelength": 2.2,
        "legend.columnspacing": 1.2,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "pdf.fonttype": 42,  # TrueType: IEEE's checker refuses Type 3 fonts
        "savefig.dpi": 300,
        "figure.dpi": 100,
    }


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Run `draw` in the house style and leave the caller's matplotlib settings as they were."""

    @wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context():
            mpl.rcdefaults()  # a user's matplotlibrc must not change the published figures
            mpl.rcParams.update(house_style())  # type: ignore[arg-type]  # stubs list every key as a literal
            return draw(*args, **kwargs)

    return wrapper


def panels(names: Sequence[str], *, rows_each: int = 1, height: float = 2.15) -> tuple[Figure, list[list[Axes]]]:
    """A figure with one panel a name, wide enough to be read: one column for one panel, both columns for more.

    Args:
        names: The panels, in order.
        rows_each: Axes stacked in one panel, sharing the horizontal axis.
        height: Height of a row of panels in inches, without legend and footer.

    Returns:
        The figure and, for each name, its axes from top to bottom.
    """
    count = len(names)
    across = count if count <= 3 else 2 if count == 4 else 3
    down = -(-count // across)
    figure = Figure(
        figsize=(COLUMN_WIDTH if count == 1 else TEXT_WIDTH, down * height + 0.45),
        layout=ConstrainedLayoutEngine(h_pad=0.03, w_pad=0.03),
    )
    grid = figure.add_gridspec(down, across)
    drawn: list[list[Axes]] = []
    for position in range(count):
        cell = grid[position // across, position % across].subgridspec(rows_each, 1, hspace=0.06)
        stack: list[Axes] = []
        for row in range(rows_each):
            stack.append(figure.add_subplot(cell[row, 0], sharex=stack[0] if stack else None))
        for upper in stack[:-1]:
            upper.tick_params(labelbottom=False)
        drawn.append(stack)
    return figure, drawn


def panel_title(position: int, count: int, name: str) -> str:
    """`(a) F1` where there are several panels, the name alone where there is one."""
    return name if count == 1 else f"({'abcdefghijklmnopqrstuvwxyz'[position]}) {name}"


def legend(figure: Figure, handles: Sequence[Line2D | Patch], *, columns: int | None = None) -> None:
    """One legend for the whole figure, above the panels, where it can hide no data."""
    wide = figure.get_size_inches()[0] > COLUMN_WIDTH + 0.1
    figure.legend(
        handles=list(handles),
        loc="outside upper center",
        ncols=columns or min(len(handles), 6 if wide else 2),
        borderaxespad=0.1,
        borderpad=0.1,
    )


def colour_of(name: str, position: int) -> str:
    """The colour of a method, or the next of the palette."""
    return METHOD_COLOURS.get(name, PALETTE[position % len(PALETTE)])


def plain_if_short(axis: Axis) -> None:
    """Name more than the powers of ten, in plain numbers, where a logarithmic axis shows fewer than three of them.

    Over less than two decades these are 1, 2 and 5 of each, and the more of them the shorter the axis, so that at least
    three numbers stand there; where 1 to 9 are too few, they are those of a linear axis. Over more than two decades
    they are 1 and 3. Call it when everything is drawn: it looks at the limits.
    """
    low, high = sorted(axis.get_view_interval())
    short = low > 0 and high < 100 * low
    if not short and not (low >= 1e-3 and high <= 1e5 and len(_inside(low, high, (1,))) < 3):
        return
    choices = (_inside(low, high, digits) for digits in (_SHORT if short else _LONG))
    linear = [at for at in MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high) if low <= at <= high]
    axis.set_major_locator(FixedLocator(next((places for places in choices if len(places) >= 3), linear)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _inside(low: float, high: float, digits: Sequence[float]) -> list[float]:
    """The places of these digits in every decade, from `low` to `high`."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [place for decade in decades for digit in digits if low <= (place := digit * 10.0**decade) <= high]
