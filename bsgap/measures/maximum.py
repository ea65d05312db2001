"""What the maximisers over a box have in common: the function, the best point seen, and the result."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

Function = Callable[[Tensor], tuple[float, Tensor]]
"""Value and gradient `[p]` at a point `[p]`; the gradient may be overwritten by the next call."""


@dataclass(frozen=True)
class Maximum:
    """Best point that a maximiser saw.

    Attributes:
        start: Value at 0.
        value: Largest value seen, at least `start`.
        iterations: Iterations done.
        share_at_bound: Share of the coordinates that are at their bound at the best point.
        converged: Whether no coordinate wants to move at the best point: a first-order maximum over the box.
        message: Why it stopped.
    """

    start: float
    value: float
    iterations: int
    share_at_bound: float
    converged: bool
    message: str


class Best:
    """The function, remembering its value at the first point, its largest value, and how that point lies in the box.

    A value that is not finite counts, and is returned, as minus infinity.
    """

    def __init__(self, function: Function, width: Tensor) -> None:
        self.function, self.width = function, width
        self.start: float | None = None
        self.value = -math.inf
        self.share_at_bound = 0.0

    def __call__(self, point: Tensor) -> tuple[float, Tensor]:
        """Value and gradient at `point`."""
        value, gradient = self.function(point)
        if self.start is None:
            self.start = value
        if not math.isfinite(value):
            value = -math.inf
        if value > self.value:
            self.value = value
            at_bound = point.abs() >= self.width * (1 - 1e-6)
            self.share_at_bound = at_bound.sum().item() / point.numel()
        return value, gradient

    def maximum(self, iterations: int, converged: bool, message: str) -> Maximum:
        """The result, once the maximiser has stopped."""
        assert self.start is not None, "a maximiser evaluates the start first"
        return Maximum(self.start, self.value, iterations, self.share_at_bound, converged, message)
