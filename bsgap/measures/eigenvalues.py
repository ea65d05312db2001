"""The largest eigenvalues of a model's Hessian or Gauss-Newton matrix, each with its residual."""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bsgap.errors import UsageError
from bsgap.measures.batches import Loss
from bsgap.measures.lanczos import Lanczos, Ritz
from bsgap.measures.modes import Statistics
from bsgap.measures.products import Curvature, Matrix, curvature
from bsgap.seeding import generator

Order = Literal["value", "magnitude"]
"""Which eigenvalues are the top ones: the largest, or those of the largest absolute value."""

KEPT_BYTES = 1 << 30  # memory of the basis, where the user sets no limit
MOST_VECTORS = 200  # beyond, the small eigenproblem of every step would cost more than it saves


@dataclass(frozen=True)
class Eigenvalues:
    """What `top_eigenvalues` found, best first.

    Attributes:
        values: λ_1, λ_2, ..., as many as were asked for.
        residuals: ‖Mv - λv‖/|λ| of each, v of unit length; an eigenvalue of M lies within this share of λ.
        converged: Whether each residual is at most the tolerance, or as small as the arithmetic allows: the second
            counts for an eigenvalue near 0.
        products: Products taken, each a pass over the data with two backward passes.
        loss: Mean loss over all examples.
        matrix: `hessian` or `gauss-newton`.
        order: `value` or `magnitude`.
        tolerance: The relative residual at which it stops.
        parameters: n, the size of the matrix.
        seed: Seed of the starting vector.
        statistics: Source of the BatchNorm statistics.
        examples: Number of examples.
        seconds: Wall-clock time.
        vectors: Unit eigenvectors in the order of `values`, each by parameter name, in the shape of the parameters;
            None where they were not asked for.
    """

    values: tuple[float, ...]
    residuals: tuple[float, ...]
    converged: tuple[bool, ...]
    products: int
    loss: float
    matrix: str
    order: str
    tolerance: float
    parameters: int
    seed: int
    statistics: str
    examples: int
    seconds: float
    vectors: tuple[dict[str, Tensor], ...] | None = field(default=None, repr=False, compare=False)


def top_eigenvalues(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    k: int = 1,
    loss: Loss = cross_entropy,
    statistics: Statistics = "running",
    matrix: Matrix = "hessian",
    order: Order = "value",
    tolerance: float = 1e-3,
    most_products: int = 500,
    most_vectors: int | None = None,
    block: int = 1,
    double: bool = False,
    seed: int = 0,
    vectors: bool = False,
) -> Eigenvalues:
    """The k largest eigenvalues of M, the Hessian of the mean loss over `batches` or its Gauss-Newton matrix.

    Lanczos' method from a random vector, with full reorthogonalisation: after m products it has the best that any
    method can have of them, and stops as soon as ‖Mv - λv‖ <= tolerance·|λ| for all k. Where the basis reaches its
    limit it restarts from the best Ritz vectors (Wu and Simon 2000). Power iteration needs more products, and where it
    stops at a small *change* of λ it may be far off; here the residual is known at every step and part of the result.

    A single starting vector sees each eigenvalue once. If several of the top ones may be equal, as in a network with
    symmetric units, set `block` to how many: it costs about so many times the products.

    The loss is the mean over all examples, whatever the batches; float32 or better, no autocast, dropout off. The model
    and the random state are afterwards as they were, also after an error.

    Example:
        >>> model = nn.Linear(2, 1, bias=False)
        >>> data = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.zeros(2, 1)  # L = (4·w1² + w2²)/2
        >>> found = top_eigenvalues(model, [data], k=2, loss=nn.functional.mse_loss)
        >>> [round(value, 3) for value in found.values]
        [4.0, 1.0]

    Args:
        model: Any module whose operations can be differentiated twice; parameters with `requires_grad=False` stay
            out, tied ones count once.
        batches: Pairs `(inputs, targets)`, examples along the first dimension. A list fixes what is measured; a
            DataLoader is read once, and its random augmentation becomes part of the data.
        k: How many eigenvalues.
        loss: Mean loss of a batch from `(outputs, targets)`.
        statistics: Source of the BatchNorm statistics, see `bsgap.measures.Statistics`. With `batch` the Hessian sees
            that the statistics depend on the weights; with the others they are constants.
        matrix: Which curvature, see `bsgap.measures.Matrix`.
        order: The largest by value, or by magnitude.
        tolerance: Relative residual at which it stops.
        most_products: It stops here in any case; `converged` then says which are good.
        most_vectors: Vectors of the size of the model to keep; None for what fits in 1 GiB, at most 200, at least
            2k + 10.
        block: Starting vectors.
        double: Sum over the batches and keep the basis in float64, also where the model is in float32.
        seed: Seed of the starting vectors.
        vectors: Whether the eigenvectors are part of the result.

    Raises:
        UsageError: An option is out of range, k is above the number of parameters, the batches are empty or no pairs,
            the model has no trainable parameter or cannot be differentiated twice, or the loss is not finite or not
            deterministic.
    """
    started = time.perf_counter()
    check_search(k, order, tolerance, most_products, most_vectors, block)
    with curvature(model, batches, loss=loss, statistics=statistics, matrix=matrix, double=double) as product:
        if k > product.size:
            raise UsageError(f"k must be at most the {product.size} trainable parameters, got {k}.")
        draws = generator(seed, "lanczos")
        limit = _limit(product, k, block, most_vectors)
        basis = Lanczos(product, _random(product, min(block, product.size), draws), limit)
        while True:
            if basis.size == limit:
                kept = (limit + k) // 2 - block
                basis.restart(basis.ritz().coordinates[:, _ranked(basis.ritz(), order)[:kept]])
            basis.step()
            if not basis.waiting and basis.size < product.size:
                basis.add(_random(product, 1, draws)[0])  # the basis has closed: there is more beside it
            ritz = basis.ritz()
            top = _ranked(ritz, order)[:k]
            values, residuals = ritz.values[top], ritz.residuals[top]
            good = residuals <= (tolerance * values.abs()).clamp(min=10 * ritz.rounding)
            if (len(top) == k and (good.all() or not basis.waiting)) or product.products >= most_products:
                break
        found = basis.vectors(ritz.coordinates[:, top]) if vectors else None
        named = None if found is None else tuple(_named(model, product, vector) for vector in found)
        return Eigenvalues(
            values=tuple(values.tolist()),
            residuals=tuple(_relative(residuals, values)),
            converged=tuple(good.tolist()),
            products=product.products,
            loss=product.loss,
            matrix=matrix,
            order=order,
            tolerance=tolerance,
            parameters=product.size,
            seed=seed,
            statistics=statistics,
            examples=product.mean.examples,
            seconds=time.perf_counter() - started,
            vectors=named,
        )


def check_search(
    k: int, order: str, tolerance: float, most_products: int, most_vectors: int | None = None, block: int = 1
) -> None:
    """Refuse options of `top_eigenvalues` that no model could be measured with.

    Raises:
        UsageError: One is out of range or unknown.
    """
    if k < 1:
        raise UsageError(f"k must be at least 1, got {k}.")
    if order not in get_args(Order):
        raise UsageError(f"order must be one of {', '.join(get_args(Order))}, got {order!r}.")
    if not (tolerance > 0 and math.isfinite(tolerance)):
        raise UsageError(f"tolerance must be positive and finite, got {tolerance}.")
    if block < 1:
        raise UsageError(f"block must be at least 1, got {block}.")
    if most_products < k:
        raise UsageError(
            f"most_products must be at least k = {k}, got {most_products}: allow more, or ask for fewer eigenvalues."
        )
    least = k + 2 * block + 1
    if most_vectors is not None and most_vectors < least:
        raise UsageError(f"most_vectors must be at least {least} for k = {k}, block = {block}, got {most_vectors}.")


def _limit(product: Curvature, k: int, block: int, most_vectors: int | None) -> int:
    """Vectors of the basis; above n it never fills, so no restart takes place."""
    fitting = KEPT_BYTES // (product.size * product.dtype.itemsize)
    wanted = max(min(fitting, MOST_VECTORS), 2 * k + 2 * block + 8) if most_vectors is None else most_vectors
    return min(wanted, product.size + 1)


def _random(product: Curvature, count: int, draws: torch.Generator) -> Tensor:
    """Rows `[count, n]` in random directions, the same on every device."""
    return torch.randn(count, product.size, generator=draws).to(product.device, product.dtype)


def _ranked(ritz: Ritz, order: str) -> Tensor:
    """Positions of the Ritz values, best first."""
    return torch.argsort(ritz.values.abs() if order == "magnitude" else ritz.values, descending=True, stable=True)


def _relative(residuals: Tensor, values: Tensor) -> list[float]:
    """Residuals over |λ|; 0 where both are 0."""
    return torch.where(residuals == 0, residuals, residuals / values.abs()).tolist()


def _named(model: nn.Module, product: Curvature, vector: Tensor) -> dict[str, Tensor]:
    """`vector` `[n]` by the names of the trainable parameters."""
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    return {name: piece.clone() for name, piece in zip(names, product.mean.flat.views(vector), strict=True)}
