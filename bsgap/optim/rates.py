"""How the learning rate follows the batch size: the rules, and the warm-up that goes with them."""

from typing import Literal, get_args

from bsgap.errors import UsageError

WarmUp = Literal["gradual", "constant"]
"""The rate during a warm-up (Goyal et al. 2017, arXiv:1706.02677, section 2.2).

- `gradual`: it climbs from η to η(m) in equal increments, one a step.
- `constant`: it is η throughout, and then at once η(m).
"""


class RateRule:
    """The learning rate η(m) at batch size m, from the recipe's rate η, which is that of the base batch size m0.

    η(m) = η (m / m0)^power. With a warm-up the rate climbs from η to η(m) over the first epochs, see `WarmUp`.

    Args:
        base_batch_size: m0, the batch size for which the recipe states its rate.
        warmup_epochs: Epochs over which the rate climbs from η to η(m); 0 for none. May be fractional.
        warmup: How it climbs; none means gradually.

    Raises:
        UsageError: `base_batch_size` is below 1, `warmup_epochs` negative, or `warmup` unknown.
    """

    power = 0.0
    warmup: WarmUp | None = None

    def __init__(self, base_batch_size: int = 1, warmup_epochs: float = 0.0, warmup: WarmUp | None = None) -> None:
        if base_batch_size < 1:
            raise UsageError(f"base_batch_size must be at least 1, got {base_batch_size}.")
        if not warmup_epochs >= 0:
            raise UsageError(f"warmup_epochs must be 0 or more, got {warmup_epochs}.")
        if warmup is not None and warmup not in get_args(WarmUp):
            raise UsageError(f"warmup must be one of {', '.join(get_args(WarmUp))} or absent, got {warmup!r}.")
        self.base_batch_size = base_batch_size
        self.warmup_epochs = warmup_epochs
        self.warmup = warmup

    def factor(self, batch_size: int) -> float:
        """η(m)/η, by which the recipe's rate is multiplied at batch size `batch_size`.

        >>> LinearScaling(base_batch_size=64).factor(1024), SquareRootScaling(base_batch_size=64).factor(1024)
        (16.0, 4.0)

        Raises:
            UsageError: `batch_size` is below 1.
        """
        if batch_size < 1:
            raise UsageError(f"batch_size must be at least 1, got {batch_size}.")
        return float((batch_size / self.base_batch_size) ** self.power)


class BaseRate(RateRule):
    """BLR: the same rate at every batch size."""


class LinearScaling(RateRule):
    """LSR: the rate grows with the batch size, η(m) = η m/m0 (Krizhevsky 2014; Goyal et al. 2017)."""

    power = 1.0


class SquareRootScaling(RateRule):
    """SRSR: the rate grows with the root of the batch size, η(m) = η √(m/m0), as does a gradient's precision."""

    power = 0.5


def warm_up(factor: float, epochs: float, of: float, warmup: WarmUp = "gradual") -> float:
    """Share of the full rate after `epochs` of a warm-up that lasts `of`: from 1/factor in a straight line to 1.

    A constant warm-up stays at 1/factor.

    >>> [warm_up(4.0, epochs, of=2.0) for epochs in (0, 1, 2, 3)]
    [0.25, 0.625, 1.0, 1.0]
    >>> [warm_up(4.0, epochs, of=2.0, warmup="constant") for epochs in (0, 1, 2, 3)]
    [0.25, 0.25, 1.0, 1.0]
    """
    if epochs >= of:
        return 1.0
    if warmup == "constant":
        return 1 / factor
    return 1 / factor + (1 - 1 / factor) * epochs / of
