"""Two maximisers of a smooth function over a box around 0: Keskar's L-BFGS-B, and ascent from vertex to vertex."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import fmin_l_bfgs_b
from torch import Tensor

Function = Callable[[Tensor], tuple[float, Tensor]]
"""`(value, gradient)` at a point `[p]`; the gradient may be overwritten by the next call."""


@dataclass(frozen=True)
class Maximum:
    """Best point that a maximiser saw.

    Attributes:
        start: value at 0.
        value: largest value seen, at least `start`.
        iterations: iterations done.
        share_at_bound: share of the coordinates that are at their bound at the best point.
        converged: the maximiser stopped by itself, not for want of iterations.
        message: why it stopped.
    """

    start: float
    value: float
    iterations: int
    share_at_bound: float
    converged: bool
    message: str


class _Best:
    """Largest finite value seen, and where its coordinates lie."""

    def __init__(self, function: Function, width: Tensor) -> None:
        self.function, self.width = function, width
        self.start: float | None = None
        self.value = -float("inf")
        self.share_at_bound = 0.0

    def __call__(self, point: Tensor) -> tuple[float, Tensor]:
        value, gradient = self.function(point)
        if self.start is None:
            self.start = value
        if value > self.value:
            self.value = value
            self.share_at_bound = ((self.width - point.abs()) <= 1e-6 * self.width).double().mean().item()
        return value, gradient

    def maximum(self, iterations: int, converged: bool, message: str) -> Maximum:
        assert self.start is not None
        return Maximum(self.start, self.value, iterations, self.share_at_bound, converged, message)


def lbfgsb(function: Function, width: Tensor, iterations: int) -> Maximum:
    """scipy's L-BFGS-B (Byrd et al. 1995) from 0 over |y_i| ≤ width_i, without stopping tolerances.

    scipy's default tolerances would end the run before its first step where the gradient is below 1e-5, which at a
    low loss is everywhere.
    """
    best = _Best(function, width)
    bound = width.double().cpu().numpy()

    def negated(point: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = best(torch.from_numpy(point).to(width))
        return -value, -gradient.double().cpu().numpy()

    _, _, info = fmin_l_bfgs_b(
        negated, np.zeros_like(bound), bounds=list(zip(-bound, bound, strict=True)), maxiter=iterations, factr=0, pgtol=0
    )
    return best.maximum(int(info["nit"]), info["warnflag"] == 0, str(info["task"]))


def sign_ascent(function: Function, width: Tensor, iterations: int, generator: torch.Generator) -> Maximum:
    """Ascent from vertex to vertex of the box |y_i| ≤ width_i: y ← width·sign(∇f(y)), from 0."""
    best = _Best(function, width)
    _, gradient = best(torch.zeros_like(width))
    vertex = torch.zeros_like(width)
    for iteration in range(iterations):
        side = torch.sign(gradient)
        if not side.any():
            side = torch.sign(torch.rand(width.shape, generator=generator) - 0.5).to(width)
        following = torch.where(side == 0, vertex, side * width)
        if torch.equal(following, vertex):
            return best.maximum(iteration, True, "the vertex repeats")
        vertex = following
        _, gradient = best(vertex)
    return best.maximum(iterations, False, "iteration limit")
