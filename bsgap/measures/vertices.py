"""Ascent from vertex to vertex of a box, the stronger maximiser of sharpness.

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
RANDOM = 2  # random vertices, when the other starts have been climbed
RISE = 0.01  # relative; after a step that gains less, another start is climbed


def vertex_ascent(
    function: Function,
    width: Tensor,
    iterations: int,
    generator: torch.Generator,
    starts: Callable[[], Sequence[Tensor]] = tuple,
) -> Maximum:
    """Maximise over the vertices of |y_i| <= width_i: y ← width·sign(g) from several starts in turn.

    With g = 2∇f(y_k) - ∇f(y_{k-1}), the gradient to be expected at the next vertex, which shortens slow climbs. A
    coordinate without gradient stays. The starts are the vertex of the gradient at 0, those given, and then random
    ones. The first three are evaluated, the highest is climbed until a step gains less than 1 % or the vertex repeats,
    then the next. The ascent has converged when no start is left.

    Args:
        function: Value and gradient.
        width: Half widths of the box `[p]`, positive.
        iterations: Vertices to evaluate, at most.
        generator: Draws the random vertices.
        starts: Further starts as int8 signs `[p]`, the most promising first; called after the evaluation at 0.
    """
    best = Best(function, width)
    first = _signs(best(torch.zeros_like(width))[1])
    waiting = deque(signs for signs in (first, *starts()) if signs.any())
    reached: list[tuple[float, Tensor, Tensor]] = []  # value and signs of a vertex, signs of the next one
    left, racing, drawn = iterations, RACE, 0
    while left:
        if reached and not (racing and waiting):
            highest = max(range(len(reached)), key=lambda index: reached[index][0])
            left = _climb(best, width, *reached.pop(highest), left)
            continue
        if not waiting:
            if drawn == RANDOM:
                return best.maximum(iterations - left, True, "no start rises further")
            waiting.append(_random_signs(width, generator))
            drawn += 1
        signs = waiting.popleft()
        value, gradient = best(signs * width)
        reached.append((value, signs, _signs(gradient, signs)))
        left, racing = left - 1, max(racing - 1, 0)
    return best.maximum(iterations, False, "iteration limit")


def _climb(best: Best, width: Tensor, value: float, signs: Tensor, following: Tensor, left: int) -> int:
    """Go on from the vertex `signs` to `following` and further; returns how many evaluations are left."""
    previous: Tensor | None = None
    while left and not torch.equal(following, signs):
        signs = following
        risen, gradient = best(signs * width)
        left -= 1
        if risen <= value + RISE * abs(value):
            break
        following = _signs(gradient if previous is None else 2 * gradient - previous, signs)
        value, previous = risen, gradient.clone()
    return left


def _signs(gradient: Tensor, otherwise: Tensor | None = None) -> Tensor:
    signs = torch.sign(gradient).to(torch.int8)
    return signs if otherwise is None else torch.where(signs == 0, otherwise, signs)


def _random_signs(width: Tensor, generator: torch.Generator) -> Tensor:
    return (torch.randint(0, 2, width.shape, generator=generator, dtype=torch.int8) * 2 - 1).to(width.device)
