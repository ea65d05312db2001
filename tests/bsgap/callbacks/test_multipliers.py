"""Factors hung on an optimizer: the rate in each step is their product, and between the steps nothing has happened."""

import copy
import doctest
import gc
import itertools
import weakref

import pytest
import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import nn
from torch.optim.lr_scheduler import ExponentialLR
from watched import RATE, Watched

from bsgap.callbacks import multipliers
from bsgap.callbacks.multipliers import effective_rate, multiply, remove
from bsgap.errors import UsageError

FACTORS = {"warm-up": 0.1, "decay": 0.3, "ramp": 0.7}


@pytest.fixture
def optimizer():
    return made()


def made(**options):
    return Watched([nn.Parameter(torch.ones(2))], **options)


def hooks(optimizer):
    return [*optimizer._optimizer_step_pre_hooks.values(), *optimizer._optimizer_step_post_hooks.values()]


@pytest.mark.parametrize("share", [0.1, 1 / 3, 1.0, 0.0, 7.5])
def test_one_factor_multiplies_the_rate_as_a_product_of_two_numbers(optimizer, share):
    multiply(optimizer, "warm-up", lambda: share)
    optimizer.step()
    assert optimizer.rates == [RATE * share]
    assert optimizer.param_groups[0]["lr"] == RATE


def test_several_factors_give_the_same_bits_in_any_order():
    seen = set()
    for order in itertools.permutations(FACTORS):
        optimizer = made()
        for name in order:
            multiply(optimizer, name, lambda name=name: FACTORS[name])
        assert effective_rate(optimizer) == pytest.approx(RATE * 0.021, rel=1e-12)
        for _ in range(3):
            optimizer.step()
            assert optimizer.param_groups[0]["lr"] == RATE
        assert set(optimizer.rates) == {effective_rate(optimizer)}
        seen.update(optimizer.rates)
    assert len(seen) == 1


@pytest.mark.parametrize("order", list(itertools.permutations(FACTORS)))
def test_factors_come_off_in_any_order(optimizer, order):
    for name, factor in FACTORS.items():
        multiply(optimizer, name, lambda factor=factor: factor)
    left = dict(FACTORS)
    for name in order:
        optimizer.step()
        remove(optimizer, name)
        del left[name]
        expected = RATE
        for factor in left.values():
            expected *= factor
        assert effective_rate(optimizer) == pytest.approx(expected, rel=1e-12)
        optimizer.step()
        assert optimizer.rates[-1] == pytest.approx(expected, rel=1e-12)
        assert optimizer.param_groups[0]["lr"] == RATE
    assert not hooks(optimizer)


def test_the_factor_is_asked_once_a_step_and_follows_what_it_depends_on(optimizer):
    shares = iter([0.5, 0.25, 0.125])
    multiply(optimizer, "decay", lambda: next(shares))
    for _ in range(3):
        optimizer.step()
    assert optimizer.rates == [RATE * 0.5, RATE * 0.25, RATE * 0.125]


def test_every_group_keeps_its_own_rate():
    groups = [{"params": [nn.Parameter(torch.ones(1))], "lr": rate} for rate in (1.0, 0.1, torch.tensor(0.01))]
    optimizer = torch.optim.SGD(groups)
    before = [group["lr"] for group in groups]
    for group in groups:
        group["params"][0].grad = torch.ones(1)
    multiply(optimizer, "decay", lambda: 0.5)
    optimizer.step()
    assert [group["params"][0].item() for group in groups] == pytest.approx([0.5, 0.95, 0.995])
    assert all(group["lr"] is rate for group, rate in zip(optimizer.param_groups, before, strict=True))


def test_a_schedule_sees_the_rates_that_it_set(optimizer):
    schedule = ExponentialLR(optimizer, 0.5)
    multiply(optimizer, "decay", lambda: 0.1)
    for _ in range(3):
        optimizer.step()
        schedule.step()
    assert optimizer.rates == pytest.approx([RATE * 0.1 * 0.5**k for k in range(3)])
    assert optimizer.param_groups[0]["lr"] == RATE * 0.125


def test_a_closure_that_is_called_twice_sees_the_same_rate():
    class Twice(torch.optim.SGD):
        def step(self, closure):
            closure()
            closure()
            return super().step()

    optimizer, seen = Twice([nn.Parameter(torch.ones(1))], lr=RATE), []
    multiply(optimizer, "decay", lambda: 0.5)
    optimizer.step(lambda: seen.append(optimizer.param_groups[0]["lr"]))
    assert seen == [RATE / 2] * 2
    assert optimizer.param_groups[0]["lr"] == RATE


def test_another_optimizer_that_steps_inside_has_factors_of_its_own(optimizer):
    inner = made()
    multiply(optimizer, "decay", lambda: 0.5)
    multiply(inner, "decay", lambda: 0.25)
    optimizer.step(lambda: inner.step())
    assert (optimizer.rates, inner.rates) == ([RATE * 0.5], [RATE * 0.25])
    assert effective_rate(optimizer) == RATE * 0.5


class Fails(Exception):
    pass


def fail():
    raise Fails


def failed(optimizer):
    with pytest.raises(Fails):
        optimizer.step(fail)


def test_a_step_that_fails_does_not_multiply_the_next_one_twice(optimizer):
    multiply(optimizer, "decay", lambda: 0.5)
    multiply(optimizer, "warm-up", lambda: 0.25)
    failed(optimizer)
    assert effective_rate(optimizer) == RATE / 8
    failed(optimizer)
    optimizer.step()
    assert optimizer.rates == [RATE / 8] * 3
    assert optimizer.param_groups[0]["lr"] == RATE


@pytest.mark.parametrize("order", [("decay", "warm-up"), ("warm-up", "decay")])
def test_factors_that_come_off_after_a_failed_step_leave_the_full_rate(optimizer, order):
    for name in ("decay", "warm-up"):
        multiply(optimizer, name, lambda: 0.5)
    failed(optimizer)
    for name in order:
        remove(optimizer, name)
        assert optimizer.param_groups[0]["lr"] == RATE
    assert not hooks(optimizer)


@pytest.mark.parametrize(("gone", "rate"), [(["decay"], 0.25), (["warm-up"], 0.5), (["decay", "warm-up"], 1.0)])
def test_a_factor_taken_off_in_the_middle_of_a_step_is_gone_at_once(optimizer, gone, rate):
    multiply(optimizer, "decay", lambda: 0.5)
    multiply(optimizer, "warm-up", lambda: 0.25)
    seen = []

    def closure():
        for name in gone:
            remove(optimizer, name)
        seen.append(optimizer.param_groups[0]["lr"])

    optimizer.step(closure)
    assert seen == [RATE * rate]
    assert optimizer.param_groups[0]["lr"] == RATE
    optimizer.step()
    assert optimizer.rates[-1] == RATE * rate


def test_a_factor_hung_on_in_the_middle_of_a_step_holds_from_the_next_one(optimizer):
    multiply(optimizer, "decay", lambda: 0.5)
    seen = []

    def closure():
        multiply(optimizer, "ramp", lambda: 4.0)
        seen.append(optimizer.param_groups[0]["lr"])

    optimizer.step(closure)
    optimizer.step()
    assert seen == [RATE / 2]
    assert optimizer.rates == [RATE / 2, RATE * 2]
    assert optimizer.param_groups[0]["lr"] == RATE


def test_during_a_step_the_effective_rate_is_that_of_the_step(optimizer):
    multiply(optimizer, "decay", lambda: 0.5)
    seen = []
    optimizer.step(lambda: seen.append(effective_rate(optimizer)))
    assert seen == [RATE / 2]


def test_without_factors_the_effective_rate_is_the_one_that_is_set(optimizer):
    assert effective_rate(optimizer) == RATE


def test_checkpoints_and_copies_hold_no_factor(optimizer):
    multiply(optimizer, "decay", lambda: 0.5)
    twin = copy.deepcopy(optimizer)
    twin.rates = []
    twin.step()
    assert twin.rates == [RATE]
    assert optimizer.state_dict() == made().state_dict()


def test_lightnings_wrapper_is_the_optimizer_that_it_wraps(optimizer):
    wrapper = LightningOptimizer(optimizer)
    multiply(wrapper, "decay", lambda: 0.5)
    with pytest.raises(UsageError, match="multiplied by a factor 'decay' already"):
        multiply(optimizer, "decay", lambda: 0.5)
    assert effective_rate(wrapper) == effective_rate(optimizer) == RATE / 2
    remove(wrapper, "decay")
    assert effective_rate(optimizer) == RATE


def test_a_factor_that_is_not_there_can_be_removed(optimizer):
    remove(optimizer, "decay")
    multiply(optimizer, "decay", lambda: 0.5)
    remove(optimizer, "warm-up")
    assert effective_rate(optimizer) == RATE / 2


def test_an_optimizer_is_not_kept_alive():
    optimizer = made()
    multiply(optimizer, "decay", lambda: 0.5)
    optimizer.step()
    there = weakref.ref(optimizer)
    del optimizer
    gc.collect()
    assert there() is None


def test_the_example_holds():
    found = doctest.testmod(multipliers)
    assert found.attempted
    assert not found.failed
