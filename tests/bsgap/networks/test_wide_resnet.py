"""Parameter counts as published, the plan of the paper, and the pre-activation block against its formula."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from bsgap.errors import UsageError
from bsgap.networks import WideResNet
from bsgap.networks.wide_resnet import PreActivated


def closed_form(depth, widen, classes):
    n, channels = (depth - 4) // 6, [16, 16 * widen, 32 * widen, 64 * widen]
    total = 27 * 16
    for before, after in pairwise(channels):
        total += 2 * before + 9 * before * after + 2 * after + 9 * after * after + before * after
        total += (n - 1) * (4 * after + 18 * after * after)
    return total + 2 * channels[-1] + (channels[-1] + 1) * classes


@pytest.mark.parametrize(
    ("depth", "widen", "exact", "millions"),
    [(16, 4, 2_748_890, "2.7"), (40, 4, 8_949_210, "8.9"), (28, 10, 36_479_194, "36.5")],
)
def test_counts_are_the_published_ones(count, depth, widen, exact, millions):
    found = count(WideResNet, depth, widen)
    assert found == exact == closed_form(depth, widen, 10)
    assert f"{found / 1e6:.1f}" == millions
    assert count(WideResNet, depth, widen, classes=100) == closed_form(depth, widen, 100)


@pytest.mark.parametrize("depth", [10, 16, 28])
def test_depth_counts_the_convolutions_with_the_shortcuts(depth):
    with torch.device("meta"):
        network = WideResNet(depth, 2)
    assert sum(isinstance(layer, nn.Conv2d) for layer in network.modules()) == depth


def test_maps_are_32_16_and_8_pixels_of_k_times_the_channels():
    maps = [torch.rand(1, 3, 32, 32)]
    for layer in WideResNet(10, 3).features[:-1]:
        maps.append(layer(maps[-1]))
    shapes = [tuple(map_.shape[1:]) for map_ in maps[1:5]]
    assert shapes == [(16, 32, 32), (48, 32, 32), (96, 16, 16), (192, 8, 8)]


@pytest.mark.parametrize(("inputs", "outputs", "stride"), [(4, 4, 1), (4, 6, 1), (4, 4, 2)])
def test_a_block_is_what_its_formula_says(inputs, outputs, stride):
    torch.manual_seed(0)
    block = PreActivated(inputs, outputs, stride)
    images = torch.randn(3, inputs, 8, 8)
    untouched = images.clone()

    def relu_norm(values):
        return nn.functional.batch_norm(values, None, None, training=True).relu()

    activated = relu_norm(images)
    hidden = nn.functional.conv2d(activated, block.main[0].weight, stride=stride, padding=1)
    expected = nn.functional.conv2d(relu_norm(hidden), block.last.weight, padding=1)
    if (inputs, stride) == (outputs, 1):
        assert block.shortcut is None
        expected = expected + images
    else:
        expected = expected + nn.functional.conv2d(activated, block.shortcut.weight, stride=stride)
    torch.testing.assert_close(block(images), expected)
    assert torch.equal(images, untouched)


def test_a_silent_block_is_its_shortcut_and_learns_at_once():
    torch.manual_seed(0)
    network = WideResNet(10, 1, width=0.5, zero_gamma=True)
    block = network.features[1]
    images = torch.randn(4, 8, 8, 8)
    assert torch.equal(block(images), images)
    nn.functional.cross_entropy(network(torch.randn(4, 3, 32, 32)), torch.arange(4)).backward()
    assert all(layer.last.weight.grad.any() for layer in network.modules() if isinstance(layer, PreActivated))


def test_zero_gamma_draws_the_same_other_weights():
    def weights(**options):
        torch.manual_seed(1)
        return WideResNet(10, 1, width=0.5, **options).state_dict()

    plain, silent = weights(), weights(zero_gamma=True)
    different = {name for name in plain if not torch.equal(plain[name], silent[name])}
    assert different == {f"features.{block}.last.weight" for block in (1, 2, 3)}


def test_width_multiplies_all_channels():
    with torch.device("meta"):
        network = WideResNet(16, 4, width=0.25)
    assert network.features[0].out_channels == 4
    assert network.classifier.in_features == 64


@pytest.mark.parametrize("depth", [4, 18, 20])
def test_depth_is_6n_plus_4(depth):
    with pytest.raises(UsageError, match=f"must be 6n \\+ 4 .*, got {depth}"):
        WideResNet(depth)


def test_widen_below_one_is_refused():
    with pytest.raises(UsageError, match=r"widen multiplies .* at least 1, got 0"):
        WideResNet(16, 0)
