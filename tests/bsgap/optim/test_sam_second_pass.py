"""The second pass leaves no trace, and draws what the first one drew."""

import functools
import random

import numpy as np
import pytest
import torch
from torch import nn
from torchmetrics import MetricCollection, MinMaxMetric
from torchmetrics.classification import BinaryAccuracy, BinaryPrecision

from bsgap.networks import GhostBatchNorm1d
from bsgap.optim.closures import SummedClosure, request_of
from bsgap.optim.second_pass import Draws, second_pass

NORMS = {
    "batch": nn.BatchNorm1d(3),
    "average": nn.BatchNorm1d(3, momentum=None),
    "without averages": nn.BatchNorm1d(3, track_running_stats=False),
    "instance": nn.InstanceNorm1d(3, track_running_stats=True),
    "ghost": GhostBatchNorm1d(3, size=2),
    "ghost, in chunks": GhostBatchNorm1d(3, size=2, updates="chunk"),
}


@pytest.mark.parametrize("found", [True, False], ids=["module", "hook"])
@pytest.mark.parametrize("kind", NORMS)
def test_running_statistics_stay(kind, found):
    layer = NORMS[kind].train()
    inputs = torch.randn(4, 3, 5)
    outside = layer(inputs)
    before = {name: value.clone() for name, value in layer.named_buffers()}
    places = {name: value.data_ptr() for name, value in layer.named_buffers()}
    with second_pass(layer if found else None):
        assert torch.equal(layer(inputs), outside)  # with the statistics of the batch, as in the first
    for name, value in layer.named_buffers():
        assert torch.equal(value, before[name])
        assert value.data_ptr() == places[name]
    assert layer.training
    layer(inputs)
    assert kind == "without averages" or not torch.equal(dict(layer.named_buffers())["running_mean"], torch.zeros(3))


def test_sync_batch_norm_is_a_batch_norm():
    layer = nn.SyncBatchNorm(3)
    with second_pass(layer):
        layer.running_mean += 1  # its forward pass needs a GPU
        layer.num_batches_tracked += 1
    assert not layer.running_mean.any()
    assert int(layer.num_batches_tracked) == 0


def test_buffers_that_are_replaced_or_shared_come_back():
    layer = nn.Module()
    layer.register_buffer("queue", torch.zeros(2))
    layer.child = nn.Module()
    layer.child.register_buffer("same", layer.queue)
    queue = layer.queue

    def interrupted():
        with second_pass(layer):
            layer.queue += 1
            layer.queue = torch.ones(3)
            layer.register_buffer("new", torch.ones(1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert layer.queue is queue is layer.child.same
    assert torch.equal(queue, torch.zeros(2))
    assert list(layer._buffers) == ["queue"]


def test_metrics_stay():
    class Module(nn.Module):
        def __init__(self):
            super().__init__()
            self.scores = MetricCollection([BinaryAccuracy(), BinaryPrecision()])
            self.range = MinMaxMetric(BinaryAccuracy())
            self.all = BinaryAccuracy(multidim_average="samplewise")  # which keeps a list

    module = Module()
    right, wrong = (torch.tensor([1.0, 0.0]), torch.tensor([1, 0])), (torch.tensor([1.0, 0.0]), torch.tensor([0, 1]))

    def update(pair):
        module.scores.update(*pair)
        module.range.update(*pair)
        module.all.update(*(value[None] for value in pair))

    update(right)
    update(right)
    with second_pass(module):
        update(wrong)
        module.range(*wrong)
        module.scores.compute()
    assert module.scores.compute() == {"BinaryAccuracy": 1, "BinaryPrecision": 1}
    assert module.range.compute() == {"raw": 1, "min": 1, "max": 1}
    assert torch.equal(module.all.compute(), torch.ones(2))
    update(wrong)
    assert module.scores.compute()["BinaryAccuracy"] == pytest.approx(2 / 3)


def test_the_same_numbers_are_drawn_again():
    def drawn():
        return random.random(), np.random.rand(), torch.rand(1).item()

    draws = Draws([torch.device("cpu")])
    first = drawn()
    after = drawn()
    draws.again()
    assert drawn() == first
    assert drawn() == after != first


def test_a_closure_of_shares():
    told = []
    shares = [lambda: told.append("one") or torch.tensor(1.0), lambda: told.append("two") or torch.tensor(2.0)]
    closure = SummedClosure(shares, lambda: told.append("clear"), lambda: told.append("finish"))
    assert closure() == 3
    assert told == ["clear", "one", "two", "finish"]
    told.clear()
    request = request_of(closure)
    assert (list(request.shares), request.module) == (shares, None)
    assert request.finished(lambda: told.append("gradient") or 5) == 5
    assert told == ["gradient", "finish"]


def test_a_module_is_found_among_the_arguments():
    module = nn.Linear(1, 1)
    assert request_of(functools.partial(print, 1, module)).module is module
    assert request_of(functools.partial(print, model=module)).module is module
    assert request_of(print).module is None
