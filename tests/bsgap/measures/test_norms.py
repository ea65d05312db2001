import copy
import doctest
import importlib
import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from bsgap.errors import UsageError
from bsgap.measures import layer_norms
from bsgap.networks import CifarResNet, ghost_batch_norm


def test_every_weight_has_the_norms_of_a_backward_pass_over_all_examples(small, ragged, snapshot):
    network, inputs, targets = small
    model = network()
    before = snapshot(model)
    rows = layer_norms(model, ragged(inputs, targets, [3, 4, 3]))
    before.check()
    assert [(row.name, row.shape) for row in rows] == [("0.weight", (6, 4)), ("3.weight", (3, 6))]
    twin = copy.deepcopy(model).double()
    cross_entropy(twin(inputs.double()), targets).backward()
    weights = [p for p in twin.parameters() if p.ndim > 1]
    for row, weight in zip(rows, weights, strict=True):
        assert row.weight == pytest.approx(weight.norm().item(), rel=1e-6)
        assert row.gradient == pytest.approx(weight.grad.norm().item(), rel=1e-5)
        assert row.ratio == row.weight / row.gradient


def test_statistics_decide_and_the_model_is_left_alone(small, snapshot, unusual):
    _, inputs, targets = small
    before = snapshot(unusual)
    found = {s: layer_norms(unusual, [(inputs, targets)], statistics=s) for s in ("batch", "running", "recomputed")}
    before.check()
    assert found["batch"] != found["running"]
    assert found["batch"] == layer_norms(unusual, [(inputs, targets)])
    plain = copy.deepcopy(unusual).train()
    plain[3].p = 0.0  # what a step sees, but for dropout
    plain.zero_grad()
    cross_entropy(plain(inputs), targets).backward()
    assert found["batch"][0].gradient == pytest.approx(plain[0].weight.grad.norm().item(), rel=1e-5)


def test_gains_biases_and_what_is_frozen_are_left_out():
    network = CifarResNet(8, in_shape=(1, 8, 8))
    network.classifier.weight.requires_grad_(False)
    names = [name for name, p in network.named_parameters() if p.ndim > 1 and p.requires_grad]
    batch = torch.randn(6, 1, 8, 8), torch.arange(6)
    for model in (network, ghost_batch_norm(copy.deepcopy(network), 2)):
        assert [row.name for row in layer_norms(model, [batch])] == names


def test_nothing_is_divided_by_zero():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False))
    nn.init.zeros_(model[1].weight)
    first, second = layer_norms(model, [(torch.eye(2), torch.ones(2, 1))], mse_loss)
    assert (first.gradient, first.ratio) == (0, math.inf)
    assert (second.weight, second.ratio) == (0, 0)
    nn.init.zeros_(model[0].weight)
    assert math.isnan(layer_norms(model, [(torch.eye(2), torch.ones(2, 1))], mse_loss)[0].ratio)


def test_a_model_without_weights_is_refused():
    with pytest.raises(UsageError, match="no trainable weight of more than one dimension"):
        layer_norms(nn.BatchNorm1d(2), [(torch.randn(4, 2), torch.zeros(4, 2))], mse_loss)


def test_the_example_in_the_documentation_runs():
    found = doctest.testmod(importlib.import_module("bsgap.measures.norms"))
    assert found.attempted
    assert not found.failed
