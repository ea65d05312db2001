"""Layers and values for the tests of ghost BatchNorm, and the reference: one chunk after the other."""

import copy

import torch
from torch import nn


def layer_for(shape, dtype=torch.float64, **options):
    """A BatchNorm layer for examples of a shape, with gains and averages of its own."""
    draws = torch.Generator().manual_seed(7)
    layer = (nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d)(shape[0], dtype=dtype, **options)
    for values in (layer.weight, layer.bias, layer.running_mean):
        if values is not None:
            values.data.copy_(torch.randn(shape[0], generator=draws))
    return layer


def values(shape, examples, dtype=torch.float64, seed=0):
    draws = torch.Generator().manual_seed(seed)
    return (1.5 * torch.randn(examples, *shape, generator=draws, dtype=torch.float64) + 0.7).to(dtype)


def chunk_by_chunk(layer, inputs, size):
    """The authors' way: the same layer on one chunk after the other."""
    return torch.cat([layer(chunk) for chunk in inputs.split(size)])


def passes(call, layer, inputs, gradient):
    """Outputs, and the gradients of inputs, gains and biases."""
    inputs = inputs.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    outputs = call(inputs)
    wanted = [inputs, *layer.parameters()]
    return [outputs, *torch.autograd.grad(outputs, wanted, gradient)]


def compare(ghost, plain, inputs, size, tolerance):
    gradient = values(inputs.shape[1:], len(inputs), seed=9)
    exact = copy.deepcopy(plain).double()
    found = passes(ghost, ghost, inputs, gradient.to(inputs.dtype))
    expected = passes(lambda x: chunk_by_chunk(exact, x, size), exact, inputs.double(), gradient)
    for mine, theirs in zip(found, expected, strict=True):
        scale = max(1.0, theirs.abs().max().item())
        assert (mine - theirs).abs().max().item() <= tolerance * scale
    return exact
