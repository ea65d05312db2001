import copy

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy

from bsgap.seeding import random_state


@pytest.fixture(scope="session")
def digits():
    """300 real digits: inputs in [0, 1] `[300, 64]`, targets `[300]`."""
    data = load_digits()
    return torch.tensor(data.data[:300] / 16, dtype=torch.float32), torch.tensor(data.target[:300])


@pytest.fixture
def ragged():
    """Batches of the given sizes out of inputs and targets."""

    def cut(inputs, targets, sizes):
        return list(zip(inputs.split(sizes), targets.split(sizes), strict=True))

    return cut


@pytest.fixture
def small():
    """Random regression-sized classification data `[10, 4]` and networks for it, with BatchNorm and without."""
    draws = torch.Generator().manual_seed(3)
    inputs, targets = torch.randn(10, 4, generator=draws), torch.randint(0, 3, (10,), generator=draws)

    def network(norm=False, dropout=0.0):
        with torch.random.fork_rng():
            torch.manual_seed(1)
            layers = [nn.Linear(4, 6), *([nn.BatchNorm1d(6)] if norm else []), nn.Tanh(), nn.Dropout(dropout)]
            model = nn.Sequential(*layers, nn.Linear(6, 3))
            if norm:  # running averages that differ from the statistics of any batch
                model.train()
                model(inputs[:5] * 1.5 + 0.3)
        return model

    return network, inputs, targets


@pytest.fixture(scope="session")
def trained(digits):
    """Networks trained to a low loss: (seed, epochs, batch size) -> network."""
    cache = {}

    def train(seed=0, epochs=60, batch_size=50):
        key = seed, epochs, batch_size
        if key not in cache:
            inputs, targets = digits
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                model = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10))
                optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
                for _ in range(epochs):
                    for rows in torch.randperm(len(inputs)).split(batch_size):
                        optimizer.zero_grad()
                        cross_entropy(model(inputs[rows]), targets[rows]).backward()
                        optimizer.step()
                optimizer.zero_grad()
            cache[key] = model
        return copy.deepcopy(cache[key])

    return train


class Snapshot:
    """All that a measurement must leave as it was, with identities."""

    def __init__(self, model):
        self.model = model
        self.state = {name: value.clone() for name, value in model.state_dict().items()}
        self.storage = {name: value.data_ptr() for name, value in model.state_dict().items()}
        self.buffers = {name: id(value) for name, value in model.named_buffers()}
        self.modes = [module.training for module in model.modules()]
        self.wanted = [p.requires_grad for p in model.parameters()]
        self.gradients = [(p.grad, None if p.grad is None else p.grad.clone()) for p in model.parameters()]
        self.random = random_state()

    def check(self):
        state = self.model.state_dict()
        assert list(state) == list(self.state)
        assert all(torch.equal(state[name], value) for name, value in self.state.items())
        assert {name: value.data_ptr() for name, value in state.items()} == self.storage
        assert {name: id(value) for name, value in self.model.named_buffers()} == self.buffers
        assert [module.training for module in self.model.modules()] == self.modes
        assert [p.requires_grad for p in self.model.parameters()] == self.wanted
        for parameter, (gradient, values) in zip(self.model.parameters(), self.gradients, strict=True):
            assert parameter.grad is gradient
            assert values is None or torch.equal(gradient, values)
        now = random_state()
        assert torch.equal(now["torch"], self.random["torch"])
        assert torch.equal(now["python"]["state"], self.random["python"]["state"])
        assert torch.equal(now["numpy"]["keys"], self.random["numpy"]["keys"])
        assert now["numpy"]["position"] == self.random["numpy"]["position"]


@pytest.fixture
def snapshot():
    np.random.seed(0)
    return Snapshot


@pytest.fixture
def unusual(small):
    """A model in a state of its own: mixed modes, a frozen parameter, gradients, running averages."""
    network, inputs, targets = small
    model = network(norm=True, dropout=0.5)
    model.train()
    model[0].eval()
    model[0].bias.requires_grad_(False)
    cross_entropy(model(inputs), targets).backward()
    model[4].bias.grad = None
    return model
