"""Axes in powers of two, as batch sizes, iterations and speed-ups are read."""

import math
from collections.abc import Iterable

from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator


def power(value: float) -> str:
    """A tick label: a power of two as such, any other number plain.

    >>> power(64), power(0.5), power(5000)
    ('$2^{6}$', '$2^{-1}$', '5000')
    """
    exponent = math.log2(value)
    return f"$2^{{{round(exponent)}}}$" if math.isclose(exponent, round(exponent), abs_tol=1e-9) else f"{value:g}"


def power_axis(axis: Axis, values: Iterable[float] = (), *, most: int = 8) -> None:
    """Name the `values` on a base-2 axis, thinned to what fits; without values, the powers of two in view.

    Call it when everything is drawn: it looks at the limits.

    Args:
        axis: A logarithmic axis.
        values: The places that were run, such as batch sizes.
        most: Number of labels at most.
    """
    places = sorted({float(value) for value in values})
    if places:
        places = places[:: -(-len(places) // most)]
    else:
        low, high = (math.log2(end) for end in sorted(axis.get_view_interval()))
        exponents = range(math.ceil(low), math.floor(high) + 1)
        apart = max(1, -(-len(exponents) // most))
        places = [2.0**exponent for exponent in exponents if exponent % apart == 0]
    axis.set_major_locator(FixedLocator(places))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: power(value)))
