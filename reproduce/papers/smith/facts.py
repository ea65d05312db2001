"""What the paper reports, read second hand: its table of updates and test accuracy (tag N)."""

from dataclasses import dataclass

from reproduce.papers.smith.problems import DECAY, GROW, MOMENTUM, RATE


@dataclass(frozen=True)
class Row:
    """A row of the table: updates as the paper states them, and test accuracy (%)."""

    updates: str
    accuracy: float


TABLE: dict[str, Row] = {
    DECAY: Row("≈ 80000", 94.3),
    GROW: Row("≈ 29000", 94.4),
    RATE: Row("< 6500", 94.5),
    MOMENTUM: Row("< 2500", 93.3),
}
"""WRN-16-4 on CIFAR-10; the hybrid has no row."""
LOST = TABLE[DECAY].accuracy - TABLE[MOMENTUM].accuracy
"""Points of test accuracy that more momentum costs, derived from two rows of the table."""
