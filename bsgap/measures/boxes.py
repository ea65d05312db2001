"""The boxes of Metric 2.1, {x + A·y : |y_i| <= ε(|(A⁺x)_i| + 1)}: around all parameters, or in a random subspace."""

from collections.abc import Iterator
from typing import Literal, Protocol, get_args

import torch
from torch import Tensor

from bsgap.errors import UsageError
from bsgap.seeding import generator

Scaling = Literal["normal", "unit"]
"""How the random A of a subspace is scaled. The paper does not say, and the value depends on it by orders of magnitude.

- `normal`: the entries of A are N(0, 1), the plain reading of "the columns of A are randomly generated".
- `unit`: the rows of A⁺ are N(0, 1) draws scaled to unit length, and A is the pseudo-inverse of A⁺. The reachable
  |A·y| is then about ε·√p whatever the size of the network, and the values are tiny.
"""

COLUMNS = 1 << 16  # parameters whose rows of A are drawn at a time, so the draw does not depend on what is kept
KEPT_BYTES = 1 << 30  # up to this size A is kept, beyond it is drawn anew at every use


class Box(Protocol):
    """The points x + A·y of the box."""

    width: Tensor
    """Half widths `[p]`: the bounds on |y_i|."""

    def place(self, point: Tensor, vector: Tensor) -> None:
        """Write x + A·`point` to `vector` `[n]`."""

    def pull(self, gradient: Tensor) -> Tensor:
        """Aᵀ·`gradient` `[p]`: from the gradient with respect to the parameters `[n]` to that with respect to y."""


class FullBox:
    """A = I: all parameters, |y_i| <= ε(|x_i| + 1)."""

    def __init__(self, center: Tensor, epsilon: float) -> None:
        self.center = center.clone()
        self.width = epsilon * (center.abs() + 1)

    def place(self, point: Tensor, vector: Tensor) -> None:
        """Write x + y."""
        vector.copy_(point)  # from float64 on another device, with scipy
        vector.add_(self.center)

    def pull(self, gradient: Tensor) -> Tensor:
        """The gradient itself."""
        return gradient


class SubspaceBox:
    """A = CᵀM `[n, p]`, where C `[p, n]` has N(0, 1) entries that depend on the seed, n and p only.

    With the Gram matrix G = CCᵀ `[p, p]`: scaling `normal` is M = I, so A⁺ = G⁻¹C; scaling `unit` is M = G⁻¹D with D
    the lengths of C's rows on the diagonal, so A⁺ = D⁻¹C. C is kept up to 1 GiB; beyond, it is drawn anew, block by
    block, whenever it is needed.

    Raises:
        UsageError: The scaling is unknown, or p exceeds n.
    """

    def __init__(self, center: Tensor, epsilon: float, dimensions: int, scaling: Scaling, seed: int) -> None:
        if scaling not in get_args(Scaling):
            raise UsageError(f"scaling must be one of {', '.join(get_args(Scaling))}, got {scaling!r}.")
        if dimensions > len(center):
            raise UsageError(f"subspace must be at most the {len(center)} trainable parameters, got {dimensions}.")
        self.center = center.clone()
        self.dimensions, self.seed = dimensions, seed
        size = dimensions * len(center) * center.element_size()
        self._kept = [self._draw(start) for start in self._starts()] if size <= KEPT_BYTES else None
        gram = center.new_zeros(dimensions, dimensions, dtype=torch.float64)
        product = center.new_zeros(dimensions, dtype=torch.float64)
        for start, block in self._blocks():
            gram += block @ block.T
            product += block @ center[start : start + COLUMNS]
        lengths = gram.diagonal().sqrt()
        if scaling == "normal":
            self._mix = torch.eye(dimensions).to(gram)
            image = torch.linalg.solve(gram, product)  # A⁺x
        else:
            self._mix = torch.linalg.solve(gram, lengths.diag())
            image = product / lengths
        self.width = (epsilon * (image.abs() + 1)).to(center)

    def place(self, point: Tensor, vector: Tensor) -> None:
        """Write x + Cᵀ(M·y)."""
        mixed = (self._mix @ point.to(self._mix)).to(vector)
        for start, block in self._blocks():
            rows = slice(start, start + COLUMNS)
            torch.addmv(self.center[rows], block.T, mixed, out=vector[rows])

    def pull(self, gradient: Tensor) -> Tensor:
        """Mᵀ(C·g)."""
        total = torch.zeros_like(self._mix[0])
        for start, block in self._blocks():
            total += block @ gradient[start : start + COLUMNS]
        return self._mix.T @ total

    def _starts(self) -> range:
        return range(0, len(self.center), COLUMNS)

    def _blocks(self) -> Iterator[tuple[int, Tensor]]:
        """The columns of C, `[p, 65536]` at a time, each with the index of its first."""
        for index, start in enumerate(self._starts()):
            yield start, self._draw(start) if self._kept is None else self._kept[index]

    def _draw(self, start: int) -> Tensor:
        columns = min(COLUMNS, len(self.center) - start)
        draws = generator(self.seed, "subspace", self.dimensions, start)
        return torch.randn(self.dimensions, columns, generator=draws).to(self.center)
