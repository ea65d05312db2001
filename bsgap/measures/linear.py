"""How far a step leaves the range in which the loss is linear: the error of Golmant et al., arXiv:1811.12941, Fig. 2.

The linear scaling rule multiplies the rate with the batch size, which is sound as long as the loss is close to its
tangent over the longer step. The error says how far from it the step ends.
"""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from bsgap.errors import NotFinite, UsageError
from bsgap.measures.batches import Batches, Loss, examples_in, listed
from bsgap.measures.evaluation import evaluate_as_is
from bsgap.measures.modes import Statistics, measuring
from bsgap.measures.steps import own_step
from bsgap.measures.vectors import FlatParameters, MeanLoss
from bsgap.seeding import generator

Displacement = Mapping[str, Tensor] | Sequence[Tensor]
"""w - w*: by parameter name, or one tensor for each trainable parameter in the order of `model.parameters()`."""


@dataclass(frozen=True)
class LinearApproximation:
    """What `linear_approximation` found. Losses are means over examples (nats for cross-entropy).

    Attributes:
        error: |L(w) - L̂(w)|; infinite where the loss after the step, or L̂, is not finite.
        same_batch_error: |L_B(w) - L̂_B(w)| with L_B(w*) + ⟨g_m, w - w*⟩ as L̂_B: the mini-batch in place of all data.
        loss: L(w*), over all batches.
        loss_after: L(w).
        predicted: L̂(w).
        batch_loss: L_B(w*), over the mini-batch.
        batch_loss_after: L_B(w).
        gradient_norm: ‖g_m(w*)‖₂.
        step_norm: ‖w - w*‖₂.
        rate: η of the step; None where the displacement was given without one.
        batch_size: m, the examples of the mini-batch.
        examples: Number of examples that L is the mean over.
        statistics: Source of the BatchNorm statistics.
        seconds: Wall-clock time.
    """

    error: float
    same_batch_error: float
    loss: float
    loss_after: float
    predicted: float
    batch_loss: float
    batch_loss_after: float
    gradient_norm: float
    step_norm: float
    rate: float | None
    batch_size: int
    examples: int
    statistics: str
    seconds: float


def linear_approximation(
    model: nn.Module,
    batches: Iterable[Any],
    batch: Any,
    *,
    rate: float | None = None,
    direction: Displacement | None = None,
    optimizer: Optimizer | None = None,
    clip: float | None = None,
    loss: Loss = cross_entropy,
    statistics: Statistics = "running",
) -> LinearApproximation:
    """Error |L(w) - L̂(w)| of the loss's linear approximation after one step from w*, the weights that `model` has.

    w = w* - η·g_m(w*) and L̂(w) = L(w*) + ⟨g_m(w*), w - w*⟩ = L(w*) - η·‖g_m(w*)‖², with L the mean loss over `batches`
    and g_m the gradient of the mean loss over one mini-batch of m examples (Golmant et al., section 4.2). η is the
    rate of the step itself: under the linear scaling rule that is η₀·m/m₀.

    The slope of L is its own gradient and not g_m, so as the step shrinks the error falls in proportion to it. That of
    the same-batch variant, where L is the mini-batch's loss too, is a true remainder and falls with its square.

    Everything is computed in float32 or better, without autocast, dropout off, L and g_m with the same BatchNorm
    statistics. Errors far below 1e-6 of the loss need a model in float64. The model, the optimizer and the random
    state are afterwards as they were, also after an error.

    Example:
        >>> import torch
        >>> model = torch.nn.Linear(1, 1, bias=False).double()
        >>> _ = torch.nn.init.constant_(model.weight, 3.0)
        >>> data = torch.ones(4, 1).double(), torch.zeros(4, 1).double()  # L(w) = w², g = 2w
        >>> found = linear_approximation(model, [data], data, rate=0.25, loss=torch.nn.functional.mse_loss)
        >>> found.loss, found.loss_after, found.predicted, found.error  # a quadratic: (η·g)², here 1.5²
        (9.0, 2.25, 0.0, 2.25)

    Args:
        model: Any module; parameters with `requires_grad=False` stay, tied ones move together.
        batches: Pairs `(inputs, targets)`, examples along the first dimension: the whole training set, or a stated
            sample of it.
        batch: The mini-batch: one such pair, or a list of them that together are one mini-batch of all their examples,
            so that a large one need not go through the network at once.
        rate: η of the step; with `direction` it is only noted down.
        direction: The displacement w - w* in place of -η·g_m, for a step that is not along the gradient, such as
            -η·velocity of momentum SGD.
        optimizer: Take the step that this optimizer would take on g_m from its present state, momentum and all.
        clip: Largest norm of the gradient that the optimizer is given; None for no clipping.
        loss: Mean loss of a batch from `(outputs, targets)`.
        statistics: Source of the BatchNorm statistics, see `bsgap.measures.Statistics`. With `recomputed` they are
            averages over `batches` at w*, also after the step.

    Raises:
        UsageError: Rate, direction and optimizer leave the step open or contradict one another, the batches or the
            mini-batch are empty or no pairs, the model has no trainable parameter, or the loss is not deterministic.
        NotFinite: L(w*) is not finite. (L(w) may be: an infinite error is a result.)
    """
    started = time.perf_counter()
    _check_step(rate, direction, optimizer)
    with measuring(model, batches, statistics) as fixed:
        chunks = listed([batch]) if _is_pair(batch) else listed(batch)
        mean = MeanLoss(model, chunks, loss)
        mean.check_deterministic()
        start = evaluate_as_is(model, fixed, loss).loss
        batch_start = mean()
        for value, what in ((start, "loss"), (batch_start, "loss of the mini-batch")):
            if not math.isfinite(value):
                raise NotFinite(f"the {what} is {value} before the step: a linear approximation needs a finite one.")
        gradient = mean.gradient.clone() if optimizer is not None else mean.gradient
        if optimizer is not None:
            step, rate = own_step(mean, optimizer, clip), float(optimizer.param_groups[0]["lr"])
        elif direction is not None:
            step = _flat(direction, model, mean.flat)
        else:
            assert rate is not None
            step = -rate * gradient
        slope = torch.dot(gradient.double(), step.double()).item()
        mean.flat.vector.add_(step)
        after, batch_after = evaluate_as_is(model, fixed, loss).loss, evaluate_as_is(model, chunks, loss).loss
        return LinearApproximation(
            error=_gap(after, start + slope),
            same_batch_error=_gap(batch_after, batch_start + slope),
            loss=start,
            loss_after=after,
            predicted=start + slope,
            batch_loss=batch_start,
            batch_loss_after=batch_after,
            gradient_norm=torch.linalg.vector_norm(gradient, dtype=torch.float64).item(),
            step_norm=torch.linalg.vector_norm(step, dtype=torch.float64).item(),
            rate=rate,
            batch_size=mean.examples,
            examples=examples_in(fixed),
            statistics=statistics,
            seconds=time.perf_counter() - started,
        )


def mini_batch(batches: Batches, size: int, seed: int = 0, draw: int = 0) -> Batches:
    """A mini-batch of `size` examples of `batches`, drawn without replacement, in chunks no larger than theirs.

    Args:
        batches: Pairs `(inputs, targets)` of tensors.
        size: m, its examples.
        seed: Decides the draw, together with `draw`.
        draw: Which of the draws of this seed.

    Returns:
        Chunks of nearly equal size; examples of different shapes are in different ones.

    Raises:
        UsageError: There are fewer than `size` examples, or the inputs of a batch are not one tensor.
    """
    total = examples_in(batches)
    if not 1 <= size <= total:
        raise UsageError(f"the mini-batch must have between 1 and the {total} examples of the data, got {size}.")
    order = torch.randperm(total, generator=generator(seed, "mini-batch", draw))[:size].sort().values
    chosen: dict[Any, list[tuple[Tensor, Tensor]]] = {}
    position = 0
    for inputs, targets in batches:
        if not isinstance(inputs, Tensor):
            raise UsageError(f"a mini-batch is drawn from inputs that are one tensor, got {type(inputs).__name__}.")
        rows = order[(order >= position) & (order < position + len(targets))].to(targets.device) - position
        position += len(targets)
        if len(rows):
            shapes = inputs.shape[1:], targets.shape[1:]
            chosen.setdefault(shapes, []).append((inputs[rows.to(inputs.device)], targets[rows]))
    largest = max(len(targets) for _, targets in batches)
    chunks: list[tuple[Tensor, Tensor]] = []
    for pieces in chosen.values():
        inputs, targets = (torch.cat(parts) for parts in zip(*pieces, strict=True))
        count = math.ceil(len(targets) / largest)
        chunks += zip(inputs.tensor_split(count), targets.tensor_split(count), strict=True)
    return chunks


def _check_step(rate: float | None, direction: Displacement | None, optimizer: Optimizer | None) -> None:
    if rate is None and direction is None and optimizer is None:
        raise UsageError("the step is open: give its rate, or a direction, or an optimizer.")
    if optimizer is not None and (rate is not None or direction is not None):
        raise UsageError("an optimizer decides the step by itself: give no rate and no direction beside it.")
    if rate is not None and not (rate > 0 and math.isfinite(rate)):
        raise UsageError(f"rate must be positive and finite, got {rate}.")


def _is_pair(batch: Any) -> bool:
    return isinstance(batch, list | tuple) and len(batch) == 2 and isinstance(batch[1], Tensor)


def _flat(direction: Displacement, model: nn.Module, flat: FlatParameters) -> Tensor:
    """`direction` as a vector `[n]` like the parameters'."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if isinstance(direction, Mapping):
        missing = [name for name, _ in named if name not in direction]
        if missing:
            raise UsageError(f"direction lacks the parameter {missing[0]!r}: give w - w* for every trainable one.")
        pieces = [direction[name] for name, _ in named]
    else:
        pieces = list(direction)
        if len(pieces) != len(named):
            raise UsageError(f"direction must have {len(named)} tensors, one a trainable parameter, got {len(pieces)}.")
    for piece, (name, parameter) in zip(pieces, named, strict=True):
        if piece.shape != parameter.shape:
            shapes = f"{tuple(parameter.shape)} for {name!r}, got {tuple(piece.shape)}"
            raise UsageError(f"direction must have the shapes of the parameters: expected {shapes}.")
    return torch.cat([piece.detach().reshape(-1).to(flat.vector) for piece in pieces])


def _gap(value: float, predicted: float) -> float:
    gap = abs(value - predicted)
    return gap if math.isfinite(gap) else math.inf
