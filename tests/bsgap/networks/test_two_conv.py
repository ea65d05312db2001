"""Yao's C1 as in the authors' code: layers in their order, sizes, and what a factor on its width changes."""

import pytest
import torch
from torch import nn

from bsgap.errors import UsageError
from bsgap.networks import TwoConvNet


def test_the_count_is_that_of_the_layers_by_hand(count):
    convolutions = 64 * (25 * 3 + 1) + 64 * (25 * 64 + 1) + 2 * 2 * 64
    dense = (64 * 8 * 8 + 1) * 384 + (384 + 1) * 192 + (192 + 1) * 10
    assert count(TwoConvNet) == convolutions + dense == 1_756_682


def test_batch_norm_follows_the_relu_and_there_is_none_behind_the_convolutions():
    network = TwoConvNet()
    block = [nn.Conv2d, nn.ReLU, nn.BatchNorm2d, nn.MaxPool2d]
    assert [type(layer) for layer in network.features] == 2 * block
    assert [type(layer) for layer in network.classifier] == [
        nn.Flatten, nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear,
    ]  # fmt: skip


@pytest.mark.parametrize(("in_shape", "side"), [((3, 32, 32), (8, 8)), ((1, 8, 8), (2, 2)), ((1, 28, 30), (7, 8))])
def test_every_pool_halves_the_map(in_shape, side):
    network = TwoConvNet(in_shape, classes=7, width=0.25).eval()
    assert network.features(torch.rand(2, *in_shape)).shape == (2, 16, *side)
    assert network(torch.rand(2, *in_shape)).shape == (2, 7)


def test_a_width_scales_channels_and_units():
    network = TwoConvNet(width=0.25)
    linear = [layer for layer in network.classifier if isinstance(layer, nn.Linear)]
    assert [layer.out_features for layer in linear] == [96, 48, 10]
    with pytest.raises(UsageError, match="width"):
        TwoConvNet(width=0)
