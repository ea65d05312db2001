"""The closed forms, and torch's own schedules as the other opinion."""

import doctest
import importlib
import math

import pytest
import torch
from torch.optim.lr_scheduler import MultiStepLR, PolynomialLR, StepLR

from bsgap.errors import UsageError
from bsgap.optim import PeriodicDecay, PolynomialDecay, StepDecay

EPOCHS = [k / 8 for k in range(0, 100)]


def rates(make, steps):
    """Rates of the first steps under a schedule of torch's, from 1 on."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = make(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize("factor", [0.1, 0.375, 2.0])
@pytest.mark.parametrize("milestones", [[3], [1, 2.5, 7], [0.125, 0.25]])
def test_steps_at_milestones_are_torchs(milestones, factor):
    decay = StepDecay(milestones, factor)
    other = rates(lambda optimizer: MultiStepLR(optimizer, [int(8 * epoch) for epoch in milestones], factor), 100)
    assert [decay.factor(epoch) for epoch in EPOCHS] == pytest.approx(other, rel=1e-12)


def test_each_milestone_may_have_its_own_factor():
    decay = StepDecay([1, 2, 4], [10.0, 0.1, 0.01])  # C1 in the authors' code of Hoffer et al. rises before it falls
    expected = [1, 10, 1, 1, 0.01, 0.01]
    assert [decay.factor(epoch) for epoch in range(6)] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("every", [1, 2.5, 0.375])
def test_steps_over_and_over_are_torchs(every):
    decay = PeriodicDecay(every, 0.375)
    other = rates(lambda optimizer: StepLR(optimizer, int(8 * every), 0.375), 100)
    assert [decay.factor(epoch) for epoch in EPOCHS] == pytest.approx(other, rel=1e-9)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_polynomial_is_torchs(power):
    decay = PolynomialDecay(10, power)
    other = rates(lambda optimizer: PolynomialLR(optimizer, 80, power), 100)
    assert [decay.factor(epoch) for epoch in EPOCHS] == pytest.approx(other, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("batches", [3, 7, 10, 391])
@pytest.mark.parametrize("tenth", range(1, 30))
def test_a_milestone_within_an_epoch_is_met_at_its_step_however_fractions_are_rounded(tenth, batches):
    milestone = tenth * 0.1  # 0.30000000000000004
    step = next(k for k in range(10 * batches) if 10 * k >= tenth * batches)
    epochs = [k // batches + k % batches / batches for k in (step - 1, step)]
    assert [StepDecay([milestone]).factor(epoch) for epoch in epochs] == [1.0, 0.1]
    passed = 10 * step // (tenth * batches)  # a batch may hold several milestones
    assert [PeriodicDecay(milestone).factor(epoch) for epoch in epochs] == [1.0, 0.1**passed]


@pytest.mark.parametrize("ratio", [0.5, 1, 32, 4096 / 256])
@pytest.mark.parametrize("decay", [StepDecay([2, 5.5], [0.5, 0.1]), PeriodicDecay(1.5, 0.2), PolynomialDecay(9, 3)])
def test_a_stretched_decay_is_the_same_as_late(decay, ratio):
    assert type(decay.stretched(ratio)) is type(decay)
    assert [decay.stretched(ratio).factor(epoch * ratio) for epoch in EPOCHS] == [decay.factor(e) for e in EPOCHS]


def test_decays_are_values():
    assert StepDecay([1, 2]) == StepDecay((1, 2), [0.1, 0.1])
    assert hash(StepDecay([1, 2])) == hash(StepDecay((1, 2), (0.1, 0.1)))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: StepDecay([]), "milestones must be at least one number of epochs above 0, got \\[\\]"),
        (lambda: StepDecay([-1, 2]), "milestones must be at least one number of epochs above 0, got \\[-1, 2\\]"),
        (lambda: StepDecay([1, math.inf]), "milestones must be at least one number"),
        (lambda: StepDecay([2, 1]), "milestones must ascend, none of them twice, got \\[2, 1\\]"),
        (lambda: StepDecay([1, 1]), "milestones must ascend, none of them twice, got \\[1, 1\\]"),
        (lambda: StepDecay([1, 2], [0.1]), "factors must be one for each of the 2 milestones, got 1"),
        (lambda: StepDecay([1], 0.0), "factors must be above 0, got 0.0"),
        (lambda: StepDecay([1], math.nan), "factors must be above 0, got nan"),
        (lambda: PeriodicDecay(0), "every must be a number of epochs above 0, got 0"),
        (lambda: PeriodicDecay(1, -0.1), "factor must be above 0, got -0.1"),
        (lambda: PolynomialDecay(0), "epochs must be a number above 0, got 0"),
        (lambda: PolynomialDecay(1, 0), "power must be above 0, got 0"),
    ],
)
def test_what_cannot_be_is_refused(make, words):
    with pytest.raises(UsageError, match=words):
        make()


@pytest.mark.parametrize("name", ["decay", "rates", "regime"])
def test_examples_in_the_docstrings_hold(name):
    found = doctest.testmod(importlib.import_module(f"bsgap.optim.{name}"))
    assert found.attempted
    assert not found.failed
