"""One optimizer step: the gradient of the whole batch, whatever the micro-batch, against torch by hand."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from bsgap.tasks.step import mean_gradient, optimizer_step, summed_gradient


@pytest.fixture
def problem():
    """A network without BatchNorm in float64, ten examples, and the gradient of their mean loss."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(48, 5)).double()
    inputs, targets = torch.randn(10, 1, 6, 6, dtype=torch.float64), torch.randint(5, (10,))
    loss = cross_entropy(network(inputs), targets)
    return network, inputs, targets, loss, torch.autograd.grad(loss, list(network.parameters()))


def loss_of(network):
    return lambda inputs, targets: cross_entropy(network(inputs), targets)


@pytest.mark.parametrize("micro_batch", [None, 1, 3, 4, 5, 9, 10, 64])  # of ten: uneven ends, one batch, more than all
def test_the_gradient_does_not_depend_on_the_micro_batch(problem, micro_batch):
    network, inputs, targets, loss, gradient = problem
    found = mean_gradient(loss_of(network), inputs, targets, micro_batch=micro_batch, backward=torch.Tensor.backward)
    torch.testing.assert_close(found, loss.detach(), rtol=1e-14, atol=0)
    for parameter, expected in zip(network.parameters(), gradient, strict=True):
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-12, atol=1e-15)


def test_no_more_than_a_micro_batch_goes_through_the_network(problem):
    network, inputs, targets, _, _ = problem
    sizes = []
    network.register_forward_hook(lambda _, arguments, __: sizes.append(len(arguments[0])))
    mean_gradient(loss_of(network), inputs, targets, micro_batch=4, backward=torch.Tensor.backward)
    assert sizes == [4, 4, 2]


@pytest.mark.parametrize("clip", [None, 1e-2, 1e3])
@pytest.mark.parametrize("make", [lambda p: torch.optim.SGD(p, 0.1, momentum=0.9), lambda p: torch.optim.Adam(p, 0.01)])
def test_steps_are_those_of_a_loop_by_hand(problem, make, clip):
    network, inputs, targets, _, _ = problem
    start = {name: value.clone() for name, value in network.state_dict().items()}

    def run(step):
        network.load_state_dict(start)
        optimizer = make(network.parameters())
        losses = [step(optimizer) for _ in range(5)]
        return [parameter.detach().clone() for parameter in network.parameters()], losses

    def by_hand(optimizer):
        optimizer.zero_grad()
        loss = cross_entropy(network(inputs), targets)
        loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(network.parameters(), clip)
        optimizer.step()
        return loss.item()

    def ours(optimizer):
        def gradient():
            return mean_gradient(loss_of(network), inputs, targets, micro_batch=3, backward=torch.Tensor.backward)

        return optimizer_step(optimizer, list(network.parameters()), gradient, clip=clip).item()

    expected, losses = run(by_hand)
    found, found_losses = run(ours)
    assert found_losses == pytest.approx(losses, rel=1e-12)
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-13)


def test_the_clipped_gradient_has_the_stated_norm(problem):
    network, inputs, targets, _, gradient = problem
    norm = torch.stack([part.norm() for part in gradient]).norm().item()
    start = [parameter.detach().clone() for parameter in network.parameters()]

    def accumulate():
        return mean_gradient(loss_of(network), inputs, targets, micro_batch=None, backward=torch.Tensor.backward)

    optimizer_step(torch.optim.SGD(network.parameters(), 1.0), list(network.parameters()), accumulate, clip=norm / 4)
    moved = torch.stack([(a - b).norm() for a, b in zip(network.parameters(), start, strict=True)]).norm().item()
    assert moved == pytest.approx(norm / 4, rel=1e-5)  # torch divides by the norm plus 1e-6


def test_an_optimizer_may_evaluate_the_gradient_more_than_once(problem):
    """As SAM and L-BFGS do: each evaluation starts from a cleared gradient, and the first loss is the one reported."""
    network, inputs, targets, loss, _ = problem
    seen = []

    class Twice(torch.optim.SGD):
        def step(self, closure):
            first = closure()
            super().step()
            seen.extend([first.item(), closure().item()])
            return super().step()

    def accumulate():
        return mean_gradient(loss_of(network), inputs, targets, micro_batch=4, backward=torch.Tensor.backward)

    expected = network[3].bias.detach().clone()
    found = optimizer_step(Twice(network.parameters(), 0.1), list(network.parameters()), accumulate)
    assert found.item() == pytest.approx(loss.item())
    assert seen[0] == pytest.approx(loss.item())
    assert seen[1] < seen[0]
    assert not torch.equal(network[3].bias, expected)


@pytest.mark.parametrize("micro_batch", [None, 1, 4, 10])
def test_shares_of_any_kind_add_up(problem, micro_batch):
    """A mean that weights examples unevenly, as one over labelled pixels does."""
    network, inputs, targets, _, _ = problem
    weights = torch.arange(10, dtype=torch.float64)
    losses = cross_entropy(network(inputs), targets, reduction="none")
    expected = (weights * losses).sum() / weights.sum()
    gradient = torch.autograd.grad(expected, list(network.parameters()))

    def share_of(part):
        losses = cross_entropy(network(inputs[part]), targets[part], reduction="none")
        return (weights[part] * losses).sum() / weights.sum()

    found = summed_gradient(share_of, 10, micro_batch=micro_batch, backward=torch.Tensor.backward)
    torch.testing.assert_close(found, expected.detach(), rtol=1e-14, atol=0)
    for parameter, part in zip(network.parameters(), gradient, strict=True):
        torch.testing.assert_close(parameter.grad, part, rtol=1e-12, atol=1e-15)
