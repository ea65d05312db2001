"""LARS against steps by hand, an independent loop in float64, and what a training asks of an optimizer."""

import copy
import doctest
import importlib
import math
import warnings

import pytest
import torch
from torch import nn

from bsgap.callbacks.multipliers import effective_rate, multiply, remove
from bsgap.errors import UsageError
from bsgap.optim import LARS
from bsgap.tasks.step import optimizer_step


def weight(*rows):
    return nn.Parameter(torch.tensor(rows, dtype=torch.float64))


def test_two_steps_by_hand():
    """‖w‖ = 5, ‖g‖ = 2, η = 0.1, β = 0.5, m = 0.5, γ = 2.

    Step 1: λ = 0.1·5/(2 + 0.5·5) = 1/9; v = 2/9·((0, 2) + 0.5·(3, 4)) = (1/3, 8/9); w = (8/3, 28/9).
    Step 2, g = (0, 0): λ = 1; v = (1/6, 4/9) + 2·0.5·(8/3, 28/9) = (17/6, 32/9); w = (-1/6, -4/9).
    """
    w = weight([3.0, 4.0])
    optimizer = LARS([w], lr=2.0, momentum=0.5, weight_decay=0.5, trust=0.1)
    w.grad = torch.tensor([[0.0, 2.0]], dtype=torch.float64)
    optimizer.step()
    assert w.tolist()[0] == pytest.approx([8 / 3, 28 / 9], rel=1e-12)
    w.grad = torch.zeros_like(w)
    optimizer.step()
    assert w.tolist()[0] == pytest.approx([-1 / 6, -4 / 9], rel=1e-12)


def test_the_first_step_is_as_long_as_rate_times_trust_times_norm_whatever_the_gradient():
    for size in (1e-6, 1.0, 1e6):
        w = weight([3.0, 4.0])
        w.grad = size * torch.tensor([[0.6, -0.8]], dtype=torch.float64)
        LARS([w], lr=2.0, trust=0.01).step()
        assert (w - weight([3.0, 4.0])).norm().item() == pytest.approx(2.0 * 0.01 * 5, rel=1e-12)


def network(dtype=torch.float64):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(48, 4)).to(dtype)


def batch(seed, dtype=torch.float64):
    draws = torch.Generator().manual_seed(seed)
    return torch.randn(8, 1, 6, 6, generator=draws).to(dtype), torch.randint(0, 4, (8,), generator=draws)


def take(model, optimizer, seed):
    inputs, targets = batch(seed, next(model.parameters()).dtype)
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(inputs), targets).backward()
    optimizer.step()


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("exclude", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_five_steps_equal_a_loop_over_the_weights(momentum, exclude, nesterov):
    if nesterov and not momentum:
        return
    model, trust, decay, eps = network(), 0.02, 0.1, 1e-3
    optimizer = LARS(
        model.parameters(), 1.0, momentum, decay, trust, exclude_one_dimensional=exclude, eps=eps, nesterov=nesterov
    )
    mirror = [p.detach().clone().numpy() for p in model.parameters()]
    velocities = [0 * values for values in mirror]
    for step in range(5):
        rate = optimizer.param_groups[0]["lr"] = 1.0 / (step + 1)
        take(model, optimizer, step)
        for place, p in enumerate(model.parameters()):
            w, g = mirror[place], p.grad.numpy()
            size, slope = math.sqrt((w * w).sum()), math.sqrt((g * g).sum())
            plain = exclude and w.ndim == 1
            local = 1.0 if plain or not size or not slope else trust * size / (slope + decay * size + eps)
            change = rate * local * (g + (0 if plain else decay) * w)
            velocities[place] = momentum * velocities[place] + change
            mirror[place] = w - (change + momentum * velocities[place] if nesterov else velocities[place])
        for p, expected in zip(model.parameters(), mirror, strict=True):
            assert torch.allclose(p, torch.from_numpy(expected), rtol=1e-10, atol=1e-13)


def test_a_weight_of_norm_zero_takes_a_plain_step_and_one_without_gradient_only_decays():
    w, still = weight([0.0, 0.0]), weight([2.0, 0.0])
    w.grad, still.grad = torch.tensor([[1.0, -2.0]], dtype=torch.float64), torch.zeros_like(still)
    LARS([w, still], lr=0.5, weight_decay=0.1).step()
    assert w.tolist() == [[-0.5, 1.0]]
    assert still.tolist()[0] == pytest.approx([2 - 0.5 * 0.1 * 2, 0])


def test_one_dimension_is_excluded_from_scaling_and_decay():
    gain = nn.Parameter(torch.tensor([1.0, 2.0]))
    gain.grad = torch.tensor([0.5, 0.5])
    LARS([gain], lr=0.1, weight_decay=10.0).step()
    assert gain.tolist() == pytest.approx([0.95, 1.95])


def test_a_group_without_trust_takes_plain_steps_with_its_decay():
    scaled, plain = weight([1.0, 0.0]), weight([1.0, 0.0])
    scaled.grad = plain.grad = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    LARS([{"params": [scaled]}, {"params": [plain], "trust": None}], lr=1.0, weight_decay=0.5, trust=0.1).step()
    assert plain.tolist() == [[0.5, -1.0]]
    assert scaled.tolist()[0] == pytest.approx([1 - 0.1 / 1.5 * 0.5, -0.1 / 1.5])


def test_without_momentum_there_is_no_state_and_what_has_no_gradient_stays():
    w, idle = weight([1.0, 1.0]), weight([1.0, 1.0])
    optimizer = LARS([w, idle], lr=1.0, momentum=0.0)
    w.grad = torch.ones_like(w)
    optimizer.step()
    assert not optimizer.state
    assert torch.equal(idle, weight([1.0, 1.0]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_types_mix(dtype):
    model = nn.Sequential(nn.Linear(4, 4).to(dtype), nn.Linear(4, 4).double())
    optimizer = LARS(model.parameters(), lr=1.0, weight_decay=0.1)
    before = copy.deepcopy(model)
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    optimizer.step()
    for p, start in zip(model.parameters(), before.parameters(), strict=True):
        assert p.dtype == start.dtype
        assert not torch.equal(p, start)


def test_a_state_that_was_saved_goes_on_to_the_bit(tmp_path):
    model = network(torch.float32)
    optimizer = LARS(model.parameters(), lr=0.5, weight_decay=0.01)
    for seed in range(3):
        take(model, optimizer, seed)
    torch.save([model.state_dict(), optimizer.state_dict()], tmp_path / "resume.pt")
    other = network(torch.float32)
    resumed = LARS(other.parameters(), lr=0.1)
    weights, state = torch.load(tmp_path / "resume.pt", weights_only=True)
    other.load_state_dict(weights)
    resumed.load_state_dict(state)
    for seed in range(3, 6):
        take(model, optimizer, seed)
        take(other, resumed, seed)
    assert all(torch.equal(one, two) for one, two in zip(model.parameters(), other.parameters(), strict=True))


def test_a_closure_is_asked_once_and_its_loss_comes_back():
    w = weight([1.0, 2.0])
    optimizer, asked = LARS([w], lr=0.1), []

    def closure():
        optimizer.zero_grad()
        loss = w.square().sum()
        loss.backward()
        asked.append(loss)
        return loss

    assert optimizer.step(closure).item() == 5
    assert len(asked) == 1
    loss = optimizer_step(optimizer, [w], lambda: closure().detach())
    assert loss.item() == pytest.approx(w.square().sum().item(), rel=1e-3)


def test_a_factor_of_the_rate_is_a_factor_of_the_step():
    steps = []
    for factor in (None, 0.25):
        w = weight([3.0, 4.0])
        optimizer = LARS([w], lr=1.0)
        if factor:
            multiply(optimizer, "warm-up", lambda: 0.25)
            assert effective_rate(optimizer) == 0.25
        w.grad = torch.ones_like(w)
        optimizer.step()
        remove(optimizer, "warm-up")
        steps.append(w.detach() - weight([3.0, 4.0]))
    assert torch.allclose(steps[1], 0.25 * steps[0], rtol=1e-12)


def test_past_steps_keep_their_rates():
    """v has the rates in it: at a rate of 0 it only fades, and what it was at comes from the rate of then."""
    w = weight([3.0, 4.0])
    optimizer = LARS([w], lr=1.0, momentum=0.5)
    w.grad = torch.ones_like(w)
    optimizer.step()
    first = weight([3.0, 4.0]) - w.detach()
    optimizer.param_groups[0]["lr"] = 0.0
    before = w.detach().clone()
    optimizer.step()
    assert torch.allclose(before - w, 0.5 * first, rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lr": -1.0}, "lr must be 0 or more, got -1"),
        ({"lr": math.nan}, "lr must be 0 or more, got nan"),
        ({"momentum": 1.0}, r"momentum must be in \[0, 1\), got 1"),
        ({"weight_decay": -0.1}, "weight_decay must be 0 or more"),
        ({"trust": 0.0}, "trust must be above 0, got 0.0. The paper has 0.001"),
        ({"eps": -1e-8}, "eps must be 0 or more"),
        ({"momentum": 0.0, "nesterov": True}, "nesterov needs a momentum above 0"),
    ],
)
def test_options_out_of_range_are_refused(options, words):
    with pytest.raises(UsageError, match=words):
        LARS([weight([1.0, 1.0])], **{"lr": 0.1, **options})


def test_a_group_out_of_range_is_refused():
    with pytest.raises(UsageError, match="trust must be above 0"):
        LARS([{"params": [weight([1.0, 1.0])], "trust": -1.0}], lr=0.1)


def test_a_sparse_gradient_is_refused():
    table = nn.Embedding(4, 2, sparse=True)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(UsageError, match="LARS takes dense gradients"):
        LARS(table.parameters(), lr=0.1).step()


def test_a_schedule_of_torch_takes_it():
    w = weight([1.0, 1.0])
    optimizer = LARS([w], lr=1.0)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.1)
    w.grad = torch.ones_like(w)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step()
        schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1)


def test_the_example_in_the_documentation_runs():
    found = doctest.testmod(importlib.import_module("bsgap.optim.lars"))
    assert found.attempted
    assert not found.failed
