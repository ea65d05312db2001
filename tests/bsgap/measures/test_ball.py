"""Sharpness in a ball against closed forms and hand-written loops."""

import copy
import doctest
import importlib
import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from bsgap.errors import UsageError
from bsgap.measures import ball_sharpness, evaluate

WEIGHTS = [3.0, -4.0, 0.5, 2.0]


class Function(nn.Module):
    """A function of the weights as the loss of every example."""

    def __init__(self, function, weights=WEIGHTS):
        super().__init__()
        self.weight, self.function = nn.Parameter(torch.tensor(weights, dtype=torch.float64)), function

    def forward(self, inputs):
        return self.function(self.weight) * torch.ones(len(inputs), dtype=torch.float64)


def mean(outputs, _):
    return outputs.mean()


def of(function, weights=WEIGHTS, **options):
    data = torch.zeros(3, 1)
    return ball_sharpness(Function(function, weights), [(data, data)], loss=mean, **options)


SLOPE = torch.tensor([1.0, -2.0, 2.0, 0.5], dtype=torch.float64)
CURVATURES = torch.tensor([1.0, 9.0, -3.0, 4.0], dtype=torch.float64)
MODULI = torch.tensor(WEIGHTS, dtype=torch.float64).abs()


@pytest.mark.parametrize("steps", [1, 7])
@pytest.mark.parametrize(
    ("options", "rise"),
    [
        ({"norm": "l2"}, SLOPE.norm()),
        ({"norm": "linf"}, SLOPE.abs().sum()),
        ({"norm": "l2", "adaptive": True}, (MODULI * SLOPE).norm()),
        ({"norm": "linf", "adaptive": True}, (MODULI * SLOPE).abs().sum()),
        ({"norm": "l2", "adaptive": True, "eta": 0.1}, ((MODULI + 0.1) * SLOPE).norm()),
    ],
)
def test_a_linear_loss_rises_by_rho_times_the_dual_norm_of_its_gradient(options, rise, steps):
    found = of(lambda w: SLOPE @ w, rho=0.3, steps=steps, **options)
    assert found.value == pytest.approx(0.3 * rise.item(), rel=1e-12)
    assert found.reach == pytest.approx(0.3)
    assert found.passes == steps + 1
    assert found.found_loss - found.start_loss == found.value


def test_a_quadratic_rises_by_half_its_curvature_in_the_steepest_direction():
    weights = [0.0, 1e-9, 0.0, 1e-9]  # close to the stationary point, where the gradient is next to nothing
    found = of(lambda w: CURVATURES @ w**2 / 2, weights, rho=0.2, steps=40)
    assert found.value == pytest.approx(9 / 2 * 0.2**2, rel=1e-6)
    box = of(lambda w: CURVATURES @ w**2 / 2, weights, rho=0.2, norm="linf", steps=40)
    assert box.value == pytest.approx((9 + 4) / 2 * 0.2**2, rel=1e-6)
    # At a maximum nothing rises; at a stationary point any direction is a start.
    assert of(lambda w: -(w**2).sum(), [0.0] * 4, rho=0.2).value == 0
    assert of(lambda w: CURVATURES @ w**2 / 2, [0.0] * 4, rho=0.2, steps=40).value == pytest.approx(0.18, rel=1e-6)


def test_a_maximum_inside_the_ball_is_found():
    found = of(lambda w: -((w - torch.tensor(WEIGHTS) - 0.1) ** 2).sum(), rho=3.0, steps=40)
    assert found.value == pytest.approx(4 * 0.01, rel=1e-3)
    assert found.reach == pytest.approx(0.2, rel=0.05)


@pytest.mark.parametrize("adaptive", [False, True])
def test_one_step_is_that_of_sam(small, ragged, snapshot, adaptive):
    network, inputs, targets = small
    model = network()
    before = snapshot(model)
    found = ball_sharpness(
        model, ragged(inputs, targets, [8, 2]), rho=0.05, adaptive=adaptive, eta=0.01 * adaptive, steps=1
    )
    before.check()
    twin = copy.deepcopy(model)
    loss = cross_entropy(twin(inputs), targets)
    loss.backward()
    scales = [p.detach().abs() + 0.01 if adaptive else torch.ones_like(p) for p in twin.parameters()]
    length = torch.sqrt(sum(((s * p.grad) ** 2).sum() for s, p in zip(scales, twin.parameters(), strict=True)))
    with torch.no_grad():
        for scale, p in zip(scales, twin.parameters(), strict=True):
            p += 0.05 * scale**2 * p.grad / length
    assert found.start_loss == pytest.approx(loss.item(), rel=1e-6)
    assert found.found_loss == pytest.approx(cross_entropy(twin(inputs), targets).item(), rel=1e-6)


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("adaptive", [False, True])
def test_more_steps_never_give_less_and_stay_in_the_ball(trained, digits, norm, adaptive):
    model, batch = trained(), [digits]
    rho = {"l2": 0.2, "linf": 0.005}[norm] * (5 if adaptive else 1)
    found = [ball_sharpness(model, batch, rho=rho, norm=norm, adaptive=adaptive, steps=s) for s in (1, 3, 10, 30)]
    values = [each.value for each in found]
    assert values == sorted(values)
    assert values[-1] > 1.5 * values[0]
    assert values[-1] < 1.2 * values[-2]
    assert all(each.reach <= rho * (1 + 1e-6) for each in found)
    average = ball_sharpness(model, batch, rho=rho, norm=norm, adaptive=adaptive, kind="average", samples=5)
    assert average.value < values[0]


def test_the_adaptive_ball_does_not_see_how_layers_share_their_scale(trained, digits):
    model = trained()
    other = copy.deepcopy(model)
    with torch.no_grad():
        other[0].weight *= 4
        other[0].bias *= 4
        other[2].weight /= 4
    one, same = (ball_sharpness(m, [digits], rho=0.5, adaptive=True, steps=5).value for m in (model, other))
    assert one == pytest.approx(same, rel=1e-3)
    one, different = (ball_sharpness(m, [digits], rho=0.1, steps=5).value for m in (model, other))
    assert different > 1.5 * one


@pytest.mark.parametrize(("norm", "share"), [("l2", 1 / 4), ("linf", 1 / 3)])
@pytest.mark.parametrize("adaptive", [False, True])
def test_average_is_half_the_trace_times_the_variance(norm, share, adaptive):
    scales = MODULI**2 if adaptive else 1.0
    trace = (CURVATURES * scales).sum().item()
    rho = 0.3
    found = of(
        lambda w: CURVATURES @ w**2 / 2, rho=rho, norm=norm, adaptive=adaptive, kind="average", samples=3000, seed=1
    )
    expected = rho**2 * share * trace / 2  # σ² = ρ²/4 for 4 weights; the variance in the box is ρ²/3
    assert abs(found.value - expected) < 3 * found.standard_error
    assert found.sigma == (pytest.approx(rho / 2) if norm == "l2" else None)
    assert (found.reach, found.steps, found.samples, found.passes) == (None, None, 3000, 3001)


def test_average_by_hand_and_its_standard_error(small, ragged, snapshot):
    network, inputs, targets = small
    model = network(norm=True)
    batches = ragged(inputs, targets, [8, 2])
    before = snapshot(model)
    found = ball_sharpness(model, batches, rho=1.0, kind="average", samples=6, seed=3)
    before.check()
    again = ball_sharpness(model, batches, rho=1.0, kind="average", samples=6, seed=3)
    assert (again.value, again.standard_error) == (found.value, found.standard_error)
    assert ball_sharpness(model, batches, rho=1.0, kind="average", samples=6, seed=4).value != found.value
    assert found.start_loss == evaluate(model, batches).loss
    many = ball_sharpness(model, batches, rho=1.0, kind="average", samples=96, seed=5)
    assert many.standard_error == pytest.approx(found.standard_error / 4, rel=0.6)


def test_frozen_and_shared_parameters():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = nn.Parameter(torch.tensor([1.0, 2.0]))
            self.same, self.frozen = self.one, nn.Parameter(torch.tensor([5.0]), requires_grad=False)

        def forward(self, inputs):
            return (self.one.sum() + self.same.sum() + 100 * self.frozen.sum()) * torch.ones(len(inputs))

    found = ball_sharpness(Shared(), [(torch.zeros(2), torch.zeros(2))], rho=0.1, loss=mean)
    assert found.parameters == 2
    assert found.value == pytest.approx(0.1 * math.sqrt(8), rel=1e-4)


def test_a_ball_so_large_that_the_loss_overflows_still_gives_a_finite_value():
    found = of(lambda w: torch.exp(w.sum() * 100), [0.1, 0.1, 0.1, 0.1], rho=100.0, steps=20)
    assert math.isfinite(found.value)
    assert found.value > 1e20


def test_state_of_its_own_is_left_alone(unusual, small, snapshot):
    _, inputs, targets = small
    before = snapshot(unusual)
    values = {
        (kind, statistics): ball_sharpness(
            unusual, [(inputs, targets)], rho=0.1, kind=kind, statistics=statistics, steps=2, samples=2
        ).value
        for kind in ("worst", "average")
        for statistics in ("batch", "running", "recomputed")
    }
    assert len(set(values.values())) == 6
    with pytest.raises(UsageError, match="the loss is nan at the start"):
        ball_sharpness(unusual, [(inputs * torch.nan, targets)], rho=0.1)
    before.check()


def test_usage_errors(small):
    network, inputs, targets = small
    cases = [
        ({"rho": -0.1}, r"rho must be positive and finite, got -0\.1"),
        ({"rho": math.inf}, "rho must be positive and finite"),
        ({"rho": 0.1, "norm": "l1"}, "norm must be one of l2, linf, got 'l1'"),
        ({"rho": 0.1, "kind": "best"}, "kind must be one of worst, average, got 'best'"),
        ({"rho": 0.1, "eta": 0.01}, r"eta belongs to adaptive: expected 0 without it, got 0\.01"),
        ({"rho": 0.1, "eta": -1.0, "adaptive": True}, "eta must be 0 or positive"),
        ({"rho": 0.1, "steps": 0}, "steps must be at least 1, got 0"),
        ({"rho": 0.1, "samples": 1}, "samples must be at least 2, for a standard error, got 1"),
    ]
    for options, message in cases:
        with pytest.raises(UsageError, match=message):
            ball_sharpness(network(), [(inputs, targets)], **options)
    for kind in ("worst", "average"):
        with pytest.raises(UsageError, match="the loss is nan at the start"):
            ball_sharpness(network(), [(inputs * torch.nan, targets)], rho=0.1, kind=kind)
        with pytest.raises(UsageError, match="the model has no trainable parameters"):
            ball_sharpness(network().requires_grad_(False), [(inputs, targets)], rho=0.1, kind=kind)


def test_the_example_in_the_documentation_runs():
    found = doctest.testmod(importlib.import_module("bsgap.measures.ball"))
    assert found.attempted
    assert not found.failed
