"""Loss and accuracy of a model over fixed batches, weighted by example."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bsgap.measures.batches import Loss, checked, placed
from bsgap.measures.modes import Statistics, device_of, evaluation_mode, full_precision, untouched


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found.

    Attributes:
        loss: mean loss over all examples (nats for cross-entropy).
        accuracy: share of the targets that are the arg max of the outputs, in [0, 1]; None where the targets are no
            class indices.
        examples: number of examples.
    """

    loss: float
    accuracy: float | None
    examples: int


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
        model: any module that maps the inputs of a batch to outputs.
        batches: pairs `(inputs, targets)`, examples along the first dimension.
        loss: mean loss of a batch from `(outputs, targets)`.
        statistics: source of the BatchNorm statistics, see `bsgap.measures.Statistics`.
        device: where to compute; by default where the model is.

    Raises:
        UsageError: `batches` is empty or a batch is no such pair, or `statistics` is unknown.
    """
    with untouched(model):
        listed = checked(batches)
        with full_precision(model, device), evaluation_mode(model, statistics, listed), torch.no_grad():
            place = device_of(model)
            total = torch.zeros((), dtype=torch.float64, device=place)  # on the device: no wait at every batch
            right = torch.zeros((), dtype=torch.int64, device=place)
            examples = labels = 0
            for batch in listed:
                inputs, targets = placed(batch, place)
                outputs = model(inputs)
                total += loss(outputs, targets).double() * len(targets)
                examples += len(targets)
                if _are_classes(outputs, targets):
                    right += (outputs.argmax(1) == targets).sum()
                    labels += targets.numel()
            accuracy = right.item() / labels if labels else None
            return Evaluation(loss=total.item() / examples, accuracy=accuracy, examples=examples)


def _are_classes(outputs: Any, targets: Tensor) -> bool:
    """Whether `targets` `[m, ...]` index the second dimension of `outputs` `[m, K, ...]`."""
    return (
        isinstance(outputs, Tensor)
        and not (targets.is_floating_point() or targets.is_complex())
        and outputs.ndim == targets.ndim + 1
        and outputs.shape[:1] + outputs.shape[2:] == targets.shape
    )
