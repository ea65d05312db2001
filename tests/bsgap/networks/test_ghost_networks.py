"""Networks that are converted to ghost BatchNorm and back, what is refused, and what measures see of them."""

import copy

import pytest
import torch
from ghosts import values
from torch import nn

from bsgap.errors import UsageError
from bsgap.measures import evaluation_mode
from bsgap.networks import (
    CifarResNet,
    GhostBatchNorm1d,
    GhostBatchNorm2d,
    MobileNetV2,
    ghost_batch_norm,
    plain_batch_norm,
)


def test_a_network_in_training_has_the_gradients_of_its_ghost_batches():
    """A whole residual network: the mean loss over ghost batches that go through it one after the other."""
    torch.manual_seed(0)
    plain = CifarResNet(8, in_shape=(1, 8, 8)).double()
    ghost = ghost_batch_norm(copy.deepcopy(plain), 8)
    inputs, targets = values((1, 8, 8), 32), torch.arange(32) % 10
    nn.functional.cross_entropy(ghost(inputs), targets).backward()
    for part, right in zip(inputs.split(8), targets.split(8), strict=True):
        (nn.functional.cross_entropy(plain(part), right) / 4).backward()
    for mine, theirs in zip(ghost.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(mine.grad, theirs.grad, rtol=1e-9, atol=1e-12)


def test_conversion_keeps_parameters_names_and_hooks():
    network = MobileNetV2(in_shape=(3, 32, 32), width=0.25)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    before, names = list(network.parameters()), list(network.state_dict())
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    called = []
    norms[0].register_forward_hook(lambda *_: called.append(True))
    assert ghost_batch_norm(network, 4, "chunk") is network
    assert all(type(layer) is GhostBatchNorm2d and (layer.size, layer.updates) == (4, "chunk") for layer in norms)
    assert list(network.state_dict()) == names
    assert all(mine is theirs for mine, theirs in zip(network.parameters(), before, strict=True))
    network(torch.randn(8, 3, 32, 32)).sum().backward()
    optimizer.step()
    assert called
    assert plain_batch_norm(network) is network
    assert all(type(layer) is nn.BatchNorm2d and not hasattr(layer, "size") for layer in norms)
    network(torch.randn(8, 3, 32, 32))
    CifarResNet(8).load_state_dict(ghost_batch_norm(CifarResNet(8), 4).state_dict())


def test_a_ghost_gets_another_size():
    network = ghost_batch_norm(nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm2d(3)), 4)
    ghost_batch_norm(network, 8, "chunk")
    assert [(layer.size, layer.updates) for layer in network] == [(8, "chunk")] * 2
    assert "size=8, updates=chunk" in repr(network)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ghost_batch_norm(nn.Linear(2, 2), 4), "ghost_batch: the network has no BatchNorm layer"),
        (lambda: ghost_batch_norm(nn.SyncBatchNorm(2), 4), "SyncBatchNorm takes its statistics over all devices"),
        (lambda: ghost_batch_norm(nn.BatchNorm3d(2), 4), "expected BatchNorm layers .* got BatchNorm3d"),
        (lambda: ghost_batch_norm(nn.BatchNorm2d(2), 0), "ghost_batch must be at least 1, got 0"),
        (lambda: ghost_batch_norm(nn.BatchNorm2d(2), 8.0), "ghost_batch must be an integer, got 8.0"),
        (lambda: GhostBatchNorm2d(2, size=8.0), "ghost_batch must be an integer, got 8.0"),
        (lambda: GhostBatchNorm2d(2, 4, updates="epoch"), "updates must be one of step, chunk, got 'epoch'"),
        (lambda: GhostBatchNorm2d(2, 8)(torch.randn(4, 2, 3, 3)), "8 examples does not fit the batch of 4 .* at most 4"),
        (lambda: GhostBatchNorm1d(2, 1)(torch.randn(4, 2)), "has no variance"),
        (lambda: GhostBatchNorm1d(2, 4)(torch.randn(1, 2)), "has no variance"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_the_fix(make, words):
    with pytest.raises(UsageError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_nothing_is_converted_before_all_can_be():
    network = nn.Sequential(nn.BatchNorm2d(2), nn.SyncBatchNorm(2))
    with pytest.raises(UsageError):
        ghost_batch_norm(network, 4)
    assert type(network[0]) is nn.BatchNorm2d


def test_what_is_left_at_the_end_of_an_epoch_is_one_ghost_batch():
    layer = GhostBatchNorm2d(3, 8, dtype=torch.float64)
    layer(values((3, 4, 4), 16))
    rest = values((3, 4, 4), 5)
    assert torch.allclose(layer(rest), nn.BatchNorm2d(3, dtype=torch.float64)(rest), rtol=1e-12)
    resumed = GhostBatchNorm2d(3, 8, dtype=torch.float64)
    resumed.load_state_dict(layer.state_dict())
    resumed(rest)
    without = GhostBatchNorm2d(3, 8, track_running_stats=False)
    without(values((3, 4, 4), 16).float())
    without(rest.float())


@pytest.mark.parametrize("options", [{}, {"track_running_stats": False}], ids=["running averages", "none"])
def test_training_before_the_conversion_does_not_let_a_size_that_never_fits_pass(options):
    network = nn.Sequential(nn.BatchNorm2d(3, **options))
    network(torch.randn(32, 3, 4, 4))
    names = list(network.state_dict())
    ghost_batch_norm(network, 512)
    for _ in range(2):  # a second try counts as little as the first
        with pytest.raises(UsageError, match="a ghost batch of 512 examples does not fit the batch of 32"):
            network(torch.randn(32, 3, 4, 4))
    ghost_batch_norm(network, 32)
    network(torch.randn(32, 3, 4, 4))
    network(torch.randn(5, 3, 4, 4))  # the rest
    assert list(network.state_dict()) == names
    resumed = ghost_batch_norm(nn.Sequential(nn.BatchNorm2d(3)), 32)
    if not options:
        resumed.load_state_dict(network.state_dict())
        resumed(torch.randn(5, 3, 4, 4))
    with pytest.raises(UsageError, match="64 examples does not fit"):  # also of one that was a ghost already
        ghost_batch_norm(network, 64)(torch.randn(32, 3, 4, 4))
    plain_batch_norm(network)
    assert not {"_counted", "_trained", "size", "updates"} & vars(network[0]).keys()


@pytest.mark.parametrize("updates", ["step", "chunk"])
def test_measures_take_the_statistics_that_they_say(updates):
    ghost = ghost_batch_norm(nn.Sequential(nn.BatchNorm2d(4)), 8, updates).double()
    plain = nn.Sequential(nn.BatchNorm2d(4)).double()
    batches = [(values((4, 3, 3), count, seed=count), torch.zeros(count)) for count in (16, 12, 4)]
    probe = batches[0][0]
    with evaluation_mode(ghost, "batch"), evaluation_mode(plain, "batch"):
        assert torch.equal(ghost(probe), plain(probe))
    chunks = [(chunk, torch.zeros(len(chunk))) for inputs, _ in batches for chunk in inputs.split(8)]
    before = copy.deepcopy(ghost.state_dict())
    with evaluation_mode(ghost, "recomputed", batches), evaluation_mode(plain, "recomputed", chunks):
        assert torch.allclose(ghost(probe), plain(probe), rtol=1e-12)
    assert (ghost[0].size, ghost[0].updates) == (8, updates)
    assert all(torch.equal(ghost.state_dict()[name], value) for name, value in before.items())
