"""The paper's own numbers: top-1 validation error (%) of ResNet-50 on ImageNet, mean and deviation over five runs.

All were read in a copy of its text (tag P).
"""

from itertools import takewhile

import pandas as pd

from reproduce.arms import with_sign
from reproduce.drawing.tables import ABSENT

LABEL = "ResNet-50 on ImageNet"
PANEL = f"{LABEL}, reported"
BASE, LARGE, EXAMPLES, RATE = 256, 8192, 1_281_167, 0.1
"""Batch sizes that its tables compare, training images, and the rate at the base batch size."""

Cell = tuple[float, float]

FIGURE1: dict[int, Cell] = {
    128: (23.49, 0.12), 256: (23.60, 0.12), 512: (23.48, 0.09), 1024: (23.53, 0.08), 2048: (23.49, 0.11),
    4096: (23.56, 0.12), 8192: (23.74, 0.09), 16_384: (24.79, 0.27), 32_768: (27.55, 0.28), 65_536: (33.96, 0.80),
}  # fmt: skip
"""Batch size -> error, as the legends of Fig. 3 and Table 3a give it; 64 is drawn in Fig. 1 without a number."""

TABLE1: dict[str, Cell] = {
    "base": (23.60, 0.12), "none": (24.84, 0.37), "constant": (25.88, 0.56), "gradual": (23.74, 0.09),
}  # fmt: skip

TABLE2: dict[str, tuple[Cell | None, Cell]] = {
    "half": ((23.92, 0.10), (24.27, 0.08)),
    "linear": ((23.60, 0.12), (23.74, 0.09)),
    "double": ((23.68, 0.09), (24.05, 0.18)),
    "fixed": (None, (41.67, 0.10)),
    "square-root": (None, (26.22, 0.03)),
    "gains": ((23.84, 0.18), (24.11, 0.07)),
    "deep": ((22.08, 0.06), (22.36, 0.09)),
}
"""Row -> error at 256 and at 8192: Table 2a (rates and rules), 2b (initial gains of 1), 2c (ResNet-101)."""


def spelled(cell: Cell | None) -> str:
    """`23.60 ± 0.12`; a dash where the paper gives no number."""
    return ABSENT if cell is None else f"{cell[0]:.2f} ± {cell[1]:.2f}"


def difference(a: Cell, b: Cell) -> float:
    """Points of error of a above b.

    >>> difference(TABLE1["none"], TABLE1["gradual"])
    1.1
    """
    return round(a[0] - b[0], 2)


def signed(a: Cell, b: Cell) -> str:
    """`difference` for a table.

    >>> signed(FIGURE1[512], FIGURE1[256])
    '−0.12'
    """
    return with_sign(difference(a, b))


def figure1(arm: str) -> pd.DataFrame:
    """Fig. 1 for `reproduce.drawing.against_size`: panel, arm, batch, mean, std."""
    return pd.DataFrame([
        {"panel": PANEL, "arm": arm, "batch": batch, "mean": mean, "std": std}
        for batch, (mean, std) in FIGURE1.items()
    ])  # fmt: skip


def level_until(tolerance: float) -> int:
    """The knee of the paper's own means, by the rule of `reproduce.papers.goyal.knee`.

    >>> level_until(1.0), level_until(0.5)
    (8192, 8192)
    """
    level = takewhile(
        lambda batch: difference(FIGURE1[batch], FIGURE1[BASE]) <= tolerance, (b for b in FIGURE1 if b >= BASE)
    )
    return max(level)
