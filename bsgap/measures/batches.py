"""The data of a measurement: a fixed list of batches, so that every pass sees the same examples."""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from bsgap.errors import UsageError

Batches = Sequence[tuple[Any, Tensor]]
"""Batches `(inputs, targets)`, examples along the first dimension, of a fixed order and composition."""

Loss = Callable[[Tensor, Tensor], Tensor]
"""`loss(outputs, targets)`: the *mean* over the examples of a batch, a scalar."""

DRAWS_NOTHING = (
    "Let nothing in the model or the loss draw random numbers: use nn.Dropout or dropout(x, training=self.training),"
    " which a measure switches off, and augment the data, not in forward."
)
"""What to do about a loss that differs from one pass to the next."""


def listed(batches: Iterable[Any]) -> Batches:
    """`batches` as a checked list of pairs; anything but a list or tuple (a DataLoader, say) is read once.

    Raises:
        UsageError: `batches` is no iterable of batches, there is none, one is no pair `(inputs, targets)` or is empty.
    """
    if not isinstance(batches, Iterable) or isinstance(batches, Tensor | str | Mapping):
        raise UsageError(
            f"batches must be a list of pairs (inputs, targets) or a DataLoader, got {type(batches).__name__}."
        )
    fixed = batches if isinstance(batches, list | tuple) else read(batches)
    if not fixed:
        raise UsageError("batches is empty: a measurement needs at least one batch (inputs, targets).")
    for position, batch in enumerate(fixed):
        if not (isinstance(batch, list | tuple) and len(batch) == 2 and isinstance(batch[1], Tensor)):
            raise UsageError(
                f"batch {position} must be a pair (inputs, targets) with a tensor of targets, got"
                f" {type(batch).__name__}. Give a list of such pairs."
            )
        if batch[1].ndim == 0 or len(batch[1]) == 0:
            raise UsageError(f"batch {position} has no examples: its targets have the shape {tuple(batch[1].shape)}.")
    return fixed


def read(loader: Iterable[Any], examples: int | None = None, most: int | None = None) -> list[Any]:
    """The batches of one pass over `loader`, whose generators and position are afterwards as they were.

    Args:
        loader: A DataLoader, or any other iterable.
        examples: Stop after this many, cutting the last batch; None for all.
        most: Stop after this many batches; None for all.
    """
    owners = (
        loader,
        getattr(loader, "sampler", None),
        getattr(getattr(loader, "batch_sampler", None), "sampler", None),
    )
    drawn = [g for g in (getattr(owner, "generator", None) for owner in owners) if isinstance(g, torch.Generator)]
    states = [generator.get_state() for generator in drawn]
    stateful = hasattr(loader, "state_dict") and hasattr(loader, "load_state_dict")
    position = loader.state_dict() if stateful else None  # type: ignore[attr-defined]
    if getattr(loader, "persistent_workers", False):  # its one iterator may be in use
        loader = copy.copy(loader)
        loader._iterator = None  # type: ignore[attr-defined]
    try:
        some = islice(loader, most)
        return list(some) if examples is None else _first(some, examples)
    finally:
        for generator, state in zip(drawn, states, strict=True):
            generator.set_state(state)
        if stateful:
            loader.load_state_dict(position)  # type: ignore[attr-defined]


def _first(loader: Iterable[Any], examples: int) -> list[Any]:
    batches: list[Any] = []
    for batch in loader:
        ((inputs, targets),) = listed([batch])
        if len(targets) > examples:
            inputs, targets = _cut(inputs, len(targets), examples), targets[:examples]
        batches.append((inputs, targets))
        examples -= len(targets)
        if examples <= 0:
            break
    return batches


def _cut(value: Any, rows: int, wanted: int) -> Any:
    """The first `wanted` rows of all tensors of `rows` rows; nested tuples, lists and dicts are walked."""
    if isinstance(value, Tensor):
        return value[:wanted] if value.ndim and len(value) == rows else value
    return _walked(value, lambda item: _cut(item, rows, wanted))


def _walked(value: Any, change: Callable[[Any], Any]) -> Any:
    """`change` of what a tuple, list or dict holds, in one of its kind; anything else as it is."""
    if isinstance(value, dict):
        return {key: change(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [change(item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def examples_in(batches: Batches) -> int:
    """Number of examples over all batches."""
    return sum(len(targets) for _, targets in batches)


def sample(batches: Batches, examples: int) -> tuple[Tensor, Tensor] | None:
    """About `examples` examples, evenly spaced over the data, as one batch.

    None where the inputs are not one tensor a batch, with the examples first and otherwise of one shape.
    """
    if not all(isinstance(inputs, Tensor) and len(inputs) == len(targets) for inputs, targets in batches):
        return None
    if len({(inputs.shape[1:], targets.shape[1:]) for inputs, targets in batches}) > 1:
        return None
    stride = max(1, examples_in(batches) // examples)
    chosen, offset = [], 0
    for inputs, targets in batches:
        chosen.append((inputs[offset::stride], targets[offset::stride]))
        offset = (offset - len(targets)) % stride
    return torch.cat([inputs for inputs, _ in chosen]), torch.cat([targets for _, targets in chosen])


def placed(batch: tuple[Any, Tensor], device: torch.device) -> tuple[Any, Tensor]:
    """The batch on `device`, half precision cast up to float32. Nested tuples, lists and dicts are walked."""
    inputs, targets = batch
    return _placed(inputs, device), _placed(targets, device)


def lifted(tensor: Tensor, device: torch.device | None) -> Tensor:
    """`tensor` on `device` (None: where it is), in float32 where it has less; itself where nothing changes."""
    half = tensor.is_floating_point() and tensor.element_size() < 4
    return tensor.to(device=device, dtype=torch.float32 if half else None)


def _placed(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        if value.is_inference():  # such a tensor cannot be saved for a backward pass
            value = value.clone()
        return lifted(value, device)
    return _walked(value, lambda item: _placed(item, device))
