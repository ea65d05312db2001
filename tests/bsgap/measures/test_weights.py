"""Norm and histogram of the weights, against closed forms and numpy."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from bsgap.errors import UsageError
from bsgap.measures import weight_histogram, weight_norm


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 5))


def values(network):
    """The weights of both layers, by name."""
    return np.concatenate([network[at].weight.detach().double().numpy().ravel() for at in (0, 3)])


def test_the_norm_is_over_weights_alone(network):
    assert weight_norm(network) == pytest.approx(np.linalg.norm(values(network)), rel=1e-12)
    network[1].weight.data.fill_(100.0)
    network[3].bias.data.fill_(100.0)
    assert weight_norm(network) == pytest.approx(np.linalg.norm(values(network)), rel=1e-12)


@pytest.mark.parametrize("limit", [None, 0.2, 5.0])
def test_the_histogram_is_numpys(network, limit):
    found = weight_histogram(network, bins=11, limit=limit)
    reach = limit or abs(values(network)).max()
    counts, edges = np.histogram(values(network), bins=11, range=(-reach, reach))
    assert found.counts == tuple(counts)
    assert found.edges == pytest.approx(edges)
    assert (found.weights, found.outside) == (87, 87 - counts.sum())
    assert found.norm == pytest.approx(weight_norm(network), rel=1e-12)
    assert found.deviation == pytest.approx(values(network).std(), rel=1e-12)


def test_weights_that_are_no_numbers_lie_outside(network):
    network[3].weight.data[0, :3] = torch.tensor([math.nan, math.inf, -math.inf])
    found = weight_histogram(network, bins=3, limit=1.0)
    assert (sum(found.counts), found.outside) == (84, 3)


def test_weights_that_are_all_zero_are_in_the_middle(network):
    for at in (0, 3):
        network[at].weight.data.zero_()
    assert weight_histogram(network, bins=3).counts == (0, 87, 0)


def test_half_precision_is_looked_at_in_double(network):
    assert weight_norm(network.bfloat16()) == pytest.approx(np.linalg.norm(values(network.float())), rel=1e-12)


def test_the_model_stays_as_it_was(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    weight_histogram(network)
    weight_norm(network)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert network.training
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [({"bins": 0}, "bins must be at least 1, got 0"), ({"limit": 0.0}, r"limit must be a positive .* got 0\.0")],
)
def test_bad_options_are_refused(network, options, message):
    with pytest.raises(UsageError, match=message):
        weight_histogram(network, **options)


def test_a_model_without_weights_is_refused():
    with pytest.raises(UsageError, match="no parameter of more than one dimension"):
        weight_norm(nn.BatchNorm1d(3))
