"""Parameter counts and multiply-adds as published; strides and shortcuts by table 2 of the paper."""

import pytest
import torch
from torch import nn

from bsgap.errors import UsageError
from bsgap.networks import MobileNetV2
from bsgap.networks.mobilenet import InvertedResidual, divisible

IMAGENET = (3, 224, 224)


def test_counts_are_the_published_ones(count):
    assert count(MobileNetV2, IMAGENET, 1000) == 3_504_872
    assert count(MobileNetV2) == 3_504_872 - 1281 * 990
    assert f"{count(MobileNetV2) / 1e6:.1f}" == "2.2"  # as Golmant et al. have it


# Width, side of the images, millions of multiply-adds and of parameters: the table of the authors' models.
MODELS = [
    (1.4, 224, 582, "6.06"),
    (1.3, 224, 509, "5.34"),
    (1.0, 224, 300, "3.47"),
    (1.0, 96, 56, "3.47"),
    (0.75, 224, 209, "2.61"),
    (0.5, 224, 97, "1.95"),
    (0.35, 224, 59, "1.66"),
]


@pytest.mark.parametrize(("width", "side", "costs", "millions"), MODELS)
def test_parameters_and_costs_of_the_width_multipliers(multiply_adds, width, side, costs, millions):
    options = {"in_shape": (3, side, side), "classes": 1000, "width": width}
    assert multiply_adds(MobileNetV2, **options) / 1e6 == pytest.approx(costs, rel=0.01)
    with torch.device("meta"):
        layers = list(MobileNetV2(**options).modules())
    # The table leaves BatchNorm's parameters out.
    counted = [layer.parameters() for layer in layers if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert f"{sum(p.numel() for parameters in counted for p in parameters) / 1e6:.2f}" == millions


@pytest.mark.parametrize(("side", "last"), [(32, 4), (64, 8), (28, 4), (96, 3), (224, 7)])
def test_small_images_lose_two_strides(side, last):
    with torch.device("meta"):
        features = MobileNetV2(in_shape=(1, side, side)).features
        assert features[:-2](torch.empty(2, 1, side, side)).shape == (2, 1280, last, last)


def test_on_cifar_the_third_bottleneck_is_the_first_to_stride():
    image = torch.empty(2, 3, 32, 32, device="meta")
    sides = []
    with torch.device("meta"):
        for layer in MobileNetV2().features[:-1]:
            image = layer(image)
            if isinstance(layer, InvertedResidual):
                sides.append((image.shape[1], image.shape[2]))
    # Channels and side after each group of table 2.
    groups = [(16, 32), (24, 32), (32, 16), (64, 8), (96, 8), (160, 4), (320, 4)]
    assert sides == [group for group, n in zip(groups, (1, 2, 3, 4, 3, 3, 1), strict=True) for _ in range(n)]


def test_ten_of_the_seventeen_bottlenecks_add_their_input():
    with torch.device("meta"):
        blocks = [layer for layer in MobileNetV2().modules() if isinstance(layer, InvertedResidual)]
    assert [block.added for block in blocks] == [
        False, False, True, False, True, True, False, True, True, True, False, True, True, False, True, True, False,
    ]  # fmt: skip


def test_a_bottleneck_ends_without_activation():
    torch.manual_seed(0)
    block = InvertedResidual(8, 8, 1, 6)
    images = torch.randn(4, 8, 5, 5)
    assert torch.equal(block(images), images + block.main(images))
    assert (block.main(images) < 0).any()
    depthwise = [layer for layer in block.modules() if isinstance(layer, nn.Conv2d) and layer.groups > 1]
    assert [layer.groups for layer in depthwise] == [48]


@pytest.mark.parametrize(
    ("channels", "rounded"), [(32, 32), (11.2, 16), (8.4, 8), (33.6, 32), (44.8, 48), (1, 8), (134.4, 136), (12, 16)]
)
def test_channels_are_multiples_of_8(channels, rounded):
    assert divisible(channels) == rounded


def test_a_width_of_zero_is_refused():
    with pytest.raises(UsageError, match="must be positive, got 0"):
        MobileNetV2(width=0)
