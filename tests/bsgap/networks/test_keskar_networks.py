"""Parameter counts by hand, shapes, and what the authors' code fixes."""

import pytest
import torch
from torch import nn

from bsgap.networks import DeepNet, FullyConnected, ShallowNet, SmallConvNet


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def dense(inputs, outputs, norm=True):
    return inputs * outputs + outputs + (2 * outputs if norm else 0)


def conv(inputs, outputs, kernel):
    return inputs * outputs * kernel**2 + outputs + 2 * outputs


DEEP_FEATURES = sum(
    conv(a, b, 3)
    for a, b in zip(
        (3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512),
        (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512),
        strict=False,
    )
)
CASES = {
    "F1": (FullyConnected, {}, (1, 28, 28), 10, dense(784, 512) + 4 * dense(512, 512) + dense(512, 10, False)),
    "F2": (FullyConnected, {"hidden": 7}, (360,), 1973, dense(360, 512) + 6 * dense(512, 512) + dense(512, 1973, False)),
    "C1": (ShallowNet, {}, (3, 32, 32), 10,
           conv(3, 64, 5) + conv(64, 64, 5) + dense(4096, 384) + dense(384, 192) + dense(192, 10, False)),
    "C3": (ShallowNet, {}, (3, 32, 32), 100,
           conv(3, 64, 5) + conv(64, 64, 5) + dense(4096, 384) + dense(384, 192) + dense(192, 100, False)),
    "C2": (DeepNet, {}, (3, 32, 32), 10, DEEP_FEATURES + dense(512, 512) + dense(512, 10, False)),
    "C4": (DeepNet, {}, (3, 32, 32), 100, DEEP_FEATURES + dense(512, 512) + dense(512, 100, False)),
    "small": (SmallConvNet, {}, (1, 8, 8), 10, conv(1, 16, 3) + conv(16, 32, 3) + dense(128, 10, False)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_parameter_count_and_shapes(name):
    kind, options, in_shape, classes, expected = CASES[name]
    network = kind(in_shape=in_shape, classes=classes, **options)
    assert count(network) == expected
    logits = network(torch.rand(3, *in_shape))
    assert logits.shape == (3, classes)
    logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize(("name", "millions"), [("C1", 1.76), ("C2", 15.0), ("F1", 1.46)])
def test_counts_agree_with_the_published_sizes(name, millions):
    kind, options, in_shape, classes, _ = CASES[name]
    assert count(kind(in_shape=in_shape, classes=classes, **options)) / 1e6 == pytest.approx(millions, rel=6e-3)


def test_pooling_of_the_shallow_net_is_keras_same():
    """Keras' 'same' pads a 3x3 stride-2 pool of an even side by one row at the end: windows start at 0, 2, 4, ..."""
    network = ShallowNet()
    pool = next(layer for layer in network.modules() if isinstance(layer, nn.MaxPool2d))
    images = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    padded = nn.functional.pad(images, (0, 1, 0, 1), value=-torch.inf)
    assert torch.equal(pool(images), padded.unfold(2, 3, 2).unfold(3, 3, 2).amax((-1, -2)))


def test_initial_weights_are_glorot_uniform():
    torch.manual_seed(0)
    layer = next(layer for layer in FullyConnected().modules() if isinstance(layer, nn.Linear))
    bound = (6 / (784 + 512)) ** 0.5
    weights = layer.weight.detach()
    assert weights.abs().max() <= bound
    assert weights.std().item() == pytest.approx(bound / 3**0.5, rel=0.01)
    assert torch.count_nonzero(layer.bias) == 0
