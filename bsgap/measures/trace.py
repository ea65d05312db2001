"""The trace of a model's Hessian or Gauss-Newton matrix: the sum of all its eigenvalues, from a few products."""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bsgap.errors import UsageError
from bsgap.measures.batches import Loss
from bsgap.measures.modes import Statistics
from bsgap.measures.products import Curvature, Matrix, curvature
from bsgap.seeding import generator


@dataclass(frozen=True)
class Trace:
    """What `hessian_trace` found.

    Attributes:
        value: The estimate of tr(M): the mean of `estimates`.
        standard_error: Of that mean; it falls with the square root of the probes.
        estimates: vᵀMv of each probe.
        products: Products taken, each a pass over the data with two backward passes.
        loss: Mean loss over all examples.
        matrix: `hessian` or `gauss-newton`.
        parameters: n, the size of the matrix.
        seed: Seed of the probes.
        statistics: Source of the BatchNorm statistics.
        examples: Number of examples.
        seconds: Wall-clock time.
    """

    value: float
    standard_error: float
    estimates: tuple[float, ...]
    products: int
    loss: float
    matrix: str
    parameters: int
    seed: int
    statistics: str
    examples: int
    seconds: float

    @property
    def probes(self) -> int:
        """Random vectors that the estimate is made of."""
        return len(self.estimates)


def hessian_trace(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    probes: int = 32,
    loss: Loss = cross_entropy,
    statistics: Statistics = "running",
    matrix: Matrix = "hessian",
    double: bool = False,
    seed: int = 0,
) -> Trace:
    """Trace of M, the Hessian of the mean loss over `batches` or its Gauss-Newton matrix, with its standard error.

    Hutchinson 1989: for entries of v that are ±1 with equal probability E vᵀMv = tr(M), and the variance,
    2·Σ_{i≠j} M_ij², is the least of all distributions with independent entries. A diagonal M needs one probe.

    The loss is the mean over all examples, whatever the batches; float32 or better, no autocast, dropout off. The model
    and the random state are afterwards as they were, also after an error.

    Example:
        >>> model = nn.Linear(2, 1, bias=False)
        >>> data = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.zeros(2, 1)  # L = (4·w1² + w2²)/2
        >>> found = hessian_trace(model, [data], probes=2, loss=nn.functional.mse_loss)
        >>> found.value, found.standard_error
        (5.0, 0.0)

    Args:
        model: Any module whose operations can be differentiated twice; parameters with `requires_grad=False` stay
            out, tied ones count once.
        batches: Pairs `(inputs, targets)`, examples along the first dimension.
        probes: Random vectors, each a product; at least 2.
        loss: Mean loss of a batch from `(outputs, targets)`.
        statistics: Source of the BatchNorm statistics, see `bsgap.measures.Statistics`.
        matrix: Which curvature, see `bsgap.measures.Matrix`.
        double: Sum in float64, also where the model is in float32.
        seed: Seed of the probes.

    Raises:
        UsageError: `probes` is below 2, the batches are empty or no pairs, the model has no trainable parameter or
            cannot be differentiated twice, or the loss is not finite or not deterministic.
    """
    started = time.perf_counter()
    if probes < 2:
        raise UsageError(f"probes must be at least 2, for a standard error, got {probes}.")
    draws = generator(seed, "trace")
    with curvature(model, batches, loss=loss, statistics=statistics, matrix=matrix, double=double) as product:
        estimates = [_estimate(product, draws) for _ in range(probes)]
        spread = torch.tensor(estimates, dtype=torch.float64).std().item()
        return Trace(
            value=math.fsum(estimates) / probes,
            standard_error=spread / math.sqrt(probes),
            estimates=tuple(estimates),
            products=product.products,
            loss=product.loss,
            matrix=matrix,
            parameters=product.size,
            seed=seed,
            statistics=statistics,
            examples=product.mean.examples,
            seconds=time.perf_counter() - started,
        )


def signs(product: Curvature, draws: torch.Generator) -> Tensor:
    """A vector `[n]` of ±1 with equal probability, the same on every device."""
    drawn = torch.randint(0, 2, (product.size,), generator=draws, dtype=torch.int8)
    return drawn.to(product.device, product.dtype).mul_(2).sub_(1)


def _estimate(product: Curvature, draws: torch.Generator) -> float:
    vector = signs(product, draws)
    return (vector * product(vector)).sum(dtype=torch.float64).item()
