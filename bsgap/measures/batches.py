"""The data a measurement runs over: a fixed list of batches, so that every pass sees the same examples."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from bsgap.errors import UsageError

Batches = Sequence[tuple[Any, Tensor]]
"""Batches `(inputs, targets)`, first dimension the examples, of a fixed order and composition."""

Loss = Callable[[Tensor, Tensor], Tensor]
"""`loss(outputs, targets)`: the *mean* over the examples of a batch, a scalar."""


def checked(batches: Iterable[Any]) -> Batches:
    """`batches` as a list of pairs; anything but a list or tuple (a DataLoader, say) is read once and kept.

    Raises:
        UsageError: there is no batch, a batch is no pair `(inputs, targets)`, or one has no example.
    """
    listed = batches if isinstance(batches, list | tuple) else list(batches)
    if not listed:
        raise UsageError("batches is empty: a measurement needs at least one batch (inputs, targets).")
    for position, batch in enumerate(listed):
        if not (isinstance(batch, list | tuple) and len(batch) == 2 and isinstance(batch[1], Tensor)):
            raise UsageError(
                f"batch {position} must be a pair (inputs, targets) with a tensor of targets, got"
                f" {type(batch).__name__}. Give a list of such pairs."
            )
        if batch[1].ndim == 0 or len(batch[1]) == 0:
            raise UsageError(f"batch {position} has no examples: its targets have the shape {tuple(batch[1].shape)}.")
    return listed


def examples_in(batches: Batches) -> int:
    """Number of examples over all batches."""
    return sum(len(targets) for _, targets in batches)


def placed(batch: tuple[Any, Tensor], device: torch.device) -> tuple[Any, Tensor]:
    """The batch on `device`, half-precision inputs cast up to float32. Nested tuples, lists and dicts are walked."""
    inputs, targets = batch
    return _placed(inputs, device), _placed(targets, device)


def _placed(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        if value.is_inference():  # such a tensor cannot be saved for a backward pass
            value = value.clone()
        half = value.is_floating_point() and value.element_size() < 4
        return value.to(device=device, dtype=torch.float32 if half else None, non_blocking=True)
    if isinstance(value, dict):
        return {key: _placed(item, device) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_placed(item, device) for item in value)
    return value
