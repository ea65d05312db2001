"""Accuracy under the fast gradient sign method: how little each input must change until the answers are wrong."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bsgap.errors import UsageError
from bsgap.measures.batches import DRAWS_NOTHING, Loss, placed
from bsgap.measures.evaluation import are_classes, mean_loss
from bsgap.measures.modes import Statistics, device_of, measuring


@dataclass(frozen=True)
class Attack:
    """What `fgsm` found.

    Attributes:
        epsilons: Sizes of the attack, as given.
        losses: Mean loss under each.
        accuracies: Accuracy in [0, 1] under each.
        loss: Mean loss of the inputs as they are.
        accuracy: Their accuracy.
        still: Share of the examples whose gradient is exactly 0 in every component: the attack does not move them, so
            a network that is sure to the last bit looks robust without being so.
        examples: Number of examples.
        statistics: Source of the BatchNorm statistics.
    """

    epsilons: tuple[float, ...]
    losses: tuple[float, ...]
    accuracies: tuple[float, ...]
    loss: float
    accuracy: float
    still: float
    examples: int
    statistics: str


def fgsm(
    model: nn.Module,
    batches: Iterable[Any],
    epsilons: float | Sequence[float],
    *,
    unit: float | Tensor = 1.0,
    low: float | Tensor | None = None,
    high: float | Tensor | None = None,
    loss: Loss = cross_entropy,
    statistics: Statistics = "running",
    device: torch.device | str | None = None,
) -> Attack:
    """Loss and accuracy under the attack x' = x + ε·sign(∇_x L(x, y)) of Goodfellow et al. 2015 (section 4).

    The gradient is taken once, at the inputs as they are, in the mode of the measurement; every ε then takes one pass
    without gradient. ε is in units of the inputs as the network sees them, unless `unit` says how large one unit of ε
    is there: with inputs normalised to (p - mean)/std, and ε wanted in units of the pixels p in [0, 1], give
    `unit=1/std`, `low=(0 - mean)/std` and `high=(1 - mean)/std`, each of the shape of a channel, `[c, 1, 1]`. The model
    is afterwards as it was.

    Args:
        model: Any classifier of floating-point inputs, logits `[m, classes]`.
        batches: Pairs `(inputs, targets)`: inputs one tensor `[m, ...]`, targets class indices.
        epsilons: Largest change of a component, one or several, in units of `unit`; 0 changes nothing.
        unit: One unit of ε in the network's inputs; broadcast against one example.
        low: Smallest value that an input can have, to which the attacked input is clipped; None for no bound.
        high: Largest value.
        loss: Mean loss of a batch from `(outputs, targets)`.
        statistics: Source of the BatchNorm statistics. With `batch` an example's gradient passes through the
            statistics of its batch, and the attack is on all of them at once.
        device: Where to compute; by default where the model is.

    Raises:
        UsageError: No epsilon, or one that is negative or not finite; `low` above `high`; batches that are empty, have
            inputs that are not floating point, or targets that are no classes; a loss that is not finite or not
            deterministic.

    >>> _ = torch.manual_seed(0)
    >>> line = nn.Linear(1, 2, bias=False)
    >>> line.weight.data = torch.tensor([[1.0], [-1.0]])  # right where the input is positive and the class is 0
    >>> fgsm(line, [(torch.tensor([[0.1], [0.3]]), torch.tensor([0, 0]))], [0.2, 0.4]).accuracies
    (0.5, 0.0)
    """
    sizes = _sizes(epsilons)
    if low is not None and high is not None and bool((torch.as_tensor(low) > torch.as_tensor(high)).any()):
        raise UsageError(f"low must not be above high, got {low} and {high}.")
    with measuring(model, batches, statistics, device) as fixed:
        where = device_of(model)
        for parameter in model.parameters():  # `measuring` gives it back; the gradient is that of the inputs alone
            parameter.requires_grad_(False)
        sums = torch.zeros(len(sizes) + 1, dtype=torch.float64, device=where)
        right = torch.zeros(len(sizes) + 1, dtype=torch.int64, device=where)
        still = torch.zeros((), dtype=torch.int64, device=where)
        examples = 0
        for batch in fixed:
            inputs, targets = placed(batch, where)
            signs, value, outputs = _signs(model, inputs, targets, loss)
            if not examples:
                _check_deterministic(model, inputs, targets, loss, outputs, value.item())
            sums[0] += value * len(targets)
            right[0] += (outputs.argmax(1) == targets).sum()
            still += (signs.flatten(1) == 0).all(1).sum()
            examples += len(targets)
            for place, epsilon in enumerate(sizes, start=1):
                with torch.no_grad():
                    outputs = model(_moved(inputs, epsilon, signs, unit, low, high) if epsilon else inputs)
                    sums[place] += mean_loss(loss, outputs, targets).double() * len(targets)
                    right[place] += (outputs.argmax(1) == targets).sum()
    losses, accuracies = (sums / examples).tolist(), (right.double() / examples).tolist()
    if not math.isfinite(losses[0]):
        raise UsageError(f"the loss is {losses[0]} without any attack: it needs a model with a finite loss.")
    return Attack(
        sizes, tuple(losses[1:]), tuple(accuracies[1:]), losses[0], accuracies[0], still.item() / examples, examples,
        statistics,
    )  # fmt: skip


def _sizes(epsilons: float | Sequence[float]) -> tuple[float, ...]:
    sizes = (float(epsilons),) if isinstance(epsilons, int | float) else tuple(float(size) for size in epsilons)
    if not sizes or not all(math.isfinite(size) and size >= 0 for size in sizes):
        raise UsageError(f"epsilons must be one or more finite numbers, none below 0, got {epsilons}.")
    return sizes


def _moved(
    inputs: Tensor, epsilon: float, signs: Tensor, unit: float | Tensor, low: float | Tensor | None,
    high: float | Tensor | None,
) -> Tensor:  # fmt: skip
    """`inputs` `[m, ...]` after the step, inside the bounds."""
    moved = inputs + epsilon * torch.as_tensor(unit).to(inputs) * signs
    bounds = [None if bound is None else torch.as_tensor(bound).to(inputs) for bound in (low, high)]
    return moved if bounds == [None, None] else moved.clamp(*bounds)


def _signs(model: nn.Module, inputs: Any, targets: Tensor, loss: Loss) -> tuple[Tensor, Tensor, Tensor]:
    """sign(∇_x L) `[m, ...]` of a batch, and its mean loss and outputs `[m, classes]` without an attack."""
    if not (isinstance(inputs, Tensor) and inputs.is_floating_point()):
        kind = str(inputs.dtype) if isinstance(inputs, Tensor) else type(inputs).__name__
        raise UsageError(f"the attack changes inputs along a gradient: they must be floating point, got {kind}.")
    leaf = inputs.detach().requires_grad_()
    with torch.enable_grad():
        outputs = model(leaf)
        if not are_classes(outputs, targets) or outputs.ndim != 2:
            raise UsageError(
                f"the attack needs logits [m, classes] and class indices [m], got outputs {tuple(outputs.shape)} and"
                f" targets {tuple(targets.shape)} of {targets.dtype}."
            )
        value = mean_loss(loss, outputs, targets)
        if not value.requires_grad:
            raise UsageError("the loss does not depend on the inputs: check that the model uses them.")
        # The sum, not the mean: a factor 1/m more could take the smallest gradients below what float32 holds.
        (gradient,) = torch.autograd.grad(value * len(targets), leaf)
    return gradient.sign(), value.detach().double(), outputs.detach()


@torch.no_grad()
def _check_deterministic(
    model: nn.Module, inputs: Tensor, targets: Tensor, loss: Loss, outputs: Tensor, value: float
) -> None:
    """Pass a batch, which gave `outputs` and the loss `value`, once more and compare.

    Raises:
        UsageError: Outputs or loss of the two differ.
    """
    again = model(inputs)
    second = mean_loss(loss, again, targets).item()
    size, gap = torch.linalg.vector_norm(outputs).item(), torch.linalg.vector_norm(outputs - again).item()
    # The loss of a very sure network is tiny, and its relative rounding large.
    if math.isfinite(value) and (gap > 1e-4 * size or abs(value - second) > 1e-4 * max(abs(value), 1e-2)):
        raise UsageError(
            f"the loss is not deterministic: twice the same examples gave {value:.9g} and {second:.9g}, outputs"
            f" {gap:.3g} apart (norm {size:.3g}). {DRAWS_NOTHING}"
        )
