"""The paper's own numbers, read in a copy of its full text (tag P): test error (%) and eigenvalues."""

from dataclasses import dataclass

from reproduce.papers.sam.problems import HARDER, REFERENCE


@dataclass(frozen=True)
class Row:
    """A line of Table 1: mean over five runs, and half of the 95 % interval.

    Attributes:
        sam: Test error of SAM.
        sgd: That of SGD, the better of the same and of twice the epochs.
        spread: Half of either interval.
    """

    sam: float
    sgd: float
    spread: tuple[float, float]


TABLE1 = {REFERENCE: Row(2.7, 3.5, (0.1, 0.1)), HARDER: Row(16.5, 18.8, (0.2, 0.2))}
"""Network -> its line: WRN-28-10, 200 epochs, basic augmentation."""

TOP_EIGENVALUE = {"SGD": "24", "SAM": "1.0"}
"""Largest eigenvalue at convergence of WRN-40-10 without BatchNorm; that of SGD is about 24."""

RATIO = {"SGD": 11.4, "SAM": 2.6}
"""Largest over fifth eigenvalue of the same."""


def gain(name: str) -> float | None:
    """Reported test error of SGD minus that of SAM, in points; None where the paper gives none.

    >>> round(gain("WRN-28-10"), 1), gain("no-BatchNorm")
    (0.8, None)
    """
    row = TABLE1.get(name)
    return None if row is None else row.sgd - row.sam
