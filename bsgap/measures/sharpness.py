"""Keskar's sharpness, Metric 2.1 of "On Large-Batch Training for Deep Learning" (arXiv:1609.04836)."""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bsgap.errors import UsageError
from bsgap.measures.batches import Loss, checked
from bsgap.measures.maximisers import lbfgsb, sign_ascent
from bsgap.measures.modes import Statistics, evaluation_mode, full_precision, untouched
from bsgap.measures.subspace import Box, FullBox, Scaling, SubspaceBox
from bsgap.measures.vectors import MeanLoss
from bsgap.seeding import generator

Maximiser = Literal["lbfgsb", "sign"]


@dataclass(frozen=True)
class Sharpness:
    """What `keskar_sharpness` found, and how."""

    value: float
    start_loss: float
    max_loss: float
    epsilon: float
    subspace: int | None
    scaling: str
    maximiser: str
    iterations: int
    evaluations: int
    share_at_bound: float
    converged: bool
    message: str
    statistics: str
    examples: int
    seconds: float


def keskar_sharpness(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    loss: Loss = cross_entropy,
    epsilon: float = 1e-3,
    subspace: int | None = None,
    scaling: Scaling = "normal",
    maximiser: Maximiser = "lbfgsb",
    iterations: int = 10,
    statistics: Statistics = "running",
    seed: int = 0,
) -> Sharpness:
    """Sharpness φ = 100·(max f(x + Ay) - f(x)) / (1 + f(x)) over the box |y_i| ≤ ε(|(A⁺x)_i| + 1)."""
    started = time.perf_counter()
    if not epsilon > 0:
        raise UsageError(f"epsilon must be positive, got {epsilon}.")
    with untouched(model):
        listed = checked(batches)
        with full_precision(model), evaluation_mode(model, statistics, listed):
            mean_loss = MeanLoss(model, listed, loss)
            mean_loss.check_deterministic()
            center = mean_loss.flat.vector
            box: Box
            if subspace is None:
                box = FullBox(center, epsilon)
            else:
                box = SubspaceBox(center, epsilon, subspace, scaling, seed)

            def value_and_gradient(point: Tensor) -> tuple[float, Tensor]:
                box.place(point, mean_loss.flat.vector)
                value = mean_loss()
                if mean_loss.passes == 1 and not math.isfinite(value):
                    raise UsageError(f"the loss is {value} at the start: sharpness needs a model with a finite loss.")
                return value, box.pull(mean_loss.gradient)

            if maximiser == "lbfgsb":
                found = lbfgsb(value_and_gradient, box.width, iterations)
            else:
                found = sign_ascent(value_and_gradient, box.width, iterations, generator(seed, "vertex"))
    return Sharpness(
        value=100 * (found.value - found.start) / (1 + found.start),
        start_loss=found.start,
        max_loss=found.value,
        epsilon=epsilon,
        subspace=subspace,
        scaling="full space" if subspace is None else scaling,
        maximiser=maximiser,
        iterations=found.iterations,
        evaluations=mean_loss.passes,
        share_at_bound=found.share_at_bound,
        converged=found.converged,
        message=found.message,
        statistics=statistics,
        examples=mean_loss.examples,
        seconds=time.perf_counter() - started,
    )
