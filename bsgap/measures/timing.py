"""How long the forward and the backward pass of a training step take, at several batch sizes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bsgap.errors import UsageError
from bsgap.measures.batches import Batches, Loss, listed
from bsgap.measures.modes import device_of, untouched

SHORTEST = 0.05  # seconds that a batch size gets in a round at least: shorter ones are repeated


@dataclass(frozen=True)
class PassTimes:
    """Seconds of one forward and one backward pass over each batch, the median of several rounds.

    Attributes:
        batches: Examples in each batch.
        forward_seconds: Inputs to loss, for each batch.
        backward_seconds: Loss to gradients, for each batch.
        rounds: Rounds that the medians are taken over.
    """

    batches: tuple[int, ...]
    forward_seconds: tuple[float, ...]
    backward_seconds: tuple[float, ...]
    rounds: int


def time_passes(
    model: nn.Module,
    batches: Sequence[Any],
    loss: Loss = cross_entropy,
    *,
    rounds: int = 5,
    autocast: torch.dtype | None = None,
    micro_batch: int | None = None,
    forward: Callable[[Any], Any] | None = None,
) -> PassTimes:
    """Time forward and backward passes of `model` in training mode, a pair for each of `batches`.

    The batches take turns within a round, in the opposite direction in every other one, so that a machine that grows
    slower in between slows all of them. Short passes are repeated within a round. On a GPU the times are those between
    events in its queue, without waits between the passes. Two passes over each batch are made before anything is
    timed. The model is afterwards as it was: BatchNorm's averages, gradients, modes, and the random state.

    Args:
        model: Any module; it is timed on the device on which it is.
        batches: Pairs `(inputs, targets)`, one for each batch size; they are put on the device before.
        loss: Mean loss of a batch from outputs and targets.
        rounds: Rounds to take the median over.
        autocast: Type of mixed precision, such as `torch.bfloat16`; None for the weights' own.
        micro_batch: Examples that go through the model at once; None for the whole batch.
        forward: What to call on the inputs instead of the model, such as a compiled version of it.

    Raises:
        UsageError: `rounds` or `micro_batch` is below 1, or there is no batch.
    """
    if rounds < 1 or (micro_batch is not None and micro_batch < 1):
        raise UsageError(f"timing: expected rounds >= 1 and micro_batch >= 1 or none, got {rounds} and {micro_batch}.")
    device = device_of(model)
    parts = [_parts(inputs, targets, micro_batch, device) for inputs, targets in listed(list(batches))]
    call = forward or model
    parameters = list(model.parameters())
    taken: list[tuple[list[float], list[float]]] = [([], []) for _ in parts]
    with untouched(model), torch.enable_grad():
        model.train()

        def passes(of: Batches, times: int) -> tuple[float, float]:
            marks = []
            for _ in range(times):
                for parameter in parameters:
                    parameter.grad = None
                for inputs, targets in of:
                    begin = _mark(device)
                    with torch.autocast(device.type, dtype=autocast, enabled=autocast is not None):
                        value = loss(call(inputs), targets)
                    middle = _mark(device)
                    value.backward()
                    marks.append((begin, middle, _mark(device)))
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            ahead = sum(_between(begin, middle) for begin, middle, _ in marks)
            back = sum(_between(middle, end) for _, middle, end in marks)
            return ahead / times, back / times

        repeats = []
        for of in parts:
            passes(of, 1)
            repeats.append(max(1, round(SHORTEST / max(sum(passes(of, 1)), 1e-9))))
        for number in range(rounds):
            order = range(len(parts)) if number % 2 == 0 else reversed(range(len(parts)))
            for index in order:
                ahead, back = passes(parts[index], repeats[index])
                taken[index][0].append(ahead)
                taken[index][1].append(back)
    return PassTimes(
        batches=tuple(sum(len(targets) for _, targets in of) for of in parts),
        forward_seconds=tuple(median(ahead) for ahead, _ in taken),
        backward_seconds=tuple(median(back) for _, back in taken),
        rounds=rounds,
    )


def of_sizes(batches: Batches, sizes: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
    """One batch of each size from the examples in `batches`, which are repeated where there are too few.

    Raises:
        UsageError: A size is below 1, or the inputs are not one tensor a batch.
    """
    if not sizes or min(sizes) < 1:
        raise UsageError(f"timing: expected batch sizes of at least 1, got {list(sizes)}.")
    pairs = listed(batches)
    if not all(isinstance(inputs, Tensor) for inputs, _ in pairs):
        raise UsageError("timing: inputs must be one tensor a batch to be cut to several batch sizes.")
    inputs, targets = (torch.cat([pair[side] for pair in pairs]) for side in (0, 1))
    return [(inputs[(at := torch.arange(size) % len(targets))], targets[at]) for size in sizes]


def _parts(inputs: Any, targets: Tensor, micro_batch: int | None, device: torch.device) -> Batches:
    """A batch on the device, cut into micro-batches."""
    size = micro_batch or len(targets)
    pieces = [(inputs, targets)] if size >= len(targets) else zip(inputs.split(size), targets.split(size), strict=True)
    return [(_placed(inputs, device), targets.to(device)) for inputs, targets in pieces]


def _placed(value: Any, device: torch.device) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_placed(item, device) for item in value)
    return value.to(device) if isinstance(value, Tensor) else value


def _mark(device: torch.device) -> Any:
    """A moment: an event in the GPU's queue, or the clock."""
    if device.type == "cuda":
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(device))
        return event
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
    return time.perf_counter()


def _between(begin: Any, end: Any) -> float:
    return end - begin if isinstance(begin, float) else begin.elapsed_time(end) / 1e3
