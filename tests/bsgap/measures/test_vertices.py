import pytest
import torch

from bsgap.measures.vertices import vertex_ascent


def ascend(function, width, iterations=10, **options):
    return vertex_ascent(function, width, iterations, torch.Generator().manual_seed(0), **options)


def test_linear_function_has_its_maximum_at_the_first_vertex():
    g = torch.tensor([1.0, -2.0, 1e-30])
    width = torch.tensor([1.0, 2.0, 3.0])
    found = ascend(lambda y: ((g * y).sum().item(), g), width, iterations=1)
    assert found.value == pytest.approx(5)
    assert found.share_at_bound == 1
    assert found.converged


def test_convex_function_never_falls_along_a_climb():
    torch.manual_seed(0)
    root = torch.randn(12, 12, dtype=torch.float64)
    matrix, slope = root @ root.T, torch.randn(12, dtype=torch.float64)
    width = torch.rand(12, dtype=torch.float64) + 0.1
    found = ascend(lambda y: ((0.5 * y @ matrix @ y + slope @ y).item(), matrix @ y + slope), width, 60)
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 12) * width
    brute = (0.5 * ((signs @ matrix) * signs).sum(1) + signs @ slope).max().item()
    assert found.value == pytest.approx(brute, rel=1e-12)
    assert found.converged


def test_given_starts_are_tried():
    """Two peaks; the gradient at 0 leads to the lower one."""
    width = torch.ones(2)

    def function(y):
        high = torch.sigmoid(20 * (-y.sum() - 1)).item() * 5
        return y.sum().item() + high, torch.where(y.sum() < -1, -torch.ones(2), torch.ones(2))

    assert ascend(function, width, iterations=3, starts=lambda first: [-first]).value == pytest.approx(3, abs=1e-3)
    assert ascend(function, width, iterations=1).value == pytest.approx(2, abs=1e-3)


def test_coordinates_without_gradient_stay_at_the_centre():
    g = torch.tensor([1.0, 0.0, 1.0, 0.0])
    found = ascend(lambda y: ((g * y).sum().item(), g), torch.ones(4), iterations=1)
    assert found.share_at_bound == 0.5


def test_values_that_are_not_finite_do_not_count():
    def function(y):
        value = y.sum().item()
        return (float("nan") if value == 3 else value), torch.ones(3)

    found = ascend(function, torch.ones(3), iterations=4)
    assert found.start == 0
    assert 0 <= found.value < 3


def test_iterations_are_the_vertices_visited():
    points = []

    def function(y):
        points.append(y.clone())
        return y.square().sum().item(), 2 * y + 0.1

    ascend(function, torch.ones(3), iterations=7)
    assert len(points) == 8
    assert torch.equal(points[0], torch.zeros(3))
    assert all(torch.equal(point.abs(), torch.ones(3)) for point in points[1:])
