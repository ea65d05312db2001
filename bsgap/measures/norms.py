"""Norms of weights and of their gradients, layer by layer: what LARS makes its rates of."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from bsgap.errors import UsageError
from bsgap.measures.batches import Loss
from bsgap.measures.modes import Statistics, measuring
from bsgap.measures.vectors import MeanLoss


@dataclass(frozen=True)
class LayerNorm:
    """The norms of one weight.

    Attributes:
        name: The parameter, as in the state dict.
        shape: Its shape.
        weight: ‖w‖₂ of the whole tensor.
        gradient: ‖∇L(w)‖₂.
        ratio: ‖w‖/‖∇L(w)‖, infinite where the gradient is 0, and NaN where both are.
    """

    name: str
    shape: tuple[int, ...]
    weight: float
    gradient: float
    ratio: float


def layer_norms(
    model: nn.Module, batches: Iterable[Any], loss: Loss = cross_entropy, statistics: Statistics = "batch"
) -> list[LayerNorm]:
    """‖w‖, ‖∇L(w)‖ and their ratio for every weight of `model`, with L the mean loss over `batches`.

    Weights are the trainable parameters of more than one dimension: no biases, and no gains of normalisation layers.
    You, Gitman and Ginsburg 2017 (arXiv:1708.03888, section 4) list them for AlexNet at the first iteration: the ratio
    differs from layer to layer by orders of magnitude, so that one rate for all is too large for some of them.

    In float32 or better, without autocast, dropout off. The model is afterwards as it was.

    Example:
        >>> model = torch.nn.Linear(2, 1, bias=False).double()
        >>> _ = model.weight.data.copy_(torch.tensor([[3.0, 4.0]]))
        >>> data = torch.eye(2).double(), torch.zeros(2, 1).double()  # L = (w1² + w2²) / 2
        >>> layer_norms(model, [data], torch.nn.functional.mse_loss)
        [LayerNorm(name='weight', shape=(1, 2), weight=5.0, gradient=5.0, ratio=1.0)]

    Args:
        model: Any module that maps the inputs of a batch to outputs.
        batches: Pairs `(inputs, targets)`, examples along the first dimension; together they are one mini-batch.
        loss: Mean loss of a batch from `(outputs, targets)`.
        statistics: Source of the BatchNorm statistics, see `bsgap.measures.Statistics`; those of each batch are what a
            training step sees.

    Raises:
        UsageError: `batches` is empty or a batch is no such pair, `statistics` is unknown, no parameter is trainable,
            none has more than one dimension, or the loss is not deterministic.
    """
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    with measuring(model, batches, statistics) as fixed:
        mean = MeanLoss(model, fixed, loss)
        mean.check_deterministic()
        mean()
        pairs = zip(mean.flat.parameters, mean.flat.views(mean.gradient), strict=True)
        rows = [
            _row(names[id(parameter)], tuple(parameter.shape), *map(_norm, (parameter, gradient)))
            for parameter, gradient in pairs
            if parameter.ndim > 1
        ]
    if not rows:
        raise UsageError("the model has no trainable weight of more than one dimension, so there are no norms to list.")
    return rows


def _norm(values: torch.Tensor) -> float:
    return torch.linalg.vector_norm(values.detach(), dtype=torch.float64).item()


def _row(name: str, shape: tuple[int, ...], weight: float, gradient: float) -> LayerNorm:
    nothing = math.inf if weight else math.nan
    return LayerNorm(name, shape, weight, gradient, weight / gradient if gradient else nothing)
