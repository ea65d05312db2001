"""Loss and accuracy of a model over fixed batches, weighted by example."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bsgap.errors import UsageError
from bsgap.measures.batches import Batches, Loss, placed
from bsgap.measures.modes import Statistics, device_of, measuring


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found.

    Attributes:
        loss: Mean loss over all examples (nats for cross-entropy).
        accuracy: Share of the targets that are the arg max of the outputs, in [0, 1]; None where the targets are no
            class indices.
        examples: Number of examples.
    """

    loss: float
    accuracy: float | None
    examples: int

    def values(self) -> dict[str, float]:
        """What a curve shows of it: `loss`, and `accuracy` where there is one."""
        return {"loss": self.loss} | ({} if self.accuracy is None else {"accuracy": self.accuracy})


def evaluate(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    loss: Loss = cross_entropy,
    statistics: Statistics = "running",
    device: torch.device | str | None = None,
) -> Evaluation:
    """Mean loss and accuracy of `model` over `batches`: Σ_b k_b·loss_b / Σ_b k_b, with k_b the examples of a batch.

    In float32 or better, without autocast, dropout off. The model is afterwards as it was.

    Args:
        model: Any module that maps the inputs of a batch to outputs.
        batches: Pairs `(inputs, targets)`, examples along the first dimension.
        loss: Mean loss of a batch from `(outputs, targets)`.
        statistics: Source of the BatchNorm statistics, see `bsgap.measures.Statistics`.
        device: Where to compute; by default where the model is.

    Raises:
        UsageError: `batches` is empty or a batch is no such pair, or `statistics` is unknown.
    """
    with measuring(model, batches, statistics, device) as fixed:
        return evaluate_as_is(model, fixed, loss)


@torch.no_grad()  # not inference mode: what a module caches in there could not be used in training
def evaluate_as_is(model: nn.Module, batches: Batches, loss: Loss) -> Evaluation:
    """What `evaluate` finds, of a model that is in the mode of the measurement already."""
    device = device_of(model)
    total = torch.zeros((), dtype=torch.float64, device=device)  # on the device: no wait at every batch
    right = torch.zeros((), dtype=torch.int64, device=device)
    examples = labels = 0
    for batch in batches:
        inputs, targets = placed(batch, device)
        outputs = model(inputs)
        total += mean_loss(loss, outputs, targets).double() * len(targets)
        examples += len(targets)
        if are_classes(outputs, targets):
            right += (outputs.argmax(1) == targets).sum()
            labels += targets.numel()
    accuracy = right.item() / labels if labels else None
    return Evaluation(loss=total.item() / examples, accuracy=accuracy, examples=examples)


def mean_loss(loss: Loss, outputs: Any, targets: Tensor) -> Tensor:
    """`loss(outputs, targets)`; plain cross-entropy from float64 outputs.

    At a training loss of 1e-6 most examples have a loss below the rounding of log(1 + e^-z) in float32, and then the
    mean would come from the few others. Other losses may hold float32 weights of their own and see plain outputs.

    Raises:
        UsageError: A target is no class of the outputs.
    """
    try:
        return loss(outputs.double() if loss is cross_entropy else outputs, targets)
    except IndexError as error:
        raise UsageError(
            f"a target is outside the classes that the network gives ({error}) Set the network's classes to the data's."
        ) from None


def check_loss(loss: Loss, outputs: Any, targets: Tensor) -> None:
    """Refuse a loss that is no mean over examples, and cross-entropy where it says nothing.

    Raises:
        UsageError: `loss` doubles where every example is there twice, as a sum does; or it is cross-entropy, and there
            is one output, or targets that are neither classes nor probabilities.
    """
    if not isinstance(outputs, Tensor) or outputs.ndim == 0 or len(outputs) != len(targets):
        return
    if loss is not cross_entropy:
        _check_mean(loss, outputs.detach(), targets)
        return
    shapes = f"outputs {list(outputs.shape)}, targets {list(targets.shape)} of {targets.dtype}"
    if outputs.ndim > 1 and outputs.shape[1] == 1:
        raise UsageError(f"the cross-entropy of one output is always 0 ({shapes}): give the loss that is meant.")
    if targets.is_floating_point() and targets.shape != outputs.shape:
        raise UsageError(f"cross-entropy takes classes or probabilities ({shapes}): give the loss that is meant.")


@torch.no_grad()
def _check_mean(loss: Loss, outputs: Tensor, targets: Tensor) -> None:
    once = loss(outputs, targets)
    try:
        twice = loss(torch.cat([outputs, outputs]), torch.cat([targets, targets]))
    except (RuntimeError, ValueError):  # it has a size of its own
        return
    if once.ndim == 0 and once.isfinite() and once != 0 and torch.isclose(twice, 2 * once, rtol=1e-4, atol=0):
        raise UsageError(
            f"the loss is a sum over examples ({once.item():.6g}; {twice.item():.6g} with every example twice): give"
            " their mean, such as reduction='mean'."
        )


def are_classes(outputs: Any, targets: Tensor) -> bool:
    """Whether `targets` `[m, ...]` are indices into the second dimension of `outputs` `[m, K, ...]`."""
    return (
        isinstance(outputs, Tensor)
        and not (targets.is_floating_point() or targets.is_complex())
        and outputs.ndim == targets.ndim + 1
        and outputs.shape[:1] + outputs.shape[2:] == targets.shape
    )
