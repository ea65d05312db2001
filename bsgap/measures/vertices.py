"""Ascent from vertex to vertex of a box, the stronger maximiser of sharpness at a low loss.

At a low training loss the gradient is all but flat, so a method whose steps are in proportion to it (L-BFGS-B in its
first iterations) stays near the start. The sign of the gradient does not depend on its size: y ← width·sign(∇f(y)), a
Frank-Wolfe step of full length, goes to the best vertex of the linear model at once, and on a convex function it never
falls. The loss is not convex: different starts climb to different peaks, in which the network mostly gives one class
to everything. So the vertices that push toward one class each are tried first (`bsgap.measures.classes`; the idea is
that of multi-targeted adversarial attacks, Gowal et al., arXiv:1910.09338), and the best of a few starts is climbed.
"""

from collections import deque
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bsgap.measures.maximum import Best, Function, Maximum

RACE = 3  # starts that are evaluated before one of them is climbed
RISE = 0.01  # share of the rise so far; after a step that gains less, another start is climbed


def vertex_ascent(
    function: Function,
    width: Tensor,
    iterations: int,
    generator: torch.Generator,
    starts: Callable[[Tensor], Sequence[Tensor]] = lambda first: (),
) -> Maximum:
    """Maximise over the vertices of |y_i| <= width_i: y ← width·sign(g) from several starts in turn.

    With g = 2∇f(y_k) - ∇f(y_{k-1}), the gradient to be expected at the next vertex, which shortens slow climbs. A
    coordinate without gradient stays. The starts are the vertex of the gradient at 0, those given, and then random
    ones. The first three are evaluated, the highest is climbed until a step gains less than 1 % or the vertex repeats,
    then the next. It has converged when ∇f at the best vertex has the signs of that vertex, so that no coordinate
    wants to move: a first-order maximum over the box.

    Args:
        function: Value and gradient.
        width: Half widths of the box `[p]`, positive.
        iterations: Vertices to evaluate.
        generator: Draws the random vertices.
        starts: From the signs of the gradient at 0, further starts as int8 signs `[p]`, the most promising first.
    """
    ascent = _Ascent(function, width, iterations)
    first = _signs(ascent.best(torch.zeros_like(width))[1])
    waiting = deque(signs for signs in (first, *starts(first)) if signs.any())
    reached: list[tuple[float, Tensor, Tensor]] = []  # value and signs of a vertex, signs of the next one
    racing = RACE
    while ascent.left:
        if (waiting and racing > 0) or not reached:
            racing -= 1
            signs = waiting.popleft() if waiting else _random_signs(width, generator)
            value, gradient = ascent.visit(signs)
            reached.append((value, signs, _signs(gradient, signs)))
        else:
            highest = max(range(len(reached)), key=lambda index: reached[index][0])
            ascent.climb(*reached.pop(highest))
    message = "first-order maximum" if ascent.stationary else "iteration limit"
    return ascent.best.maximum(iterations, ascent.stationary, message)


class _Ascent:
    """The evaluations left, the best vertex so far, and whether no coordinate wants to leave it."""

    def __init__(self, function: Function, width: Tensor, left: int) -> None:
        self.best, self.width, self.left = Best(function, width), width, left
        self.stationary = False

    def visit(self, signs: Tensor) -> tuple[float, Tensor]:
        """Value and gradient at the vertex `signs`."""
        self.left -= 1
        before = self.best.value
        value, gradient = self.best(signs * self.width)
        if value > before:
            self.stationary = torch.equal(_signs(gradient, signs), signs)
        return value, gradient

    def climb(self, value: float, signs: Tensor, following: Tensor) -> None:
        """Go from the vertex `signs` to `following` and on, while it rises and evaluations are left."""
        previous: Tensor | None = None
        while self.left and not torch.equal(following, signs):
            signs = following
            risen, gradient = self.visit(signs)
            if risen <= value + RISE * max(value - (self.best.start or 0.0), 0.0):
                break
            expected = gradient if previous is None else previous.neg_().add_(gradient, alpha=2)
            following = _signs(expected, signs)
            value, previous = risen, gradient.clone()


def _signs(gradient: Tensor, otherwise: Tensor | None = None) -> Tensor:
    signs = torch.sign(gradient).to(torch.int8)
    return signs if otherwise is None else torch.where(signs == 0, otherwise, signs)


def _random_signs(width: Tensor, generator: torch.Generator) -> Tensor:
    return (torch.randint(0, 2, width.shape, generator=generator, dtype=torch.int8) * 2 - 1).to(width.device)
