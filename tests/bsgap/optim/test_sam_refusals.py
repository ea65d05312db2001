"""What SAM refuses, each in one line: closures, bases, weights, gradients, losses and numbers."""

import copy
import functools

import pytest
import torch
from sam_steps import BASES, batches, model, train
from torch import nn
from torch.nn.functional import mse_loss

from bsgap.errors import UsageError
from bsgap.optim import ASAM, SAM


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
