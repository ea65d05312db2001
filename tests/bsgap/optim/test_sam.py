"""SAM and ASAM against loops by hand in float64, their state, and what they refuse."""

import copy
import functools
import importlib
import io
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from bsgap.callbacks.multipliers import effective_rate, multiply, remove
from bsgap.errors import UsageError
from bsgap.measures import linear_approximation
from bsgap.optim import ASAM, LARS, SAM

BASES = {
    "sgd": functools.partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.01),
    "nesterov": functools.partial(torch.optim.SGD, lr=0.1, momentum=0.9, nesterov=True, fused=True),
    "adam": functools.partial(torch.optim.Adam, lr=0.01, weight_decay=0.1),
    "adamw": functools.partial(torch.optim.AdamW, lr=0.01, weight_decay=0.1),
    "adagrad": functools.partial(torch.optim.Adagrad, lr=0.01, eps=1e-3),  # has a state from the start
    "lars": functools.partial(LARS, lr=1.0, weight_decay=0.01),
}
KINDS = {
    "sam": ({"rho": 0.3}, None, 0),
    "asam": ({"rho": 0.7, "adaptive": True}, 0.01, 2),
    "eta": ({"rho": 0.7, "adaptive": True, "eta": 0.3}, 0.3, 2),
}


def model(norm=True):
    torch.manual_seed(0)
    middle = nn.BatchNorm1d(6) if norm else nn.Identity()
    return nn.Sequential(nn.Linear(5, 6), middle, nn.Tanh(), nn.Linear(6, 3)).double()


def batches(count=5):
    draws = torch.Generator().manual_seed(1)
    return [
        (torch.randn(8, 5, generator=draws, dtype=torch.float64), torch.randint(3, (8,), generator=draws))
        for _ in range(count)
    ]


def closure_of(network, optimizer, inputs, targets):
    def closure(_):
        optimizer.zero_grad()
        loss = cross_entropy(network(inputs), targets)
        loss.backward()
        return loss

    return functools.partial(closure, network)


def by_hand(network, base, rho, eta, least):
    """Two passes a step: the weights climb with T = |w| + η where a weight has `least` dimensions."""
    weights, losses = list(network.parameters()), []
    for inputs, targets in batches():
        loss = cross_entropy(network(inputs), targets)
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, weights)
        sizes = [w.detach().abs() + eta if eta is not None and w.ndim >= least else torch.ones_like(w) for w in weights]
        norm = sum(((t * g) ** 2).sum() for t, g in zip(sizes, gradients, strict=True)).sqrt()
        other = copy.deepcopy(network)
        with torch.no_grad():
            for w, t, g in zip(other.parameters(), sizes, gradients, strict=True):
                w += rho * t**2 * g / norm
        found = torch.autograd.grad(cross_entropy(other(inputs), targets), list(other.parameters()))
        for w, g in zip(weights, found, strict=True):
            w.grad = g
        base.step()
    return losses


def same(one, two, rtol=0.0, atol=0.0):
    for name, value in one.state_dict().items():
        torch.testing.assert_close(two.state_dict()[name], value, rtol=rtol, atol=atol)
    return True


def train(network, optimizer, data=None):
    return [optimizer.step(closure_of(network, optimizer, *batch)).item() for batch in data or batches()]


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


def test_without_a_closure_it_says_why():
    w = nn.Parameter(torch.ones(1))
    optimizer = SAM([w], functools.partial(torch.optim.SGD, lr=0.1))
    with pytest.raises(UsageError, match=r"SAM needs a closure, as it takes two gradients a step.*16-mixed"):
        optimizer.step()
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(w.sum()).backward()
    with pytest.raises(UsageError, match="use bf16-mixed or 32-true"):
        scaler.step(optimizer)


def test_a_closure_without_a_gradient_is_refused():
    network = model()
    optimizer = SAM(network.parameters(), BASES["sgd"])
    with pytest.raises(UsageError, match=r"no parameter has a gradient after the closure. Call backward in it"):
        optimizer.step(lambda: torch.ones(()))
    with pytest.raises(UsageError, match=r"no parameter has a gradient after the closure. Call backward in it"):
        optimizer.step(lambda: None)


def test_a_base_that_calls_its_closure_is_refused_though_it_says_it_need_not():
    class Twice(torch.optim.SGD):
        def step(self, closure=None):
            closure()
            return super().step()

    network = model()
    optimizer = SAM(network.parameters(), functools.partial(Twice, lr=0.1))
    start = copy.deepcopy(list(network.parameters()))
    with pytest.raises(UsageError, match=r"SAM: Twice evaluates its closure itself.*SGD or Adam") as error:
        train(network, optimizer, batches(1))
    assert "\n" not in str(error.value)
    assert all(torch.equal(one, other) for one, other in zip(network.parameters(), start, strict=True))

    class Wrong(torch.optim.SGD):
        def step(self, closure=None):
            return None * self.defaults["lr"]

    with pytest.raises(TypeError, match="unsupported operand"):
        train(network, SAM(network.parameters(), functools.partial(Wrong, lr=0.1)), batches(1))


def test_weights_that_are_all_frozen_are_refused_before_the_closure():
    network = model().requires_grad_(False)
    optimizer = SAM(network.parameters(), BASES["sgd"])
    with pytest.raises(UsageError, match="SAM: no weight of the optimizer requires a gradient") as error:
        optimizer.step(lambda: pytest.fail("the closure was called"))
    assert "\n" not in str(error.value)
    network[0].weight.requires_grad_(True)
    train(network, optimizer, batches(1))


def test_a_loss_of_nan_at_the_first_step_is_refused():
    network = model()
    before = [p.detach().clone() for p in network.parameters()]
    inputs, targets = batches(1)[0]
    with pytest.raises(UsageError, match="SAM: the loss is nan at the first step") as error:
        train(network, SAM(network.parameters(), BASES["sgd"]), [(inputs * torch.nan, targets)])
    assert "\n" not in str(error.value)
    assert all(torch.equal(p, old) for p, old in zip(network.parameters(), before, strict=True))


def test_a_later_loss_of_nan_trains_on_as_with_the_base():
    found = []
    inputs, targets = batches(1)[0]
    for build in (BASES["sgd"], lambda weights: SAM(weights, BASES["sgd"], rho=1e-12)):
        network = model()
        losses = train(network, build(network.parameters()), [(inputs, targets), (inputs * torch.nan, targets)])
        found.append((losses, [p.isnan().all().item() for p in network.parameters()]))
    assert str(found[0]) == str(found[1])
    # and so does a copy of one that has begun
    network = model()
    optimizer = SAM(network.parameters(), BASES["sgd"])
    train(network, optimizer, [(inputs, targets)])
    network, optimizer = copy.deepcopy((network, optimizer))
    train(network, optimizer, [(inputs * torch.nan, targets)])
    # and a run that is taken up again at such a loss goes on
    optimizer = SAM(network.parameters(), BASES["sgd"])
    optimizer.load_state_dict(optimizer.state_dict())
    train(network, optimizer, [(inputs * torch.nan, targets)])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"rho": -0.1}, "rho must be 0 or more, got -0.1"),
        ({"rho": float("nan")}, "rho must be 0 or more, got nan"),
        ({"rho": float("inf")}, "rho must be 0 or more, got inf"),
        ({"rho": "0.05"}, "rho must be 0 or more, got '0.05'"),
        ({"rho": None}, "rho must be 0 or more, got None"),
        ({"eta": "0.01"}, "eta must be 0 or more, or absent, got '0.01'"),
        ({"eta": -1.0}, "eta must be 0 or more, or absent, got -1.0"),
        ({"base": torch.optim.LBFGS}, "LBFGS evaluates its closure itself"),
        ({"base": lambda weights: SAM(weights, BASES["sgd"])}, "the base is SAM itself"),
        ({"base": lambda weights: ASAM(weights, BASES["sgd"])}, "the base is ASAM itself"),
        (
            {"base": lambda weights: None},
            "base must be a function that builds a torch optimizer from parameters, got one that builds NoneType",
        ),
        (
            {"base": torch.optim.SGD([nn.Parameter(torch.ones(1))])},
            "base must be a function that builds a torch optimizer .* got SGD",
        ),
    ],
)
def test_what_is_refused(options, told):
    with pytest.raises(UsageError, match=told) as error:
        SAM([nn.Parameter(torch.ones(2))], **{"base": BASES["sgd"], **options})
    assert "\n" not in str(error.value)


def test_sparse_and_complex_gradients_are_refused():
    table = nn.Embedding(4, 2, sparse=True)
    optimizer = SAM(table.parameters(), functools.partial(torch.optim.SGD, lr=0.1))
    with pytest.raises(UsageError, match="dense gradients"):
        optimizer.step(lambda: mse_loss(table(torch.tensor([1])), torch.zeros(1, 2)).backward())
    w = nn.Parameter(torch.ones(1, dtype=torch.complex64))
    with pytest.raises(UsageError, match="real gradients"):
        SAM([w], functools.partial(torch.optim.SGD, lr=0.1)).step(lambda: w.abs().sum().backward())


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
