import numpy as np
import pytest
import torch

from bsgap.measures import boxes
from bsgap.measures.boxes import SubspaceBox

N, P = 40, 6


def matrix(box):
    """A `[n, p]`, column by column."""
    columns = []
    for unit in torch.eye(P, dtype=torch.float64):
        vector = torch.empty_like(box.center)
        box.place(unit, vector)
        columns.append((vector - box.center).double())
    return torch.stack(columns, 1).numpy()


@pytest.fixture(params=["kept", "drawn anew"])
def center(request, monkeypatch):
    monkeypatch.setattr(boxes, "COLUMNS", 7)  # several blocks, the last one smaller
    if request.param == "drawn anew":
        monkeypatch.setattr(boxes, "KEPT_BYTES", 0)
    return torch.linspace(-3, 5, N, dtype=torch.float64)


@pytest.mark.parametrize("scaling", ["normal", "unit"])
def test_pull_is_the_transpose_of_place(center, scaling):
    box = SubspaceBox(center, 1e-3, P, scaling, seed=1)
    gradient = torch.randn(N, dtype=torch.float64)
    np.testing.assert_allclose(box.pull(gradient), matrix(box).T @ gradient.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("scaling", ["normal", "unit"])
def test_widths_are_those_of_the_metric(center, scaling):
    box = SubspaceBox(center, 1e-3, P, scaling, seed=1)
    image = np.linalg.pinv(matrix(box)) @ center.numpy()
    np.testing.assert_allclose(box.width, 1e-3 * (np.abs(image) + 1), rtol=1e-9)


def test_unit_scaling_has_rows_of_the_pseudo_inverse_of_unit_length(center):
    box = SubspaceBox(center, 1e-3, P, "unit", seed=1)
    np.testing.assert_allclose(np.linalg.norm(np.linalg.pinv(matrix(box)), axis=1), 1, rtol=1e-9)


def test_normal_scaling_has_standard_normal_entries():
    box = SubspaceBox(torch.zeros(5000, dtype=torch.float64), 1e-3, P, "normal", seed=1)
    entries = matrix(box)
    assert abs(entries.mean()) < 4 / np.sqrt(entries.size)
    assert abs(entries.var() - 1) < 4 * np.sqrt(2 / entries.size)


def test_draw_does_not_depend_on_whether_it_is_kept(monkeypatch):
    center = torch.linspace(-1, 1, N)
    kept = SubspaceBox(center, 1e-3, P, "unit", seed=1)
    monkeypatch.setattr(boxes, "KEPT_BYTES", 0)
    anew = SubspaceBox(center, 1e-3, P, "unit", seed=1)
    assert kept._kept is not None
    assert anew._kept is None
    np.testing.assert_array_equal(matrix(kept), matrix(anew))
    assert torch.equal(kept.width, anew.width)


def test_seed_decides_the_draw():
    center = torch.zeros(N)
    one, same, other = (matrix(SubspaceBox(center, 1e-3, P, "normal", seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.5
