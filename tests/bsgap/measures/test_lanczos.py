import pytest
import torch

from bsgap.measures.lanczos import Lanczos


@pytest.fixture
def symmetric():
    """A symmetric matrix with the given eigenvalues, in random directions."""

    def make(values):
        draws = torch.Generator().manual_seed(5)
        q, _ = torch.linalg.qr(torch.randn(len(values), len(values), generator=draws, dtype=torch.float64))
        return q @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ q.T

    return make


def start(rows, n):
    return torch.randn(rows, n, dtype=torch.float64, generator=torch.Generator().manual_seed(6))


def check(basis, matrix):
    """Orthonormal, T = VᵀMV, and the residuals are the true ones."""
    vectors = basis._basis[: basis.size]
    torch.testing.assert_close(vectors @ vectors.T, torch.eye(basis.size).double(), rtol=0, atol=1e-12)
    ritz = basis.ritz()
    found = basis.vectors(ritz.coordinates)
    for vector, value, residual in zip(found, ritz.values, ritz.residuals, strict=True):
        true = torch.linalg.vector_norm(matrix @ vector - value * vector)
        assert residual.item() == pytest.approx(true.item(), rel=1e-6, abs=1e-12)
    return ritz


@pytest.mark.parametrize("block", [1, 3])
def test_basis_ritz_values_and_residuals(symmetric, block):
    matrix = symmetric([float(k) - 7 for k in range(20)])
    basis = Lanczos(lambda v: matrix @ v, start(block, 20), 21)
    for count in range(1, 13):
        basis.step()
        assert (basis.done, basis.waiting) == (count, block)
        check(basis, matrix)
    while basis.waiting:
        basis.step()
    assert basis.done == 20
    torch.testing.assert_close(check(basis, matrix).values.flip(0), torch.linalg.eigvalsh(matrix))


@pytest.mark.parametrize("block", [1, 2])
def test_a_restart_keeps_what_is_known(symmetric, block):
    matrix = symmetric([1.1**k for k in range(40)])
    basis = Lanczos(lambda v: matrix @ v, start(block, 40), 12)
    for _ in range(12):
        while basis.size < 12:
            basis.step()
        before = basis.ritz()
        basis.restart(before.coordinates[:, :5])
        assert (basis.done, basis.waiting) == (5, block)
        after = check(basis, matrix)
        torch.testing.assert_close(after.values, before.values[:5])
        torch.testing.assert_close(after.residuals, before.residuals[:5], rtol=1e-4, atol=1e-10)
        basis.step()
        check(basis, matrix)
    torch.testing.assert_close(basis.ritz().values[0], torch.linalg.eigvalsh(matrix)[-1])


def test_an_invariant_subspace_closes_the_basis_and_another_vector_opens_it(symmetric):
    matrix = symmetric([3.0, 3.0, 1.0, 1.0, 1.0, 1.0])
    basis = Lanczos(lambda v: matrix @ v, start(1, 6), 7)
    while basis.waiting:
        basis.step()
    assert basis.done == 2
    torch.testing.assert_close(basis.ritz().values, torch.tensor([3.0, 1.0]).double())
    assert not basis.add(basis._basis[0])
    assert basis.add(start(2, 6)[1])
    while basis.waiting:
        basis.step()
    torch.testing.assert_close(check(basis, matrix).values, torch.tensor([3.0, 3.0, 1.0, 1.0]).double())


def test_memory_grows_with_the_basis():
    basis = Lanczos(lambda v: torch.roll(v, 1), start(1, 50), 51)
    assert len(basis._basis) == 16
    while basis.done < 20:
        basis.step()
    assert len(basis._basis) == 32
