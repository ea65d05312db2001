import pytest
import torch
from torch import nn

from bsgap.errors import UsageError
from bsgap.networks import AlexNet

CONVOLUTIONS = (3, 64, 192, 384, 256, 256)


def convolutions(kernels):
    return sum(
        kernel**2 * inputs * outputs + outputs
        for kernel, inputs, outputs in zip(kernels, CONVOLUTIONS[:-1], CONVOLUTIONS[1:], strict=True)
    )


def test_count_at_imagenet_size_is_the_published_one(count):
    head = (9216 * 4096 + 4096) + (4096 * 4096 + 4096) + (4096 * 1000 + 1000)
    found = count(AlexNet, (3, 224, 224), 1000)
    assert found == 61_100_840 == convolutions((11, 5, 3, 3, 3)) + head


def test_multiply_adds_at_imagenet_size(multiply_adds):
    # 0.71 billion in the table of PyTorch's models.
    assert multiply_adds(AlexNet, in_shape=(3, 224, 224), classes=1000) / 1e9 == pytest.approx(0.71, abs=0.005)


def test_count_at_cifar_size_by_closed_form(count):
    assert count(AlexNet) == convolutions((5, 5, 3, 3, 3)) + 256 * 4 * 4 * 10 + 10
    assert count(AlexNet, batch_norm=True) - count(AlexNet) == sum(CONVOLUTIONS[1:])


@pytest.mark.parametrize(("side", "last"), [(32, 4), (28, 4), (64, 8), (8, 1), (1, 1), (224, 6), (65, 1)])
def test_side_of_the_last_map(side, last):
    network = AlexNet((1, side, side), width=0.03).eval()
    images = torch.rand(2, 1, side, side)
    assert network.features(images).shape[2:] == (last, last)
    assert network(images).shape == (2, 10)


def test_dropout_stands_before_each_hidden_layer_of_the_paper():
    head = AlexNet((1, 70, 70), width=0.01).classifier
    kinds = [nn.Flatten, nn.Dropout, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear, nn.ReLU, nn.Linear]
    assert [type(layer) for layer in head] == kinds


def test_images_too_narrow_for_the_strides_are_refused():
    with pytest.raises(UsageError, match=r"needs 63 pixels in height and width, got 200x62\. Enlarge the images"):
        AlexNet((3, 200, 62))
    with torch.device("meta"):
        assert AlexNet((3, 200, 63))(torch.empty(2, 3, 200, 63)).shape == (2, 10)


def test_the_strided_form_by_closed_form(count):
    assert count(AlexNet, stem="strided") == convolutions((11, 5, 3, 3, 3)) + 256 * 10 + 10 == 2_472_266
    assert count(AlexNet, classes=100, stem="strided") == convolutions((11, 5, 3, 3, 3)) + 256 * 100 + 100


def test_maps_and_layers_of_the_strided_form():
    network = AlexNet(width=0.03, stem="strided")
    values, sides = torch.rand(2, 3, 32, 32), []
    for layer in network.features:
        values = layer(values)
        sides += [] if isinstance(layer, nn.ReLU) else [values.shape[-1]]
    assert sides == [8, 4, 4, 2, 2, 2, 2, 1]
    first, pool = network.features[0], network.features[2]
    assert (first.kernel_size, first.stride, first.padding) == ((11, 11), (4, 4), (5, 5))
    assert (pool.kernel_size, pool.stride, pool.padding) == (2, 2, 0)
    assert [type(layer) for layer in network.classifier] == [nn.Flatten, nn.Linear]
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())


@pytest.mark.parametrize(("side", "last"), [(29, 1), (64, 2), (224, 7)])
def test_side_of_the_last_map_of_the_strided_form(side, last):
    network = AlexNet((1, side, side), width=0.03, stem="strided")
    assert network.features(torch.rand(2, 1, side, side)).shape[2:] == (last, last)


def test_what_the_strided_form_cannot_be_is_refused():
    with pytest.raises(UsageError, match=r"AlexNet's strided form needs 29 pixels in height and width, got 28x28\."):
        AlexNet((1, 28, 28), stem="strided")
    with pytest.raises(UsageError, match="stem must be strided, or absent, got 'wide'"):
        AlexNet(stem="wide")
