"""Keskar's sharpness: Metric 2.1 of "On Large-Batch Training for Deep Learning", arXiv:1609.04836."""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bsgap.errors import NotFinite, UsageError
from bsgap.measures.batches import Loss
from bsgap.measures.boxes import Box, FullBox, Scaling, SubspaceBox
from bsgap.measures.classes import class_starts
from bsgap.measures.lbfgsb import lbfgsb
from bsgap.measures.modes import Statistics, measuring
from bsgap.measures.vectors import MeanLoss
from bsgap.measures.vertices import vertex_ascent
from bsgap.seeding import generator

Maximiser = Literal["lbfgsb", "sign"]
"""How the maximum over the box is sought.

- `lbfgsb`: scipy's L-BFGS-B, as the metric says.
- `sign`: sign-gradient ascent from vertex to vertex of the same box (`bsgap.measures.vertices`). At a low loss the
  gradient is nearly flat at the start, and L-BFGS-B, whose steps are in proportion to it, then measures itself.
"""


@dataclass(frozen=True)
class Sharpness:
    """What `keskar_sharpness` found, and how.

    Attributes:
        value: φ = 100·(max_loss - start_loss) / (1 + start_loss), in percent.
        start_loss: f(x), the mean loss over all examples.
        max_loss: The largest loss that the maximiser saw in the box: a lower bound of the maximum.
        epsilon: ε, the size of the box.
        subspace: p, the dimensions of the random subspace; None for the full space.
        scaling: How the subspace's A is scaled, see `bsgap.measures.Scaling`; "none" in the full space, where A = I.
        seed: Seed of the subspace and of what else is random.
        maximiser: `lbfgsb` or `sign`.
        iterations: Iterations of the maximiser.
        evaluations: Passes over the data with gradient, the one at the start included.
        share_at_bound: Share of the coordinates of y that are at their bound where the largest loss was seen.
        converged: Whether the maximiser found a first-order maximum: no coordinate wants to move within the box.
        message: Why it stopped.
        statistics: Source of the BatchNorm statistics.
        examples: Number of examples.
        seconds: Wall-clock time.
    """

    value: float
    start_loss: float
    max_loss: float
    epsilon: float
    subspace: int | None
    scaling: str
    seed: int
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
    """Sharpness of a minimiser x: by how much the training loss f can rise in a small box around it (Metric 2.1).

    φ = 100·(max_{y ∈ C} f(x + Ay) - f(x)) / (1 + f(x)), C = {y ∈ R^p : |y_i| <= ε(|(A⁺x)_i| + 1)}, in percent, with x
    the n trainable parameters, and A = I in the full space or a random n × p matrix. The maximum is sought in
    `iterations` iterations, by L-BFGS-B as in the paper, so φ is a lower bound.

    The loss is the mean over all examples, whatever the batches. Everything is computed in float32 or better, without
    autocast, dropout off. The model and the random state are afterwards as they were, also after an error. With
    `recomputed`, the BatchNorm statistics are those at x, over the whole box.

    Memory: besides data set and model at most 80 vectors of the size of the model in float32 with `lbfgsb`, whose ten
    correction pairs are in float64, and at most 16 with `sign`. A subspace takes at most 12 and A, which is p of them
    up to 1 GiB and beyond drawn block by block when needed.

    Args:
        model: Any module; parameters with `requires_grad=False` stay, tied ones move together.
        batches: Pairs `(inputs, targets)`, examples along the first dimension. A list fixes what is measured; a
            DataLoader is read once, and its random augmentation becomes part of the data.
        loss: Mean loss of a batch from `(outputs, targets)`.
        epsilon: ε; the paper has 1e-3 and 5e-4.
        subspace: p, the dimensions of a random subspace (the paper has 100); None for the full space.
        scaling: How its random matrix A is scaled, see `bsgap.measures.Scaling`.
        maximiser: `lbfgsb` or `sign`, see `bsgap.measures.Maximiser`.
        iterations: Iterations of the maximiser: of L-BFGS-B, or vertices that the sign ascent evaluates.
        statistics: Source of the BatchNorm statistics, see `bsgap.measures.Statistics`.
        seed: Decides A, and the random vertices with which the sign ascent goes on when its other starts are done.

    Raises:
        UsageError: An option is out of range, the batches are empty or no pairs, the model has no trainable
            parameter, or the loss is not finite or not deterministic at x.
    """
    started = time.perf_counter()
    check_box(epsilon, subspace, scaling, maximiser, iterations)
    with measuring(model, batches, statistics) as fixed:
        mean = MeanLoss(model, fixed, loss)
        mean.check_deterministic()
        box: Box
        if subspace is None:
            box = FullBox(mean.flat.vector, epsilon)
        else:
            box = SubspaceBox(mean.flat.vector, epsilon, subspace, scaling, seed)

        def function(point: Tensor) -> tuple[float, Tensor]:
            box.place(point, mean.flat.vector)
            value = mean()
            if mean.passes == 1 and not math.isfinite(value):
                raise NotFinite(f"the loss is {value} at the start: sharpness needs a model with a finite loss.")
            return value, box.pull(mean.gradient)

        if maximiser == "lbfgsb":
            found = lbfgsb(function, box.width, iterations)
        else:
            draws = generator(seed, "vertices")
            found = vertex_ascent(function, box.width, iterations, draws, lambda first: class_starts(mean, box, first))
    return Sharpness(
        value=100 * (found.value - found.start) / (1 + found.start),
        start_loss=found.start,
        max_loss=found.value,
        epsilon=epsilon,
        subspace=subspace,
        scaling="none" if subspace is None else scaling,
        seed=seed,
        maximiser=maximiser,
        iterations=found.iterations,
        evaluations=mean.passes,
        share_at_bound=found.share_at_bound,
        converged=found.converged,
        message=found.message,
        statistics=statistics,
        examples=mean.examples,
        seconds=time.perf_counter() - started,
    )


def check_box(epsilon: float, subspace: int | None, scaling: str, maximiser: str, iterations: int) -> None:
    """Refuse options of `keskar_sharpness` that are out of range or unknown.

    Args:
        epsilon: ε.
        subspace: p, or None.
        scaling: Of the random matrix.
        maximiser: Its name.
        iterations: Its iterations.

    Raises:
        UsageError: One of them is.
    """
    if scaling not in get_args(Scaling):
        raise UsageError(f"scaling must be one of {', '.join(get_args(Scaling))}, got {scaling!r}.")
    if not (epsilon > 0 and math.isfinite(epsilon)):
        raise UsageError(f"epsilon must be positive and finite, got {epsilon}.")
    if subspace is not None and subspace < 1:
        raise UsageError(f"subspace must be at least 1, or None for the full space, got {subspace}.")
    if maximiser not in get_args(Maximiser):
        raise UsageError(f"maximiser must be one of {', '.join(get_args(Maximiser))}, got {maximiser!r}.")
    if iterations < 1:
        raise UsageError(f"iterations must be at least 1, got {iterations}.")
