"""SAM and ASAM against loops by hand in float64, and their state."""

import copy
import functools
import importlib
import io
import pickle

import numpy as np
import pytest
import torch
from sam_steps import BASES, KINDS, batches, by_hand, closure_of, model, same, train
from torch import nn
from torch.nn.functional import cross_entropy

from bsgap.callbacks.multipliers import effective_rate, multiply, remove
from bsgap.errors import UsageError
from bsgap.measures import linear_approximation
from bsgap.optim import ASAM, SAM


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("base", BASES)
def test_steps_are_those_of_a_loop_by_hand(base, kind):
    """BatchNorm's statistics too, and the loss is that of the first pass."""
    options, eta, least = KINDS[kind]
    found, expected = model(), model()
    losses = train(found, SAM(found.parameters(), BASES[base], **options))
    assert losses == pytest.approx(
        by_hand(expected, BASES[base](expected.parameters()), options["rho"], eta, least), rel=1e-9
    )
    assert same(expected, found, rtol=1e-9, atol=1e-12)
    assert int(found[1].num_batches_tracked) == 5


@pytest.mark.parametrize("base", BASES)
def test_rho_0_is_the_base_to_the_bit(base):
    found, expected = model(), model()
    optimizer = SAM(found.parameters(), BASES[base], rho=0)
    evaluated = []
    hook = found.register_forward_hook(lambda *_: evaluated.append(1))
    train(found, optimizer)
    hook.remove()
    train(expected, BASES[base](expected.parameters()))
    assert same(expected, found)
    assert len(evaluated) == 5
    optimizer.step()  # with the gradient at hand, as under a gradient scaler


def test_asam_is_sam_that_is_adaptive():
    found, expected = model(), model()
    train(found, ASAM(found.parameters(), BASES["sgd"]))
    train(expected, SAM(expected.parameters(), BASES["sgd"], rho=0.5, adaptive=True, eta=0.01))
    assert same(expected, found)


@pytest.mark.parametrize(("scaled", "least"), [(True, 0), (False, 9)])
def test_a_group_says_what_asam_scales(scaled, least):
    found, expected = model(), model()
    train(found, ASAM([{"params": list(found.parameters()), "scaled": scaled}], BASES["sgd"]))
    by_hand(expected, BASES["sgd"](expected.parameters()), 0.5, 0.01, least)
    assert same(expected, found, rtol=1e-9, atol=1e-12)


def test_the_norm_is_over_all_groups_and_frozen_weights_stay():
    found, expected = model(), model()
    for network in (found, expected):
        network[0].weight.requires_grad_(False)
        network[0].weight.grad = torch.ones_like(network[0].weight)  # left from before; the closure clears it
    groups = [{"params": found[0].parameters()}, {"params": [*found[1].parameters(), *found[3].parameters()]}]
    train(found, SAM(groups, BASES["adam"], rho=0.3))
    start = expected[0].weight.clone()
    optimizer = SAM([p for p in expected.parameters() if p.requires_grad], BASES["adam"], rho=0.3)
    train(expected, optimizer)
    assert same(expected, found)
    assert torch.equal(found[0].weight, start)


def test_a_closure_need_not_clear_the_gradient():
    found, expected = model(), model()
    optimizer = SAM(found.parameters(), BASES["sgd"], rho=0.3)
    for inputs, targets in batches():

        def closure(network, inputs=inputs, targets=targets):
            loss = cross_entropy(network(inputs), targets)
            loss.backward()
            return loss

        optimizer.step(functools.partial(closure, found))
    train(expected, SAM(expected.parameters(), BASES["sgd"], rho=0.3))
    assert same(expected, found)


def test_the_base_steps_from_the_old_bits():
    network, seen = model(), []

    class Watching(torch.optim.SGD):
        def step(self, closure=None):
            seen.append([w.detach().clone() for w in network.parameters()])
            return super().step(closure)

    optimizer = SAM(network.parameters(), functools.partial(Watching, lr=0.1), rho=3.7)
    for batch in batches():
        before = [w.detach().clone() for w in network.parameters()]
        optimizer.step(closure_of(network, optimizer, *batch))
        assert all(torch.equal(a, b) for a, b in zip(before, seen[-1], strict=True))


def test_a_gradient_of_zero_perturbs_nothing():
    w = nn.Parameter(torch.tensor([1.0, -2.0]))
    seen = []

    def closure():
        seen.append(w.detach().clone())
        loss = (0 * w).sum()
        loss.backward()
        return loss

    for make in (SAM, ASAM):
        make([w], functools.partial(torch.optim.SGD, lr=1.0)).step(closure)
    assert all(torch.equal(value, torch.tensor([1.0, -2.0])) for value in seen)
    assert torch.equal(w, torch.tensor([1.0, -2.0]))


def test_an_error_in_the_second_pass_leaves_the_weights():
    network, calls = model(), []
    optimizer = SAM(network.parameters(), BASES["sgd"])
    before = copy.deepcopy(network)
    inputs, targets = batches()[0]

    def closure(network):
        calls.append(1)
        loss = cross_entropy(network(inputs), targets)
        if len(calls) == 2:
            raise KeyboardInterrupt
        loss.backward()
        return loss

    with pytest.raises(KeyboardInterrupt):
        optimizer.step(functools.partial(closure, network))
    for one, two in zip(before.parameters(), network.parameters(), strict=True):
        assert torch.equal(one, two)
    assert int(network[1].num_batches_tracked) == 1


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("copied", ["state dict", "file", "deepcopy", "pickle"])
def test_it_goes_on_as_if_never_stopped(base, copied):
    whole, data = model(), batches()
    train(whole, SAM(whole.parameters(), BASES[base], rho=0.3, adaptive=True, eta=0.2), data)
    first = model()
    optimizer = SAM(first.parameters(), BASES[base], rho=0.3, adaptive=True, eta=0.2)
    train(first, optimizer, data[:3])
    if copied in ("deepcopy", "pickle"):
        both = first, optimizer
        second, again = copy.deepcopy(both) if copied == "deepcopy" else pickle.loads(pickle.dumps(both))
    else:
        second = copy.deepcopy(first)
        again = SAM(second.parameters(), BASES[base])  # other options: those of the state hold
        state = copy.deepcopy(optimizer.state_dict())
        if copied == "file":
            file = io.BytesIO()
            torch.save(state, file)
            state = torch.load(io.BytesIO(file.getvalue()), weights_only=True)
        again.load_state_dict(state)
    assert (again.rho, again.adaptive, again.eta) == (0.3, True, 0.2)
    assert again.param_groups is again.base.param_groups
    assert again.state is again.base.state
    assert all(w in again.state for w in second.parameters())
    train(second, again, data[3:])
    assert same(whole, second)
    train(first, optimizer, data[3:])  # the one that was copied goes on too
    assert same(whole, first)


def test_the_state_of_the_base_alone_is_taken_up():
    network = model()
    base = BASES["adam"](network.parameters())
    train(network, base)
    optimizer = SAM(network.parameters(), BASES["adam"], rho=0.3)
    optimizer.load_state_dict(base.state_dict())
    assert optimizer.rho == 0.3
    assert torch.equal(optimizer.state[network[0].weight]["exp_avg"], base.state[network[0].weight]["exp_avg"])
    base.load_state_dict(optimizer.state_dict())  # and the other way


@pytest.mark.filterwarnings("error")
def test_schedules_see_the_base():
    network = model()
    optimizer = SAM(network.parameters(), BASES["sgd"], rho=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10)  # of the momentum too
    for batch in batches(3):
        optimizer.step(closure_of(network, optimizer, *batch))
        schedule.step()
    group = optimizer.base.param_groups[0]
    assert group["lr"] == schedule.get_last_lr()[0] != 0.1
    assert group["momentum"] != 0.9


def test_a_factor_of_the_rate_holds_for_the_base():
    found, expected = model(), model()
    optimizer = SAM(found.parameters(), BASES["sgd"])
    multiply(optimizer, "decay", lambda: 0.5)
    assert effective_rate(optimizer) == 0.05
    train(found, optimizer)
    remove(optimizer, "decay")
    assert optimizer.param_groups[0]["lr"] == 0.1
    train(expected, SAM(expected.parameters(), functools.partial(BASES["sgd"], lr=0.05)))
    assert same(expected, found)


def test_a_group_that_is_added_later():
    network = model()
    optimizer = ASAM(network[0].parameters(), BASES["sgd"])
    optimizer.add_param_group({"params": list(network[3].parameters()), "lr": 0.5, "scaled": False})
    assert [group["lr"] for group in optimizer.base.param_groups] == [0.1, 0.5]
    train(network, optimizer)
    with pytest.raises(UsageError, match="scaled of a parameter group must be true, false or absent, got 3"):
        optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))], "scaled": 3})


def test_the_step_that_is_measured_leaves_it_as_it_was():
    """The linear-approximation error takes the optimizer's own step on a copy of its state."""
    network = model(norm=False)
    optimizer = SAM(network.parameters(), BASES["sgd"], rho=0.3)
    train(network, optimizer)
    before = copy.deepcopy((network.state_dict(), optimizer.state_dict()))
    mini = [batches()[0]]
    linear_approximation(network, mini, mini, optimizer=optimizer, loss=cross_entropy)
    after = network.state_dict(), optimizer.state_dict()
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    clone, other = copy.deepcopy((network, optimizer))
    train(network, optimizer)
    train(clone, other)
    assert same(clone, network)


def test_half_precision_weights_are_perturbed():
    w = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.bfloat16))
    v = nn.Parameter(torch.tensor([3.0]))
    seen = []

    def closure():
        seen.append((w.detach().clone(), v.detach().clone()))
        loss = (3 * w).sum() + (4 * v).sum()
        loss.backward()
        return loss

    SAM([w, v], functools.partial(torch.optim.SGD, lr=0.0), rho=0.5).step(closure)
    length = 0.5 / (9 + 9 + 16) ** 0.5
    torch.testing.assert_close(seen[1][0], torch.tensor([1 + 3 * length, -2 + 3 * length], dtype=torch.bfloat16))
    torch.testing.assert_close(seen[1][1], torch.tensor([3 + 4 * length]))


def test_an_autocast_that_keeps_copies_of_the_weights_is_no_trap():
    """A copy in bfloat16 that the first pass left behind would stand for the perturbed weights in the second."""
    found = []
    for cached in (True, False):
        network = model(norm=False).float()
        optimizer = SAM(network.parameters(), functools.partial(torch.optim.SGD, lr=0.1), rho=2.0)
        inputs, targets = batches()[0]
        with torch.autocast("cpu", torch.bfloat16, cache_enabled=cached):
            optimizer.step(closure_of(network, optimizer, inputs.float(), targets))
        found.append(network)
    assert same(*found)


@pytest.mark.parametrize("make", [SAM, ASAM])
def test_what_is_maximised_is_perturbed_towards_its_lowest_point(make):
    """The same weights come out as of minimising the negative."""

    def trained(sign, **options):
        w = nn.Parameter(torch.tensor([[3.0, -1.0]]))
        optimizer = make([w], functools.partial(torch.optim.SGD, lr=0.1, **options), rho=0.5)

        def closure():
            loss = sign * (w**2).sum() + sign * w[0, 0]
            loss.backward()
            return loss

        for _ in range(3):
            optimizer.step(closure)
        return w.detach()

    assert torch.equal(trained(-1, maximize=True), trained(1))


def test_gradients_are_taken_where_they_are_switched_off_outside():
    w = nn.Parameter(torch.tensor([3.0]))

    def closure():
        loss = w.square().sum()
        loss.backward()
        return loss

    with torch.no_grad():
        SAM([w], functools.partial(torch.optim.SGD, lr=0.1), rho=0.5).step(closure)
    assert w.item() == pytest.approx(2.3)


@pytest.mark.parametrize("number", [np.float32, np.float64, np.int64])
def test_numbers_of_numpy_are_numbers(number):
    assert SAM([nn.Parameter(torch.ones(2))], BASES["sgd"], rho=number(1)).rho == 1


@pytest.mark.parametrize("name", ["sam", "perturbation"])
def test_the_examples_in_the_documentation_run(name):
    import doctest

    found = doctest.testmod(importlib.import_module(f"bsgap.optim.{name}"))
    assert found.attempted
    assert not found.failed
