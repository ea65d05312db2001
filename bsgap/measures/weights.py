"""The weights themselves: their norm and their histogram, which weight decay and the number of steps decide.

Weights are here the parameters of more than one dimension, as they are for LARS: no biases, and nothing of
normalisation layers, whose gains would outweigh the filters.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bsgap.errors import UsageError


@dataclass(frozen=True)
class WeightHistogram:
    """What `weight_histogram` found.

    Attributes:
        edges: Edges of the bins, ascending, one more than there are bins.
        counts: Weights in each bin.
        outside: Weights beyond the outermost edges.
        weights: All weights.
        norm: Their Euclidean norm.
        deviation: Their standard deviation around their mean.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    outside: int
    weights: int
    norm: float
    deviation: float


@torch.no_grad()
def weight_norm(model: nn.Module) -> float:
    """Euclidean norm √(Σ w²) over all weights of `model`, in double precision.

    Figure 2 of Li et al. 2017 (arXiv:1712.09913) shows it against the epoch.

    Example:
        >>> model = torch.nn.Linear(2, 1)  # the bias is no weight
        >>> _ = model.weight.data.copy_(torch.tensor([[3.0, 4.0]]))
        >>> weight_norm(model)
        5.0

    Raises:
        UsageError: The model has no weight.
    """
    norms = [torch.linalg.vector_norm(weight, dtype=torch.float64) for weight in _weights(model)]
    return torch.linalg.vector_norm(torch.stack(norms)).item()


@torch.no_grad()
def weight_histogram(model: nn.Module, *, bins: int = 101, limit: float | None = None) -> WeightHistogram:
    """How many of the weights of `model` lie in each of `bins` bins of equal width over [-`limit`, `limit`].

    Figure 2 of Li et al. 2017 (arXiv:1712.09913) compares two solutions by it. Weights that are not finite count as
    outside.

    Example:
        >>> model = torch.nn.Linear(4, 1)
        >>> _ = model.weight.data.copy_(torch.tensor([[-1.0, 0.1, 0.2, 3.0]]))
        >>> found = weight_histogram(model, bins=2, limit=2.0)
        >>> found.counts, found.outside
        ((1, 2), 1)

    Args:
        model: Any module.
        bins: Number of bins; an odd one has a bin around 0.
        limit: Outermost edge; the largest absolute weight when not given.

    Raises:
        UsageError: The model has no weight, or `bins` or `limit` is not positive.
    """
    if bins < 1:
        raise UsageError(f"bins must be at least 1, got {bins}.")
    if limit is not None and not 0 < limit < float("inf"):
        raise UsageError(f"limit must be a positive number or absent, got {limit}.")
    values = torch.cat([weight.detach().flatten().double().cpu() for weight in _weights(model)])
    reach = limit if limit is not None else float(values.abs().max()) or 1.0
    edges = torch.linspace(-reach, reach, bins + 1, dtype=torch.float64)
    inside = values[values.abs() <= reach]  # NaN is not
    counts, _ = torch.histogram(inside, edges)
    return WeightHistogram(
        edges=tuple(edges.tolist()),
        counts=tuple(int(count) for count in counts),
        outside=len(values) - len(inside),
        weights=len(values),
        norm=torch.linalg.vector_norm(values).item(),
        deviation=values.std(correction=0).item(),
    )


def _weights(model: nn.Module) -> list[Tensor]:
    weights: list[Tensor] = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    if not weights:
        raise UsageError("the model has no parameter of more than one dimension, so no weights to look at.")
    return weights
