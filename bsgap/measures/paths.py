"""Loss and accuracy along a path between two solutions: the parametric plots of Keskar et al., Figures 3 and 7."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bsgap.errors import UsageError
from bsgap.measures.batches import Loss, listed
from bsgap.measures.evaluation import evaluate_as_is
from bsgap.measures.modes import Statistics, evaluation_mode, measuring

Kind = Literal["linear", "curvilinear"]


@dataclass(frozen=True)
class Path:
    """What `state_path` found.

    Attributes:
        alphas: Points along the path: 0 is the start, 1 the end.
        losses: Split name -> mean loss at each of `alphas`.
        accuracies: Split name -> accuracy in [0, 1] at each of `alphas`; None where the targets are no classes.
        kind: `linear` or `curvilinear`.
        statistics: Source of the BatchNorm statistics.
    """

    alphas: tuple[float, ...]
    losses: dict[str, list[float]]
    accuracies: dict[str, list[float | None]]
    kind: str
    statistics: str


def state_path(
    model: nn.Module,
    start: Mapping[str, Tensor],
    end: Mapping[str, Tensor],
    alphas: Sequence[float],
    splits: Mapping[str, Iterable[Any]],
    *,
    kind: Kind = "linear",
    loss: Loss = cross_entropy,
    statistics: Statistics = "batch",
) -> Path:
    """Loss and accuracy at α·end + (1 - α)·start, or on the curve sin(απ/2)·end + cos(απ/2)·start.

    With the statistics `batch` and `recomputed` the parameters are mixed, and nothing else matters. With `running` the
    running averages are mixed like parameters; where that makes a variance negative, it is 0. Integer buffers are
    those of `start`. The model is afterwards as it was.

    Args:
        model: The network of both states.
        start: State dict at α = 0.
        end: State dict at α = 1.
        alphas: Points along the path.
        splits: Name -> pairs `(inputs, targets)`.
        kind: `linear` or `curvilinear`.
        loss: Mean loss of a batch from `(outputs, targets)`.
        statistics: Source of the BatchNorm statistics; `recomputed` averages over the first of `splits`, at each α.

    Raises:
        UsageError: The states do not fit the model, there is no split, or an option is unknown.
    """
    if kind not in get_args(Kind):
        raise UsageError(f"kind must be one of {', '.join(get_args(Kind))}, got {kind!r}.")
    if not splits:
        raise UsageError("splits is empty: a path needs at least one, such as {'train': batches}.")
    losses: dict[str, list[float]] = {name: [] for name in splits}
    accuracies: dict[str, list[float | None]] = {name: [] for name in splits}
    first, *others = splits
    # The mode itself is entered at each α; this one takes care of precision and of the model.
    with measuring(model, splits[first], "running") as batches:
        fixed = {first: batches, **{name: listed(splits[name]) for name in others}}
        for alpha in alphas:
            _move(model, start, end, _weights(kind, alpha))
            with evaluation_mode(model, statistics, batches):
                for name, split in fixed.items():
                    found = evaluate_as_is(model, split, loss)
                    losses[name].append(found.loss)
                    accuracies[name].append(found.accuracy)
    return Path(tuple(alphas), losses, accuracies, kind, statistics)


def _weights(kind: str, alpha: float) -> tuple[float, float]:
    """Weights of start and end. Those of the curve are exact at its ends, where cos(π/2) is not 0 in floating point."""
    if kind == "linear" or alpha in (0, 1):
        return 1 - alpha, alpha
    return math.cos(alpha * math.pi / 2), math.sin(alpha * math.pi / 2)


@torch.no_grad()
def _move(
    model: nn.Module, start: Mapping[str, Tensor], end: Mapping[str, Tensor], weights: tuple[float, float]
) -> None:
    """Give parameters and floating-point buffers of `model` the mixture; integer buffers come from `start`."""
    for name, parameter in model.named_parameters():
        parameter.data = _mixed(name, parameter.data, start, end, weights)
    for prefix, module in model.named_modules():
        for key, buffer in module._buffers.items():
            name = f"{prefix}.{key}" if prefix else key
            if buffer is None or key in module._non_persistent_buffers_set:
                continue
            mixed = _mixed(name, buffer, start, end, weights)
            module._buffers[key] = mixed.clamp_(min=0) if key == "running_var" else mixed


def _mixed(
    name: str, like: Tensor, start: Mapping[str, Tensor], end: Mapping[str, Tensor], weights: tuple[float, float]
) -> Tensor:
    for state in (start, end):
        if name not in state or state[name].shape != like.shape:
            found = tuple(state[name].shape) if name in state else "nothing"
            raise UsageError(f"{name!r} must be {tuple(like.shape)} in both states, got {found}: give this network's.")
    one, other = start[name].to(like), end[name].to(like)
    if not like.is_floating_point():
        return one.clone()
    return weights[0] * one + weights[1] * other
