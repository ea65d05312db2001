"""The boxes of Metric 2.1: around all parameters, or in a random subspace of them."""

from typing import Literal, Protocol, get_args

import torch
from torch import Tensor

from bsgap.errors import UsageError
from bsgap.seeding import generator

Scaling = Literal["normal", "unit"]
"""How the random A of the subspace is scaled. The paper does not say; the value depends on it by orders of magnitude.

- `normal`: the entries of A are N(0, 1), the plain reading of "the columns of A are randomly generated".
- `unit`: the rows of A⁺ are N(0, 1) draws scaled to unit length, and A is the pseudo-inverse of A⁺ (after SmoothOut's
  implementation of the metric, which draws them uniformly).
"""

COLUMNS = 1 << 16  # coordinates drawn at a time: the draw does not depend on whether A is kept
KEPT = 1 << 30  # bytes up to which A is kept rather than drawn anew at every use


class Box(Protocol):
    """The set {x + A·y : |y_i| ≤ width_i}."""

    width: Tensor

    def place(self, point: Tensor, vector: Tensor) -> None:
        """Write x + A·`point` to `vector` `[n]`."""

    def pull(self, gradient: Tensor) -> Tensor:
        """Aᵀ·`gradient`, the gradient with respect to y."""


class FullBox:
    """A = I: |y_i| ≤ ε(|x_i| + 1)."""

    def __init__(self, center: Tensor, epsilon: float) -> None:
        self.center = center.clone()
        self.width = epsilon * (center.abs() + 1)

    def place(self, point: Tensor, vector: Tensor) -> None:
        """Write x + y."""
        torch.add(self.center, point, out=vector)

    def pull(self, gradient: Tensor) -> Tensor:
        """The gradient itself."""
        return gradient


class SubspaceBox:
    """A = CᵀM `[n, p]`, with C `[p, n]` of N(0, 1) entries: |y_i| ≤ ε(|(A⁺x)_i| + 1).

    With the Gram matrix G = CCᵀ `[p, p]`: `normal` is M = I, so A⁺ = G⁻¹C; `unit` is M = G⁻¹D with D the lengths of
    C's rows on the diagonal, so A⁺ = D⁻¹C. C is kept up to 1 GiB and otherwise drawn anew, block by block from the
    seed, whenever it is needed.
    """

    def __init__(self, center: Tensor, epsilon: float, dimensions: int, scaling: Scaling, seed: int) -> None:
        if scaling not in get_args(Scaling):
            raise UsageError(f"scaling must be one of {', '.join(get_args(Scaling))}, got {scaling!r}.")
        if dimensions > center.numel():
            raise UsageError(
                f"subspace must not exceed the number of trainable parameters, {center.numel()}, got {dimensions}."
            )
        self.center = center.clone()
        self.dimensions, self.seed = dimensions, seed
        keep = dimensions * center.numel() * center.element_size() <= KEPT
        self._kept = [self._draw(start) for start in range(0, center.numel(), COLUMNS)] if keep else None
        gram = torch.zeros(dimensions, dimensions, dtype=torch.float64, device=center.device)
        product = torch.zeros(dimensions, dtype=torch.float64, device=center.device)
        for start, block in self._blocks():
            gram += (block @ block.T).double()
            product += (block @ center[start : start + COLUMNS]).double()
        lengths = gram.diagonal().sqrt()
        inverse = torch.linalg.inv(gram)
        if scaling == "normal":
            self._mix = torch.eye(dimensions, dtype=torch.float64, device=center.device)
            seen = inverse @ product
        else:
            self._mix = inverse * lengths
            seen = product / lengths
        self.width = (epsilon * (seen.abs() + 1)).to(center)

    def _draw(self, start: int) -> Tensor:
        columns = min(COLUMNS, self.center.numel() - start)
        draws = generator(self.seed, "subspace", start)
        return torch.randn(self.dimensions, columns, generator=draws).to(self.center)

    def _blocks(self) -> "list[tuple[int, Tensor]] | object":
        starts = range(0, self.center.numel(), COLUMNS)
        return zip(starts, self._kept, strict=True) if self._kept is not None else ((s, self._draw(s)) for s in starts)

    def place(self, point: Tensor, vector: Tensor) -> None:
        """Write x + CᵀM·y."""
        mixed = (self._mix @ point.double()).to(vector)
        for start, block in self._blocks():
            stop = start + block.shape[1]
            torch.addmv(self.center[start:stop], block.T, mixed, out=vector[start:stop])

    def pull(self, gradient: Tensor) -> Tensor:
        """MᵀC·g."""
        total = torch.zeros(self.dimensions, dtype=torch.float64, device=gradient.device)
        for start, block in self._blocks():
            total += block @ gradient[start : start + block.shape[1]]
        return self._mix.T @ total
