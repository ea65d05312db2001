"""VGG-9 as the code of Li et al. 2017 builds it."""

from itertools import pairwise
from math import sqrt

import pytest
import torch
from torch import nn

from bsgap.errors import UsageError
from bsgap.networks import VGG9


def test_layers_and_their_order_are_those_of_the_code():
    network = VGG9(width=0.0625)
    block = [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
    assert [type(layer) for layer in network.features] == [
        *block * 2, nn.MaxPool2d, *block * 2, nn.MaxPool2d, *block * 3, nn.MaxPool2d,
    ]  # fmt: skip
    kinds = [nn.Flatten, nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]
    assert [type(layer) for layer in network.classifier] == kinds


def test_the_parameters_are_those_of_a_count_by_hand(count):
    channels = [3, 64, 64, 128, 128, 256, 256, 256]
    kernels = sum(9 * a * b + b for a, b in pairwise(channels))
    norms = 2 * (sum(channels[1:]) + 256)
    dense = 256 * 4 * 4 * 256 + 256 + 256 * 10 + 10
    assert count(VGG9) == kernels + norms + dense == 2_789_706


def test_multiply_adds_by_hand(multiply_adds):
    found = multiply_adds(VGG9, in_shape=(3, 32, 32))
    by_hand = 9 * (
        1024 * (3 * 64 + 64 * 64) + 256 * (64 * 128 + 128 * 128) + 64 * (128 * 256 + 2 * 256 * 256)
    ) + 4096 * 256 + 2560  # fmt: skip
    assert found == by_hand


def test_the_width_scales_every_layer():
    with torch.device("meta"):
        network = VGG9(width=0.25)
    kernels = [layer.out_channels for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert kernels == [16, 16, 32, 32, 64, 64, 64]
    assert network.classifier[1].out_features == 64


def test_initial_weights_are_the_codes():
    torch.manual_seed(0)
    network = VGG9(classes=100)
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            wanted = 1e-3 if isinstance(layer, nn.Linear) else sqrt(2 / (9 * layer.in_channels))
            assert layer.weight.std().item() == pytest.approx(wanted, rel=0.04), name
            assert layer.bias.count_nonzero() == 0
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d):
            assert (layer.weight == 1).all()
            assert (layer.bias == 0).all()


@pytest.mark.parametrize(("side", "pools"), [(32, 3), (28, 3), (8, 3), (5, 3), (2, 1), (1, 0)])
def test_small_images_pool_until_one_pixel_is_left(side, pools):
    network = VGG9(in_shape=(1, side, side), width=0.0625, classes=7).eval()
    assert sum(isinstance(layer, nn.MaxPool2d) for layer in network.features) == pools
    assert network(torch.rand(2, 1, side, side)).shape == (2, 7)


def test_a_width_that_is_not_positive_is_refused():
    with pytest.raises(UsageError, match=r"width .* must be positive, got 0"):
        VGG9(width=0)
