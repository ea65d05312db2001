"""Parameter counts and costs as published; pooling on small images."""

import pytest
import torch
from torch import nn

from bsgap.errors import UsageError
from bsgap.networks import VGG

IMAGENET = (3, 224, 224)
PUBLISHED = {11: 132_863_336, 13: 133_047_848, 16: 138_357_544, 19: 143_667_240}
ROUNDED = {11: 133, 13: 133, 16: 138, 19: 144}  # millions, Simonyan and Zisserman 2015, table 2


@pytest.mark.parametrize("depth", PUBLISHED)
def test_counts_are_the_published_ones(count, depth):
    found = count(VGG, depth, False, IMAGENET, 1000)
    assert found == PUBLISHED[depth]
    assert round(found / 1e6) == ROUNDED[depth]


def test_multiply_adds_of_vgg_19_are_those_that_he_et_al_compare_with(multiply_adds):
    # "VGG-19 has 19.6 billion FLOPs" (multiply-adds), He et al. 2016, section 3.3.
    found = multiply_adds(VGG, 19, False, in_shape=IMAGENET, classes=1000)
    assert found / 1e9 == pytest.approx(19.6, rel=0.005)


@pytest.mark.parametrize("depth", PUBLISHED)
@pytest.mark.parametrize("batch_norm", [True, False])
def test_the_cifar_head_is_one_linear_layer(count, depth, batch_norm):
    convolutions = PUBLISHED[depth] - (25_088 * 4096 + 4096) - (4096 * 4096 + 4096) - (4096 * 1000 + 1000)
    with torch.device("meta"):
        network = VGG(depth, batch_norm)
    kernels = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    channels = sum(layer.out_channels for layer in kernels)
    assert len(kernels) == depth - 3
    assert all((layer.bias is None) == batch_norm for layer in kernels)
    # BatchNorm has a weight and a bias where a convolution without it has a bias.
    assert count(VGG, depth, batch_norm) == convolutions + channels * batch_norm + 512 * 10 + 10


@pytest.mark.parametrize(("side", "pools"), [(32, 5), (64, 5), (28, 4), (8, 3), (1, 0)])
def test_small_images_pool_until_one_pixel_is_left(side, pools):
    network = VGG(11, in_shape=(1, side, side), width=0.0625).eval()
    assert sum(isinstance(layer, nn.MaxPool2d) for layer in network.features) == pools
    assert network(torch.rand(2, 1, side, side)).shape == (2, 10)


def test_the_size_chooses_the_head_unless_it_is_given():
    def dropouts(**options):
        with torch.device("meta"):
            return sum(isinstance(layer, nn.Dropout) for layer in VGG(11, **options).modules())

    assert [dropouts(), dropouts(in_shape=IMAGENET)] == [0, 2]
    assert [dropouts(head="imagenet"), dropouts(in_shape=IMAGENET, head="cifar")] == [2, 0]


def test_dropout_stands_after_each_hidden_layer_of_the_paper():
    head = VGG(11, width=0.01, head="imagenet").classifier
    kinds = [nn.Flatten, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert [type(layer) for layer in head] == kinds


def test_unknown_options_are_refused():
    with pytest.raises(UsageError, match="depth of a VGG must be one of 11, 13, 16, 19, got 12"):
        VGG(12)
    with pytest.raises(UsageError, match="head must be one of cifar, imagenet, or absent, got 'wide'"):
        VGG(head="wide")
