"""Lanczos' method with full reorthogonalisation: a symmetric matrix seen through an orthonormal basis of its products.

With V the basis and T = VᵀMV, the eigenvalues θ of T are the Ritz values of M, and the residual of a Ritz pair,
‖M(Vs) - θ(Vs)‖, is known without another product (Parlett 1980, chapter 13). Without reorthogonalisation a basis in
floating point loses its orthogonality as soon as a pair converges, and copies of that pair appear.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from bsgap.measures.products import Product

FIRST_ROWS = 16  # of the basis; it grows by doubling


@dataclass(frozen=True)
class Ritz:
    """Ritz pairs of a basis, by falling value.

    Attributes:
        values: θ `[m]`, float64.
        residuals: ‖M·y - θ·y‖ of each `[m]`, float64, at least `rounding`.
        coordinates: Column i is the vector y of pair i in the basis `[m, m]`, float64.
        rounding: ε·max|θ|, with ε the precision of the vectors: no residual is known to be less.
    """

    values: Tensor
    residuals: Tensor
    coordinates: Tensor
    rounding: float


class Lanczos:
    """A growing basis; each `step` takes one product and adds one vector.

    Vectors wait at the end of the basis until they have been multiplied: one in plain Lanczos, as many as there are
    starting vectors in the block method. A product that lies in the basis adds none, so that a basis may close: it then
    spans an invariant subspace, and goes on with `add` only.

    Attributes:
        done: m, the vectors that have been multiplied.
        waiting: Vectors that have not.
    """

    def __init__(self, product: Product, start: Tensor, limit: int) -> None:
        """A basis of at most `limit` vectors that begins with the rows of `start` `[b, n]`."""
        self.product, self.limit = product, limit
        self.done = self.waiting = 0
        self._basis = start.new_empty(min(limit, max(FIRST_ROWS, 2 * len(start))), start.shape[1])
        self._small = torch.zeros(limit, limit, dtype=torch.float64)  # column j: the basis's part of M·v_j
        for vector in start:
            self.add(vector)

    @property
    def size(self) -> int:
        """Vectors in the basis."""
        return self.done + self.waiting

    def add(self, vector: Tensor) -> bool:
        """Let `vector` `[n]`, as far as it is orthogonal to the basis, wait; False where nothing of it is new."""
        return self._append(vector.clone(), torch.linalg.vector_norm(vector).item())

    def step(self) -> None:
        """Multiply the first vector that waits, and let what is new in the product wait."""
        column = self.done
        new = self.product(self._basis[column])
        length = torch.linalg.vector_norm(new).item()
        self.done, self.waiting = column + 1, self.waiting - 1
        self._append(new, length, column)

    def ritz(self) -> Ritz:
        """The Ritz pairs of what has been multiplied."""
        m = self.done
        inside = self._small[:m, :m]
        values, coordinates = torch.linalg.eigh((inside + inside.T) / 2)
        values, coordinates = values.flip(0), coordinates.flip(1)
        outside = self._small[m : self.size, :m] @ coordinates
        rounding = torch.finfo(self._basis.dtype).eps * values.abs().max().item()
        return Ritz(values, torch.linalg.vector_norm(outside, dim=0).clamp(min=rounding), coordinates, rounding)

    def vectors(self, coordinates: Tensor) -> Tensor:
        """Rows `[k, n]` with the columns of `coordinates` `[m, k]` in the basis."""
        return coordinates.T.to(self._basis) @ self._basis[: self.done]

    def restart(self, coordinates: Tensor) -> None:
        """Keep of what has been multiplied only the k vectors with these `coordinates` `[m, k]`, of Ritz pairs.

        The thick restart of Wu and Simon 2000. What waits stays, and so does what is known of the products of both.
        """
        m, k, size = self.done, coordinates.shape[1], self.size
        inside = coordinates.T @ self._small[:m, :m] @ coordinates
        outside = self._small[m:size, :m] @ coordinates
        self._basis[:k] = self.vectors(coordinates)
        self._basis[k : k + self.waiting] = self._basis[m:size].clone()
        self._small.zero_()
        self._small[:k, :k] = inside
        self._small[k : k + self.waiting, :k] = outside
        self.done = k

    def _append(self, new: Tensor, length: float, column: int | None = None) -> bool:
        """Orthogonalise `new`, of this `length`, and let the rest wait unless it is rounding; fill T's `column`."""
        size = self.size
        known = self._basis[:size]
        for _ in range(2 if size else 0):  # twice is enough (Parlett 1980, section 6.9)
            parts = known @ new
            new -= parts @ known
            if column is not None:
                self._small[:size, column] += parts.to("cpu", torch.float64)
        rest = torch.linalg.vector_norm(new).item()
        scale = max(length, self._small.abs().max().item() if column is not None else 0.0)
        if size == self.limit or rest <= 10 * torch.finfo(new.dtype).eps * scale or rest == 0:
            return False
        if size == len(self._basis):
            grown = self._basis.new_empty(min(2 * size, self.limit), self._basis.shape[1])
            grown[:size] = known
            self._basis = grown
        torch.div(new, rest, out=self._basis[size])
        if column is not None:
            self._small[size, column] = rest
        self.waiting += 1
        return True
