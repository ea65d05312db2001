"""Parameter counts and costs as published; depth, strides and shortcuts as in the paper."""

import pytest
import torch
from torch import nn

from bsgap.errors import UsageError
from bsgap.networks import CifarResNet, ResNet
from bsgap.networks.blocks import PaddedShortcut, Residual

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
    for layer in network.features[:-1]:
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


@pytest.mark.parametrize(("depth", "imagenet", "cifar"), [(50, 25_557_032, 23_520_842), (101, 44_549_160, 42_512_970)])
def test_counts_of_bottlenecks_are_the_published_ones(count, depth, imagenet, cifar):
    assert count(ResNet, depth, IMAGENET, 1000) == imagenet
    assert count(ResNet, depth) == cifar
    assert imagenet - cifar == 3 * 64 * (49 - 9) + 2049 * 990


@pytest.mark.parametrize("depth", [18, 34, 50, 101])
def test_depth_counts_the_layers_with_weights_off_the_shortcuts(depth):
    with torch.device("meta"):
        network = ResNet(depth)
    blocks = [module for module in network.modules() if isinstance(module, Residual)]
    inside = sum(isinstance(layer, nn.Conv2d) for block in blocks for layer in block.main)
    assert inside + 2 == depth


def test_bottlenecks_stride_on_the_3x3():
    with torch.device("meta"):
        network = ResNet(50)
    strided = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d) and layer.stride == (2, 2)]
    assert [layer.kernel_size for layer in strided] == [(3, 3), (1, 1)] * 3  # the 1x1 is the shortcut's
    kernels = [layer.kernel_size[0] for layer in network.features[3].main if isinstance(layer, nn.Conv2d)]
    assert kernels == [1, 3, 1]


# 4.1 with the stride on the 3x3 where table 1, with it on the 1x1, has 3.8; 7.8 in the table of PyTorch's models.
@pytest.mark.parametrize(("depth", "billions"), [(18, 1.8), (34, 3.6), (50, 4.1), (101, 7.8)])
def test_multiply_adds_are_the_published_ones(multiply_adds, depth, billions):
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
    with pytest.raises(UsageError, match="depth of a ResNet must be one of 18, 34, 50, 101, got 56"):
        ResNet(56)
    with pytest.raises(UsageError, match="shortcut must be one of pad, project, or absent, got 'identity'"):
        CifarResNet(8, shortcut="identity")


@pytest.mark.parametrize("depth", [8, 44])
def test_projected_shortcuts_by_closed_form(count, depth):
    more = sum(inputs * 2 * inputs + 2 * 2 * inputs for inputs in (16, 32))
    assert count(CifarResNet, depth, shortcut="project") - count(CifarResNet, depth) == more == 2752
    with torch.device("meta"):
        network = CifarResNet(depth, shortcut="project")
    strided = [layer for layer in network.modules() if getattr(layer, "kernel_size", None) == (1, 1)]
    assert [layer.stride for layer in strided] == [(2, 2)] * 2
    assert not any(isinstance(layer, PaddedShortcut) for layer in network.modules())


def test_padded_shortcuts_asked_for_are_those_by_default():
    def weights(**options):
        torch.manual_seed(1)
        return nn.utils.parameters_to_vector(CifarResNet(8, width=0.5, **options).parameters())

    assert torch.equal(weights(), weights(shortcut="pad", zero_gamma=False))


NETWORKS = {
    "cifar": lambda **options: CifarResNet(14, width=0.5, **options),
    "basic": lambda **options: ResNet(18, width=0.125, **options),
    "bottleneck": lambda **options: ResNet(50, width=0.125, **options),
}


@pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)
def test_zero_gamma_starts_each_block_as_its_shortcut(build):
    torch.manual_seed(1)
    plain = build().state_dict()
    torch.manual_seed(1)
    network = build(zero_gamma=True)
    blocks = {name: block for name, block in network.named_modules() if isinstance(block, Residual)}
    values = network.features[:2](torch.randn(2, 3, 32, 32))
    for name, block in blocks.items():
        last = len(block.main) - 1
        assert not block.main[last].weight.any()
        plain[f"{name}.main.{last}.weight"].zero_()
        passed = block.shortcut(values).relu()
        values = block(values)
        assert torch.equal(values, passed)
    assert all(torch.equal(value, plain[name]) for name, value in network.state_dict().items() if "running" not in name
               and "tracked" not in name)  # fmt: skip
    nn.functional.cross_entropy(network(torch.randn(4, 3, 32, 32)), torch.arange(4)).backward()
    assert all(block.main[-1].weight.grad.any() for block in blocks.values())
