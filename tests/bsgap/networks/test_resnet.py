"""Parameter counts and costs as published; depth, strides and shortcuts as in the paper."""

import pytest
import torch
from torch import nn

from bsgap.errors import UsageError
from bsgap.networks import CifarResNet, ResNet
from bsgap.networks.blocks import PaddedShortcut

IMAGENET = (3, 224, 224)


@pytest.mark.parametrize(("depth", "millions"), [(20, "0.27"), (32, "0.46"), (44, "0.66"), (56, "0.85"), (110, "1.7")])
def test_cifar_counts_agree_with_table_6(count, depth, millions):
    digits = len(millions) - 2
    assert f"{count(CifarResNet, depth) / 1e6:.{digits}f}" == millions


@pytest.mark.parametrize("depth", [8, 14, 20])
def test_cifar_count_by_closed_form(count, depth):
    n = (depth - 2) // 6

    def conv(inputs, outputs):
        return 9 * inputs * outputs + 2 * outputs

    stages = 2 * n * conv(16, 16) + sum(
        conv(half, 2 * half) + (2 * n - 1) * conv(2 * half, 2 * half) for half in (16, 32)
    )
    assert count(CifarResNet, depth) == conv(3, 16) + stages + 64 * 10 + 10


@pytest.mark.parametrize("depth", [8, 20, 110])
def test_cifar_depth_counts_the_layers_with_weights(depth):
    with torch.device("meta"):
        network = CifarResNet(depth)
    assert sum(isinstance(layer, nn.Conv2d | nn.Linear) for layer in network.modules()) == depth


def test_cifar_maps_are_32_16_and_8_pixels_with_two_padded_shortcuts():
    network = CifarResNet(8)
    maps = [torch.rand(1, 3, 32, 32)]
    for layer in network.features[:-2]:
        maps.append(layer(maps[-1]))
    assert [tuple(map_.shape[1:]) for map_ in maps[-3:]] == [(16, 32, 32), (32, 16, 16), (64, 8, 8)]
    assert sum(isinstance(layer, PaddedShortcut) for layer in network.modules()) == 2


@pytest.mark.parametrize("depth", [2, 18, 19, 34])
def test_cifar_depth_is_6n_plus_2(depth):
    with pytest.raises(UsageError, match=f"must be 6n \\+ 2 .*, got {depth}"):
        CifarResNet(depth)


@pytest.mark.parametrize(("depth", "imagenet", "cifar"), [(18, 11_689_512, 11_173_962), (34, 21_797_672, 21_282_122)])
def test_counts_are_the_published_ones(count, depth, imagenet, cifar):
    assert count(ResNet, depth, IMAGENET, 1000) == imagenet
    assert count(ResNet, depth) == cifar
    # 7x7 against 3x3 stem, 1000 against 10 classes: nothing else differs.
    assert imagenet - cifar == 3 * 64 * (49 - 9) + 513 * 990


@pytest.mark.parametrize(("depth", "billions"), [(18, 1.8), (34, 3.6)])
def test_multiply_adds_are_those_of_table_1(multiply_adds, depth, billions):
    assert multiply_adds(ResNet, depth, in_shape=IMAGENET, classes=1000) / 1e9 == pytest.approx(billions, rel=0.02)


def test_golmant_21_million_fit_both_shortcuts(count):
    projections = sum(inputs * 2 * inputs + 2 * 2 * inputs for inputs in (64, 128, 256))
    assert round(count(ResNet, 34) / 1e6) == round((count(ResNet, 34) - projections) / 1e6) == 21


def test_width_multiplies_channels(count):
    with torch.device("meta"):
        network = ResNet(18, width=0.25)
    assert network.classifier.in_features == 128
    assert network.features[0].out_channels == 16


def test_an_unknown_depth_is_refused():
    with pytest.raises(UsageError, match="depth of a ResNet must be one of 18, 34, got 50"):
        ResNet(50)
