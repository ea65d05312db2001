import pytest
import torch
from torch import nn
from torch.nn.functional import batch_norm

from bsgap.errors import UsageError
from bsgap.measures import evaluation_mode, untouched


@pytest.fixture
def norm(small):
    """A lone BatchNorm layer with momentum and running averages of its own, and inputs."""
    layer = nn.BatchNorm1d(4, momentum=0.3)
    layer(small[1] * 2 + 1)
    return layer, small[1]


def test_batch_statistics_are_those_of_the_batch(norm):
    layer, inputs = norm
    with evaluation_mode(layer, "batch"):
        torch.testing.assert_close(layer(inputs[:6]), batch_norm(inputs[:6], None, None, training=True))
    assert layer.num_batches_tracked == 1


def test_running_statistics_are_the_running_averages(norm):
    layer, inputs = norm
    with evaluation_mode(layer, "running"):
        scale = (layer.running_var + layer.eps).sqrt()
        torch.testing.assert_close(layer(inputs), (inputs - layer.running_mean) / scale)


@pytest.mark.parametrize("sizes", [[10], [7, 3], [2, 2, 6]])
def test_recomputed_statistics_are_weighted_by_example(norm, ragged, sizes):
    layer, inputs = norm
    layer.double()
    inputs = inputs.double()
    batches = ragged(inputs, torch.zeros(10), sizes)
    mean = sum(len(x) * x.mean(0) for x, _ in batches) / 10
    variance = sum(len(x) * x.var(0) for x, _ in batches) / 10
    with evaluation_mode(layer, "recomputed", batches):
        torch.testing.assert_close(layer(inputs), (inputs - mean) / (variance + layer.eps).sqrt())
    assert layer.momentum == 0.3


def test_layer_without_running_averages_takes_the_batch(small):
    layer = nn.BatchNorm1d(4, track_running_stats=False)
    for statistics in ("batch", "running", "recomputed"):
        with evaluation_mode(layer, statistics, [(small[1], small[2])]):
            torch.testing.assert_close(layer(small[1][:3]), batch_norm(small[1][:3], None, None, training=True))


def test_dropout_is_off(small):
    layer = nn.Dropout(0.9).train()
    for statistics in ("batch", "running", "recomputed"):
        with evaluation_mode(layer, statistics, [(small[1], small[2])]):
            assert torch.equal(layer(small[1]), small[1])
    assert layer.training


@pytest.mark.parametrize("statistics", ["batch", "running", "recomputed"])
def test_mode_leaves_everything_as_it_was(unusual, small, snapshot, statistics):
    before = snapshot(unusual)
    with evaluation_mode(unusual, statistics, [(small[1], small[2])]):
        unusual(small[1])
    before.check()


def test_untouched_takes_back_what_was_done_inside(unusual, snapshot):
    @untouched(unusual)
    def meddle():
        for parameter in unusual.parameters():
            parameter.data = torch.zeros_like(parameter)
            parameter.grad = torch.ones_like(parameter)
        unusual[1].running_mean.fill_(7)
        unusual.requires_grad_(True).train()
        torch.rand(3)
        raise KeyError

    before = snapshot(unusual)
    with pytest.raises(KeyError):
        meddle()
    before.check()


def test_buffer_shared_by_two_modules_stays_shared():
    one, two = nn.Module(), nn.Module()
    one.register_buffer("table", torch.ones(2))
    two.register_buffer("table", one.table)
    with untouched(nn.ModuleList([one, two])):
        one.table.fill_(3)
        assert torch.equal(two.table, torch.full((2,), 3.0))
    assert one.table is two.table
    assert torch.equal(one.table, torch.ones(2))


def test_usage_errors(small):
    with pytest.raises(UsageError, match="statistics must be one of batch, running, recomputed, got 'mean'"):
        evaluation_mode(small[0](), "mean").__enter__()
    with pytest.raises(UsageError, match="needs the batches"):
        evaluation_mode(small[0](), "recomputed").__enter__()
