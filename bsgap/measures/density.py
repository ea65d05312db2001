"""The density of all eigenvalues of a model's Hessian or Gauss-Newton matrix: its spectrum as a curve."""

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bsgap.errors import UsageError
from bsgap.measures.batches import Loss
from bsgap.measures.lanczos import Lanczos
from bsgap.measures.modes import Statistics
from bsgap.measures.products import Curvature, Matrix, curvature
from bsgap.measures.trace import signs
from bsgap.seeding import generator

REACH = 6  # widths of the Gaussian that the grid goes beyond the outermost nodes: less than 1e-8 lies outside


@dataclass(frozen=True)
class SpectralDensity:
    """What `spectral_density` found.

    Attributes:
        grid: Evenly spaced eigenvalues.
        density: φ at each of them, the mean over the probes; its integral over `grid` is 1.
        nodes: Per probe, the Ritz values θ, in falling order.
        weights: Per probe, the weight of each node; they sum to 1.
        sigma: Width σ of the Gaussian in place of each node.
        products: Products taken, each a pass over the data with two backward passes.
        loss: Mean loss over all examples.
        matrix: `hessian` or `gauss-newton`.
        parameters: n, the size of the matrix.
        seed: Seed of the probes.
        statistics: Source of the BatchNorm statistics.
        examples: Number of examples.
        seconds: Wall-clock time.
    """

    grid: tuple[float, ...]
    density: tuple[float, ...]
    nodes: tuple[tuple[float, ...], ...]
    weights: tuple[tuple[float, ...], ...]
    sigma: float
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
        """Random vectors that the density is the mean of."""
        return len(self.nodes)

    def moment(self, order: int) -> float:
        """Mean over all eigenvalues of λ^order, by the nodes alone: tr(M^order)/n, as Hutchinson estimates it."""
        each = [
            math.fsum(weight * node**order for node, weight in zip(nodes, weights, strict=True))
            for nodes, weights in zip(self.nodes, self.weights, strict=True)
        ]
        return math.fsum(each) / len(each)


def spectral_density(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    probes: int = 4,
    steps: int = 80,
    broadening: float = 0.01,
    points: int = 1001,
    loss: Loss = cross_entropy,
    statistics: Statistics = "running",
    matrix: Matrix = "hessian",
    double: bool = False,
    seed: int = 0,
) -> SpectralDensity:
    """Density φ(λ) = 1/n·Σ_i δ(λ - λ_i) of the eigenvalues of M, broadened, by stochastic Lanczos quadrature.

    For each probe v, of entries ±1/√n, Lanczos' method gives after m steps nodes θ_j and weights ω_j, the squared
    first entries of the eigenvectors of its small matrix. φ(λ) ≈ mean over v of Σ_j ω_j·N(λ; θ_j, σ²), which has the
    first 2m moments of the spectrum as v sees it (Ghorbani, Krishnan, Xiao 2019, arXiv:1901.10159). The outermost nodes
    are the outermost eigenvalues as soon as those have converged; what lies close to 0 stays one heap.

    The loss is the mean over all examples, whatever the batches; float32 or better, no autocast, dropout off. The model
    and the random state are afterwards as they were, also after an error. Memory: `steps` + 3 vectors of the size of
    the model.

    Example:
        >>> model = nn.Linear(2, 1, bias=False)
        >>> data = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.zeros(2, 1)  # L = (4·w1² + w2²)/2
        >>> found = spectral_density(model, [data], probes=1, loss=nn.functional.mse_loss)
        >>> [round(node, 3) for node in found.nodes[0]], [round(weight, 3) for weight in found.weights[0]]
        ([4.0, 1.0], [0.5, 0.5])

    Args:
        model: Any module whose operations can be differentiated twice; parameters with `requires_grad=False` stay
            out, tied ones count once.
        batches: Pairs `(inputs, targets)`, examples along the first dimension.
        probes: Random vectors; each takes `steps` products.
        steps: m, Lanczos steps a probe; a probe that has seen all stops earlier.
        broadening: σ as a share of the range from the smallest node to the largest.
        points: Points of the grid.
        loss: Mean loss of a batch from `(outputs, targets)`.
        statistics: Source of the BatchNorm statistics, see `bsgap.measures.Statistics`.
        matrix: Which curvature, see `bsgap.measures.Matrix`.
        double: Sum over the batches and keep the basis in float64, also where the model is in float32.
        seed: Seed of the probes.

    Raises:
        UsageError: An option is out of range, the grid is too coarse for the broadening, the batches are empty or no
            pairs, the model has no trainable parameter or cannot be differentiated twice, or the loss is not finite or
            not deterministic.
    """
    started = time.perf_counter()
    check_probes(probes, steps)
    _check_grid(broadening, points)
    draws = generator(seed, "density")
    with curvature(model, batches, loss=loss, statistics=statistics, matrix=matrix, double=double) as product:
        rules = [_rule(product, steps, draws) for _ in range(probes)]
        nodes, weights = [nodes for nodes, _ in rules], [weights for _, weights in rules]
        sigma, grid, density = _broadened(nodes, weights, broadening, points)
        return SpectralDensity(
            grid=tuple(grid.tolist()),
            density=tuple(density.tolist()),
            nodes=tuple(tuple(each.tolist()) for each in nodes),
            weights=tuple(tuple(each.tolist()) for each in weights),
            sigma=sigma,
            products=product.products,
            loss=product.loss,
            matrix=matrix,
            parameters=product.size,
            seed=seed,
            statistics=statistics,
            examples=product.mean.examples,
            seconds=time.perf_counter() - started,
        )


def _rule(product: Curvature, steps: int, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    """Nodes and weights of one probe, `[m]` each, float64."""
    basis = Lanczos(product, signs(product, draws)[None], min(steps, product.size) + 1)
    while basis.waiting and basis.done < steps:
        basis.step()
    ritz = basis.ritz()
    return ritz.values, ritz.coordinates[0] ** 2


def _broadened(
    nodes: Sequence[Tensor], weights: Sequence[Tensor], broadening: float, points: int
) -> tuple[float, Tensor, Tensor]:
    """σ, the grid, and the mean density on it."""
    low, high = min(each.min().item() for each in nodes), max(each.max().item() for each in nodes)
    rounding = 1e-6 * max(abs(low), abs(high))
    sigma = broadening * (high - low if high - low > rounding else max(abs(high), 1.0))  # a multiple of I has no range
    grid = torch.linspace(low - REACH * sigma, high + REACH * sigma, points, dtype=torch.float64)
    density = torch.zeros_like(grid)
    for theta, omega in zip(nodes, weights, strict=True):
        bells = torch.exp(-0.5 * ((grid[:, None] - theta) / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi))
        density += bells @ omega / len(nodes)
    return sigma, grid, density


def check_probes(probes: int, steps: int, prefix: str = "") -> None:
    """Refuse numbers of probes and steps that give no density.

    Args:
        probes: Random vectors.
        steps: Lanczos steps for each.
        prefix: What the names of the two begin with where the user gave them.

    Raises:
        UsageError: One of them is below 1.
    """
    if probes < 1:
        raise UsageError(f"{prefix}probes must be at least 1, got {probes}.")
    if steps < 1:
        raise UsageError(f"{prefix}steps must be at least 1, got {steps}.")


def _check_grid(broadening: float, points: int) -> None:
    if not (broadening > 0 and math.isfinite(broadening)):
        raise UsageError(f"broadening must be positive and finite, got {broadening}.")
    least = math.ceil(1 / broadening + 2 * REACH) + 1  # one point a width: the sum of a bell is then its integral
    if points < least:
        raise UsageError(f"points must be at least {least} for a broadening of {broadening}, got {points}.")
