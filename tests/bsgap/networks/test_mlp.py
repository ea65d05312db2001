"""The deep ReLU network: how many layers it has, and that it trains at all."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from bsgap.errors import UsageError
from bsgap.networks import MLP


def linear(network):
    return [layer for layer in network.modules() if isinstance(layer, nn.Linear)]


def test_it_has_as_many_layers_as_it_says_the_output_included(count):
    network = MLP((1, 28, 28), 10, layers=20, width=32)
    assert len(linear(network)) == 20
    assert sum(isinstance(layer, nn.ReLU) for layer in network.modules()) == 19
    assert count(MLP, (1, 28, 28), 10, 20, 32) == (784 + 1) * 32 + 18 * (32 + 1) * 32 + (32 + 1) * 10
    assert [type(layer) for layer in MLP((4,), 3, layers=1).layers] == [nn.Flatten, nn.Linear]


def test_activations_keep_their_size_through_all_layers():
    torch.manual_seed(0)
    network = MLP((100,), 10, layers=20, width=400)
    inputs = torch.randn(50, 100)
    hidden = network.layers[:-1](inputs)
    assert 0.2 < hidden.square().mean() / inputs.square().mean() < 5  # under Glorot's it would be near 1e-6
    assert cross_entropy(network(inputs), torch.arange(50) % 10).item() == pytest.approx(math.log(10), abs=0.1)


def test_twenty_layers_train():
    torch.manual_seed(0)
    network = MLP((4,), 2, layers=20, width=16)
    inputs = torch.randn(64, 4)
    targets = (inputs[:, 0] > 0).long()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        loss = cross_entropy(network(inputs), targets)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3


@pytest.mark.parametrize("options", [{"layers": 0}, {"width": 0}])
def test_sizes_that_mean_nothing_are_refused(options):
    with pytest.raises(UsageError, match="must be at least 1"):
        MLP(**options)
