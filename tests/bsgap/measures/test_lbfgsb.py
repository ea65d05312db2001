import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from bsgap.measures import lbfgsb as module
from bsgap.measures.lbfgsb import lbfgsb


def rosenbrock(point):
    """Minus Rosenbrock's function, moved so that 0 is a start of the usual kind."""
    point = point.double().detach().clone().requires_grad_(True)
    x = point + torch.tensor([-1.2, 1.0, -0.5, 0.8])
    value = -(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()
    (gradient,) = torch.autograd.grad(value, point)
    return value.item(), gradient


def test_iterates_are_scipys():
    width = torch.tensor([3.0, 0.2, 1.5, 1.0], dtype=torch.float64)
    seen = []

    def negated(point):
        value, gradient = rosenbrock(torch.from_numpy(point))
        seen.append(-value)
        return -value, -gradient.numpy()

    bounds = list(zip(-width.numpy(), width.numpy(), strict=True))
    options = {"maxiter": 10, "ftol": 0, "gtol": 0}
    expected = minimize(negated, np.zeros(4), jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    found = lbfgsb(rosenbrock, width, 10)
    assert found.iterations == expected.nit == 10
    assert found.value == pytest.approx(-min(seen), rel=1e-12)
    assert not found.converged


def test_public_and_direct_drive_agree_bit_for_bit(monkeypatch):
    width = torch.full((4,), 1.5, dtype=torch.float64)
    if (module.setulb.__doc__ or "").strip() != module._SIGNATURE:
        pytest.skip("this scipy's routine is not driven directly")
    points = {"direct": [], "public": []}

    def record(name):
        def function(point):
            points[name].append(point.clone())
            return rosenbrock(point)

        return function

    direct = lbfgsb(record("direct"), width, 25)
    monkeypatch.setattr(module, "setulb", None)
    public = lbfgsb(record("public"), width, 25)
    assert direct == public
    assert len(points["direct"]) == len(points["public"])
    assert all(torch.equal(a, b) for a, b in zip(points["direct"], points["public"], strict=True))


def test_flat_gradient_does_not_end_the_run():
    """Scipy's default tolerance is 1e-5 on the gradient."""
    found = lbfgsb(lambda y: ((1e-7 * y).sum().item(), torch.full((3,), 1e-7)), torch.full((3,), 2e-7), 10)
    assert found.value == pytest.approx(6e-14)
    assert found.share_at_bound == 1
    assert found.converged


def test_zero_gradient_ends_the_run():
    found = lbfgsb(lambda y: (1.0, torch.zeros(3)), torch.ones(3), 10)
    assert (found.start, found.value, found.iterations, found.converged) == (1, 1, 0, True)


def test_values_that_are_not_finite_do_not_count():
    def function(y):
        value = y.sum().item()
        return (value if value < 0.5 else float("nan")), torch.ones(3)

    found = lbfgsb(function, torch.ones(3), 10)
    assert 0 <= found.value < 0.5
