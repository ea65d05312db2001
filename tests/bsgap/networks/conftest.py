from math import prod

import pytest
import torch
from torch import nn


@pytest.fixture
def count():
    """Number of parameters of a network, built without memory or random numbers."""

    def count_parameters(kind, *args, **options):
        with torch.device("meta"):
            network = kind(*args, **options)
        return sum(parameter.numel() for parameter in network.parameters())

    return count_parameters


@pytest.fixture
def multiply_adds():
    """Multiply-adds of one image through the convolutions and linear layers, as the papers count them."""

    def count_multiply_adds(kind, *args, in_shape, **options):
        total = 0

        def add(layer, inputs, output):
            nonlocal total
            total += prod(output.shape[1:]) * layer.weight[0].numel()

        with torch.device("meta"):
            network = kind(*args, in_shape=in_shape, **options).eval()
            for layer in network.modules():
                if isinstance(layer, nn.Conv2d | nn.Linear):
                    layer.register_forward_hook(add)
            network(torch.empty(1, *in_shape))
        return total

    return count_multiply_adds
