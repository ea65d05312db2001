import doctest
import importlib

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from bsgap.errors import UsageError
from bsgap.measures import curvature, hessian_trace, spectral_density


@pytest.fixture
def case(small, ragged):
    """A network in float64, its batches, and its eigenvalues."""
    network, inputs, targets = small
    model, batches = network().double(), ragged(inputs.double(), targets, [8, 2])
    with curvature(model, batches, loss=cross_entropy) as product:
        dense = torch.stack([product(row) for row in torch.eye(product.size).double()])
    return model, batches, torch.linalg.eigvalsh(dense).numpy()


def test_the_density_is_that_of_the_eigenvalues(case, snapshot):
    model, batches, values = case
    before = snapshot(model)
    found = spectral_density(model, batches, probes=12, steps=len(values), broadening=0.05)
    before.check()
    grid, density = np.array(found.grid), np.array(found.density)
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-6)
    bells = np.exp(-0.5 * ((grid[:, None] - values) / found.sigma) ** 2) / (found.sigma * np.sqrt(2 * np.pi))
    exact = bells.mean(1)
    assert np.trapezoid(np.abs(density - exact), grid) < 0.15
    for nodes in found.nodes:  # all eigenvalues that can be told apart
        assert nodes[0] == pytest.approx(values[-1])
        assert nodes[-1] == pytest.approx(values[0])
    assert found.sigma == pytest.approx(0.05 * (values[-1] - values[0]))
    assert grid[0] == pytest.approx(values[0] - 6 * found.sigma)


def test_moments(case):
    model, batches, values = case
    found = spectral_density(model, batches, probes=4, steps=10, seed=2)
    assert found.products == 40
    assert found.moment(0) == pytest.approx(1)
    trace = hessian_trace(model, batches, probes=100)
    assert abs(found.moment(1) * found.parameters - trace.value) < 3 * (trace.standard_error * np.sqrt(1 + 100 / 4))
    many = spectral_density(model, batches, probes=60, steps=3)
    for order in (1, 2, 3):
        assert many.moment(order) == pytest.approx((values**order).mean(), rel=0.2)
    moment = np.trapezoid(np.array(found.density) * np.array(found.grid), found.grid)
    assert moment == pytest.approx(found.moment(1), rel=1e-4)


def test_a_multiple_of_the_identity_and_a_matrix_of_zeros():
    model = nn.Linear(4, 1, bias=False)
    found = spectral_density(model, [(2 * torch.eye(4), torch.zeros(4, 1))], loss=mse_loss, steps=9)
    assert found.products == 4  # a probe that has seen all stops
    assert [nodes[0] for nodes in found.nodes] == pytest.approx([2.0] * 4)
    assert np.trapezoid(found.density, found.grid) == pytest.approx(1, abs=1e-6)
    found = spectral_density(model, [(torch.zeros(4, 4), torch.zeros(4, 1))], loss=mse_loss)
    assert np.trapezoid(found.density, found.grid) == pytest.approx(1, abs=1e-6)


def test_the_seed_decides(case):
    model, batches, _ = case
    first, again, other = (spectral_density(model, batches, probes=1, steps=4, seed=seed) for seed in (0, 0, 1))
    assert first.nodes == again.nodes != other.nodes


def test_usage_errors(small):
    network, inputs, targets = small
    cases = [
        ({"probes": 0}, "probes must be at least 1, got 0"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"broadening": 0.0}, "broadening must be positive and finite"),
        ({"points": 100}, r"points must be at least 113 for a broadening of 0\.01, got 100"),
    ]
    for options, message in cases:
        with pytest.raises(UsageError, match=message):
            spectral_density(network(), [(inputs, targets)], **options)


def test_the_example_in_the_documentation_runs():
    found = doctest.testmod(importlib.import_module("bsgap.measures.density"))
    assert found.attempted
    assert not found.failed
