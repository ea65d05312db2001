"""Top eigenvalues against dense matrices in float64, against closed forms, and against scipy's count of products."""

import doctest
import importlib

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import nn
from torch.nn.functional import mse_loss

from bsgap.errors import UsageError
from bsgap.measures import curvature, top_eigenvalues


class Quadratic(nn.Module):
    """Batches of positions i; their mean loss is Σ c_i·w_i²/2 / n."""

    def __init__(self, curvatures, dtype=torch.float64):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(len(curvatures), dtype=dtype))
        self.register_buffer("curvatures", torch.tensor(curvatures, dtype=dtype))

    def forward(self, positions):
        return len(self.weight) * self.curvatures[positions] * self.weight[positions] ** 2 / 2

    def batches(self, *sizes):
        positions = torch.arange(len(self.weight))
        return [(part, part) for part in positions.split(list(sizes) or len(positions))]


def mean(outputs, _):
    return outputs.mean()


def tops(curvatures, *sizes, dtype=torch.float64, **options):
    model = Quadratic(curvatures, dtype)
    return top_eigenvalues(model, model.batches(*sizes), loss=mean, **options)


@pytest.fixture(scope="module")
def matrix_of(trained):
    """The dense matrix of a trained network in float64."""

    def form(model, batches, matrix="hessian"):
        with curvature(model, batches, loss=nn.functional.cross_entropy, matrix=matrix) as product:
            return torch.stack([product(row) for row in torch.eye(product.size, dtype=torch.float64)])

    return form


@pytest.fixture(scope="module")
def network():
    """A network of 92 parameters in float64, with 31 examples in two uneven batches."""
    draws = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4)).double()
    for parameter in model.parameters():
        parameter.data.normal_(generator=draws)
    inputs, targets = torch.randn(31, 6, generator=draws).double(), torch.randint(0, 4, (31,), generator=draws)
    return model, [(inputs[:22], targets[:22]), (inputs[22:], targets[22:])]


@pytest.mark.parametrize("matrix", ["hessian", "gauss-newton"])
@pytest.mark.parametrize("order", ["value", "magnitude"])
def test_values_vectors_and_residuals_of_a_network(network, matrix_of, snapshot, matrix, order):
    model, batches = network
    exact = matrix_of(model, batches, matrix)
    before = snapshot(model)
    found = top_eigenvalues(model, batches, k=4, matrix=matrix, order=order, tolerance=1e-6, vectors=True)
    before.check()
    every = torch.linalg.eigvalsh(exact).numpy()
    ranked = every[np.argsort(-(np.abs(every) if order == "magnitude" else every))]
    np.testing.assert_allclose(found.values, ranked[:4], rtol=1e-9)
    assert all(found.converged)
    assert max(found.residuals) <= 1e-6
    assert (found.examples, found.parameters, found.matrix, found.order) == (31, 92, matrix, order)
    for value, residual, vector in zip(found.values, found.residuals, found.vectors, strict=True):
        assert {name: piece.shape for name, piece in vector.items()} == {
            name: p.shape for name, p in model.named_parameters()
        }
        flat = torch.cat([piece.reshape(-1) for piece in vector.values()])
        assert flat.norm().item() == pytest.approx(1)
        true = (exact @ flat - value * flat).norm().item() / abs(value)
        assert true == pytest.approx(residual, rel=1e-3, abs=1e-12)


def test_the_network_has_a_negative_eigenvalue_among_the_largest_by_magnitude(network):
    model, batches = network
    by_value, by_magnitude = (top_eigenvalues(model, batches, k=10, order=o).values for o in ("value", "magnitude"))
    assert min(by_value) > min(by_magnitude)
    assert min(by_magnitude) < 0


def test_no_more_products_than_scipy_at_the_same_residual(network, matrix_of):
    model, batches = network
    exact = matrix_of(model, batches).numpy()
    start = np.random.default_rng(0).standard_normal(len(exact))
    taken = []
    operator = LinearOperator(exact.shape, matvec=lambda v: taken.append(1) or exact @ v, dtype=exact.dtype)
    for k in (1, 3, 5):
        taken.clear()
        values, vectors = eigsh(operator, k=k, which="LA", tol=1e-3, v0=start)
        assert np.linalg.norm(exact @ vectors - values * vectors, axis=0).max() <= 1e-3 * values.max()
        found = top_eigenvalues(model, batches, k=k, tolerance=1e-3)
        assert all(found.converged)
        assert found.products <= len(taken), k
        np.testing.assert_allclose(found.values, values[::-1], rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_closed_form_over_ragged_batches(dtype):
    curvatures = [5.0, -7.0, 3.0, 0.5, 0.0, 1.0, 2.0, -1.0, 0.1, 4.0]
    found = tops(curvatures, 8, 2, dtype=dtype, k=10, tolerance=1e-6)
    assert found.values == pytest.approx(sorted(curvatures, reverse=True), abs=1e-5)
    assert all(found.converged)
    assert found.loss == pytest.approx(sum(curvatures) / 2)
    assert tops(curvatures, 8, 2, dtype=dtype, k=2, order="magnitude").values == pytest.approx((-7, 5), abs=1e-5)


def test_a_small_basis_restarts():
    curvatures = [1.05**k for k in range(120)]
    found = tops(curvatures, k=3, most_vectors=10, tolerance=1e-8, vectors=True)
    assert all(found.converged)
    assert found.values == pytest.approx(sorted(curvatures)[:-4:-1], rel=1e-8)
    for place, vector in enumerate(found.vectors):
        assert vector["weight"].abs()[-1 - place].item() == pytest.approx(1, abs=1e-6)


def test_equal_eigenvalues():
    curvatures = [6.0, 6.0, 6.0] + [4 / k for k in range(1, 60)]
    assert tops(curvatures, k=4, block=3, tolerance=1e-6).values == pytest.approx((6, 6, 6, 4))
    # One starting vector sees one of them; where it has seen the whole of its subspace, others follow.
    assert tops([6.0, 6.0, 1.0, 1.0, 1.0], k=3).values == pytest.approx((6, 6, 1))
    assert tops([2.0] * 6, k=6).values == pytest.approx([2.0] * 6)
    assert tops([0.0] * 6, k=2).values == (0, 0)


def test_what_has_not_converged_is_said_to_be_so():
    found = tops([1.01**k for k in range(300)], k=2, most_products=5)
    assert found.products == 5
    assert found.converged == (False, False)
    assert min(found.residuals) > 1e-3
    found = tops([1.0, 2.0, 3.0, 4.0], k=2, most_products=2)
    assert len(found.values) == 2


def test_the_seed_decides(network):
    model, batches = network
    first, again, other = (top_eigenvalues(model, batches, seed=seed) for seed in (0, 0, 1))
    assert first.values == again.values
    assert first.values != other.values
    assert first.values == pytest.approx(other.values, rel=1e-3)


def test_shared_and_frozen_parameters():
    torch.manual_seed(0)
    first, second = nn.Linear(3, 3, bias=False).double(), nn.Linear(3, 3, bias=False).double()
    second.weight = first.weight
    frozen = nn.Linear(3, 2).double().requires_grad_(False)
    model = nn.Sequential(first, nn.Tanh(), second, frozen)
    batch = torch.randn(9, 3).double(), torch.randn(9, 2).double()
    found = top_eigenvalues(model, [batch], k=9, loss=mse_loss, vectors=True)
    assert found.parameters == 9
    assert list(found.vectors[0]) == ["0.weight"]
    state = frozen.weight.detach(), frozen.bias.detach()

    def of(weight):
        return mse_loss(
            torch.tanh(batch[0] @ weight.view(3, 3).T) @ weight.view(3, 3).T @ state[0].T + state[1], batch[1]
        )

    exact = torch.linalg.eigvalsh(torch.autograd.functional.hessian(of, first.weight.detach().reshape(-1)))
    assert found.values == pytest.approx(exact.flip(0).tolist(), abs=1e-9)


def test_usage_errors(small, snapshot):
    network, inputs, targets = small
    model = network()
    before = snapshot(model)
    cases = [
        ({"k": 0}, "k must be at least 1, got 0"),
        ({"k": 52}, "k must be at most the 51 trainable parameters, got 52"),
        ({"tolerance": 0.0}, r"tolerance must be positive and finite, got 0\.0"),
        ({"order": "size"}, "order must be one of value, magnitude, got 'size'"),
        ({"block": 0}, "block must be at least 1"),
        ({"k": 3, "most_products": 2}, "most_products must be at least k = 3, got 2"),
        ({"k": 3, "most_vectors": 5}, "most_vectors must be at least 6 for k = 3, block = 1, got 5"),
        ({"statistics": "train"}, "statistics must be one of"),
    ]
    for options, message in cases:
        with pytest.raises(UsageError, match=message):
            top_eigenvalues(model, [(inputs, targets)], **options)
    with pytest.raises(UsageError, match="the loss is nan at the start"):
        top_eigenvalues(model, [(inputs * torch.nan, targets)])
    with pytest.raises(UsageError, match="batches is empty"):
        top_eigenvalues(model, [])
    before.check()
    with pytest.raises(UsageError, match="the model has no trainable parameters"):
        top_eigenvalues(network().requires_grad_(False), [(inputs, targets)])


def test_the_example_in_the_documentation_runs():
    found = doctest.testmod(importlib.import_module("bsgap.measures.eigenvalues"))
    assert found.attempted
    assert not found.failed
