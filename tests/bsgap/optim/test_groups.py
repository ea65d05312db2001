import doctest
import importlib

import pytest
import torch
from torch import nn

from bsgap.errors import UsageError
from bsgap.networks import CifarResNet, ghost_batch_norm
from bsgap.optim import parameter_groups


class Everything(nn.Module):
    """Norms of all kinds among other layers, one of them without parameters."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.LayerNorm(5), nn.RMSNorm(5),
            nn.InstanceNorm2d(4, affine=True), nn.BatchNorm2d(4, affine=False), nn.Linear(5, 2),
        )  # fmt: skip
        self.scale = nn.Parameter(torch.ones(()))


def names(network, group):
    of = {id(p): name for name, p in network.named_parameters()}
    return [of[id(p)] for p in group["params"]]


def test_gains_and_biases_of_every_norm_do_not_decay_and_all_else_does():
    network = Everything()
    decaying, still = parameter_groups(network, decay_norms=False)
    assert names(network, decaying) == [
        "scale", "layers.0.weight", "layers.0.bias", "layers.7.weight", "layers.7.bias"
    ]  # fmt: skip
    assert names(network, still) == [
        f"layers.{place}.{name}"
        for place, name in [
            (1, "weight"), (1, "bias"), (2, "weight"), (2, "bias"), (3, "weight"), (3, "bias"), (4, "weight"),
            (5, "weight"), (5, "bias"),
        ]
    ]  # fmt: skip
    assert "weight_decay" not in decaying
    assert still["weight_decay"] == 0


def test_ghost_batches_are_norms_too():
    network = CifarResNet(8)
    before = names(network, parameter_groups(network, decay_norms=False)[1])
    ghost_batch_norm(network, 4)
    assert names(network, parameter_groups(network, decay_norms=False)[1]) == before


def test_with_decay_there_is_one_group_of_all_in_order():
    network = Everything()
    (group,) = parameter_groups(network)
    assert names(network, group) == [name for name, _ in network.named_parameters()]


def test_a_step_decays_weights_and_leaves_norms():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    optimizer = torch.optim.SGD(parameter_groups(network, decay_norms=False), lr=0.1, weight_decay=0.5)
    before = [p.detach().clone() for p in network.parameters()]
    for p in network.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    for p, start, factor in zip(network.parameters(), before, (0.95, 0.95, 1, 1), strict=True):
        assert torch.allclose(p, factor * start)


def test_a_shared_parameter_is_in_one_group():
    network = nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    network[1].weight = network[0].weight
    groups = parameter_groups(network, decay_norms=False)
    torch.optim.SGD(groups, lr=0.1)
    assert [len(group["params"]) for group in groups] == [2, 3]


def test_norms_alone_are_one_group_and_a_network_without_is_refused():
    (group,) = parameter_groups(nn.BatchNorm1d(3), decay_norms=False)
    assert group["weight_decay"] == 0
    with pytest.raises(UsageError, match="decay_norms: the network has no normalisation layer"):
        parameter_groups(nn.Linear(2, 2), decay_norms=False)


def test_the_example_in_the_documentation_runs():
    found = doctest.testmod(importlib.import_module("bsgap.optim.groups"))
    assert found.attempted
    assert not found.failed
