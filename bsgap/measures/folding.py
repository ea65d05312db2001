"""BatchNorm taken into the layer before it, for passes without gradient.

With constant statistics BatchNorm is a map y = γ (x - μ)/√(σ² + ε) + β of each channel, and so is part of the linear or
convolutional layer that x comes from: its weights times γ/√(σ² + ε), and another bias. A pass over the activations is
saved, which on a processor is most of what such a layer costs beside the convolutions.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Pair = tuple[nn.Module, _BatchNorm]
"""A layer, and the BatchNorm that gets its outputs."""

Weights = list[tuple[nn.Parameter, Tensor]]
"""What parameters are to be."""

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@torch.no_grad()
def pairs(model: nn.Module, inputs: Any) -> list[Pair]:
    """Layers of `model` whose outputs go, untouched, into a BatchNorm with running averages; each is used once.

    Found by passing `inputs` through the model, which is in evaluation. Whether the outputs go anywhere else too cannot
    be seen: compare what the model gives before and after.
    """
    made: dict[int, tuple[nn.Module, Tensor, int]] = {}
    found: list[Pair] = []
    calls: dict[nn.Module, int] = {}

    def after(layer: nn.Module, _: Any, output: Any) -> None:
        calls[layer] = calls.get(layer, 0) + 1
        if isinstance(output, Tensor):
            made[id(output)] = layer, output, output._version

    def before(norm: nn.Module, arguments: tuple[Any, ...]) -> None:
        calls[norm] = calls.get(norm, 0) + 1
        layer, output, version = made.get(id(arguments[0]), (None, None, 0))
        if layer is not None and output is not None and output._version == version and isinstance(norm, _BatchNorm):
            found.append((layer, norm))

    handles = []
    try:
        for module in model.modules():
            if module._forward_hooks or module._forward_pre_hooks:
                continue  # somebody looks at what goes in or comes out
            if type(module) in _LAYERS and {"weight", "bias"} <= module._parameters.keys():
                handles.append(module.register_forward_hook(after))
            elif isinstance(module, _BatchNorm) and module.running_mean is not None:
                handles.append(module.register_forward_pre_hook(before))
        model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    users = [id(parameter) for module in model.modules() for parameter in module._parameters.values()]
    return [
        (layer, norm)
        for layer, norm in found
        if calls[layer] == calls[norm] == 1
        and layer._parameters["weight"].shape[0] == norm.num_features  # type: ignore[union-attr]
        and all(users.count(id(parameter)) == 1 for parameter in layer._parameters.values() if parameter is not None)
    ]


@contextmanager
def folded(found: list[Pair]) -> Iterator[None]:
    """Make each BatchNorm the identity, and give each layer a bias; `fold` then says what weights and biases are."""
    bare = [layer for layer, _ in found if layer._parameters["bias"] is None]
    try:
        for layer in bare:
            weight = layer._parameters["weight"]
            assert weight is not None
            layer._parameters["bias"] = nn.Parameter(weight.new_zeros(len(weight)), requires_grad=False)
        for _, norm in found:
            norm.__dict__["forward"] = _same
        yield
    finally:
        for layer in bare:
            layer._parameters["bias"] = None
        for _, norm in found:
            norm.__dict__.pop("forward", None)


@torch.no_grad()
def fold(found: list[Pair]) -> Weights:
    """The weights and biases that hold BatchNorm too, of the parameters and averages that the model has now."""
    changes: Weights = []
    for layer, norm in found:
        weight, bias = layer._parameters["weight"], layer._parameters["bias"]
        mean, variance = norm.running_mean, norm.running_var
        assert weight is not None
        assert bias is not None
        assert mean is not None
        assert variance is not None
        scale = torch.rsqrt(variance + norm.eps)
        if norm.weight is not None:
            scale = scale * norm.weight
        shift = (bias - mean) * scale
        if norm.bias is not None:
            shift = shift + norm.bias
        changes += [(weight, weight * scale.view(-1, *[1] * (weight.ndim - 1))), (bias, shift)]
    return changes


def _same(inputs: Tensor) -> Tensor:
    return inputs
