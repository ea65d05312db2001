"""How the learning rate falls while training goes on: factors as functions of the epochs passed.

The epochs are those passed before a step, with the fraction of the current one, so that a schedule means the same at
every batch size, and also when the batch grows in the middle of an epoch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol, Self

from bsgap.errors import UsageError

_ROUNDING = 1e-9
"""Epochs by which a milestone may be missed: fractions of epochs are rounded, and a batch is a larger part of one."""


class Decay(Protocol):
    """A factor of the learning rate that depends on the epochs passed."""

    def factor(self, epoch: float) -> float:
        """Factor of the rate after `epoch` epochs."""
        ...

    def stretched(self, ratio: float) -> Self:
        """The same schedule with every epoch count times `ratio`."""
        ...


@dataclass(frozen=True)
class StepDecay:
    """A factor at each milestone: the rate after t epochs is the stated one times Π fᵢ over the milestones tᵢ ≤ t.

    >>> decay = StepDecay([30, 60, 80])  # Goyal et al. 2017 (arXiv:1706.02677, section 5.1)
    >>> [round(decay.factor(epoch), 6) for epoch in (0, 29.9, 30, 60, 90)]
    [1.0, 1.0, 0.1, 0.01, 0.001]

    Args:
        milestones: Epochs tᵢ, above 0 and ascending; may be fractional.
        factors: fᵢ, one for all milestones or one for each; above 0. A factor above 1 raises the rate.

    Raises:
        UsageError: A milestone or a factor is out of range or out of order, or there are not as many of the two.
    """

    milestones: Sequence[float]
    factors: float | Sequence[float] = 0.1

    def __post_init__(self) -> None:
        milestones = tuple(self.milestones)
        factors = (self.factors,) * len(milestones) if isinstance(self.factors, int | float) else tuple(self.factors)
        if not milestones or not all(0 < epoch < math.inf for epoch in milestones):
            raise UsageError(f"milestones must be at least one number of epochs above 0, got {list(milestones)}.")
        if any(later <= earlier for earlier, later in pairwise(milestones)):
            raise UsageError(f"milestones must ascend, none of them twice, got {list(milestones)}.")
        if len(factors) != len(milestones):
            raise UsageError(f"factors must be one for each of the {len(milestones)} milestones, got {len(factors)}.")
        check_factors("factors", factors)
        object.__setattr__(self, "milestones", milestones)
        object.__setattr__(self, "factors", factors)

    def factor(self, epoch: float) -> float:
        """Π fᵢ over the milestones tᵢ ≤ `epoch`."""
        passed = sum(milestone <= epoch + _ROUNDING for milestone in self.milestones)
        assert not isinstance(self.factors, int | float)
        return float(math.prod(self.factors[:passed]))

    def stretched(self, ratio: float) -> Self:
        """The same factors at milestones that are `ratio` times as late."""
        return replace(self, milestones=tuple(epoch * ratio for epoch in self.milestones))


@dataclass(frozen=True)
class PeriodicDecay:
    """The same factor over and over: the rate after t epochs is the stated one times f^⌊t/T⌋.

    >>> decay = PeriodicDecay(every=20, by=0.375)  # AdaBatch (arXiv:1712.02029)
    >>> [decay.factor(epoch) for epoch in (0, 19.9, 20, 40)]
    [1.0, 1.0, 0.375, 0.140625]

    Args:
        every: T, epochs between two milestones, above 0; may be fractional.
        by: f, above 0.

    Raises:
        UsageError: An option is out of range.
    """

    every: float
    by: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.every < math.inf:
            raise UsageError(f"every must be a number of epochs above 0, got {self.every}.")
        check_factors("factor", [self.by])

    def factor(self, epoch: float) -> float:
        """f^⌊epoch/T⌋."""
        return float(self.by ** math.floor((epoch + _ROUNDING) / self.every))

    def stretched(self, ratio: float) -> Self:
        """The same factor with milestones `ratio` times as far apart."""
        return replace(self, every=self.every * ratio)


@dataclass(frozen=True)
class PolynomialDecay:
    """A polynomial that ends at 0: the rate after t of T epochs is the stated one times (1 - t/T)^p, then 0.

    LARS is trained with p = 2 (You, Gitman, Ginsburg 2017, arXiv:1708.03888).

    >>> [PolynomialDecay(epochs=100).factor(epoch) for epoch in (0, 50, 75, 100, 120)]
    [1.0, 0.25, 0.0625, 0.0, 0.0]

    Args:
        epochs: T, above 0; may be fractional.
        power: p, above 0.

    Raises:
        UsageError: An option is out of range.
    """

    epochs: float
    power: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.epochs < math.inf:
            raise UsageError(f"epochs must be a number above 0, got {self.epochs}.")
        if not 0 < self.power < math.inf:
            raise UsageError(f"power must be above 0, got {self.power}.")

    def factor(self, epoch: float) -> float:
        """(1 - epoch/T)^p, and 0 from T on."""
        return float(max(0.0, 1 - epoch / self.epochs) ** self.power)

    def stretched(self, ratio: float) -> Self:
        """The same polynomial over `ratio` times as many epochs."""
        return replace(self, epochs=self.epochs * ratio)


def check_factors(name: str, factors: Sequence[float]) -> None:
    """Refuse factors of a rate that are not positive.

    Raises:
        UsageError: One is not.
    """
    for factor in factors:
        if not 0 < factor < math.inf:
            raise UsageError(f"{name} must be above 0, got {factor}.")
