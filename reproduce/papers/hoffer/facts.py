"""What the paper reports, read second hand: the cells of its Table 1 that could be checked (tag N)."""

from reproduce.arms import with_sign
from reproduce.papers.hoffer.problems import LB, RA, SB

TABLE1: dict[str, dict[str, float]] = {
    "F1": {SB: 98.27, LB: 97.05, RA: 98.53},
    "C1": {SB: 87.80, LB: 83.95, RA: 88.20},
    "C3": {SB: 61.25, LB: 51.50, RA: 63.20},
}
"""Network -> stage -> validation accuracy (%); no other cell could be checked, so no other is printed."""
DATA = {"F1": "F1 on MNIST", "C1": "C1 on CIFAR-10", "C3": "C3 on CIFAR-100"}
ISSUE = (85.2, 90.5)
"""Accuracy with ghost batches by an issue on the authors' code (bigBatch, no. 3), and the paper's as stated there."""


def between(name: str, above: str, below: str) -> str | None:
    """Points of accuracy between two stages, from what the paper reports of each; None where a cell is not known.

    >>> between("F1", SB, LB), between("F1", "GBN", LB)
    ('+1.22 points, F1 on MNIST, derived from reported numbers (N)', None)
    """
    cells = TABLE1.get(name, {})
    if above not in cells or below not in cells:
        return None
    return f"{with_sign(cells[above] - cells[below])} points, {DATA[name]}, derived from reported numbers (N)"
