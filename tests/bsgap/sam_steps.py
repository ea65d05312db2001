"""Small networks, batches and loops on which SAM is held against steps that are written out by hand."""

import copy
import functools

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from bsgap.optim import LARS

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
