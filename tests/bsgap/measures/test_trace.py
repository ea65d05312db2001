import doctest
import importlib

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from bsgap.errors import UsageError
from bsgap.measures import curvature, hessian_trace


@pytest.mark.parametrize("matrix", ["hessian", "gauss-newton"])
def test_within_its_standard_error_of_the_dense_trace(small, ragged, snapshot, matrix):
    network, inputs, targets = small
    model, batches = network(norm=True).double(), ragged(inputs.double(), targets, [8, 2])
    with curvature(model, batches, loss=cross_entropy, matrix=matrix) as product:
        dense = torch.stack([product(row) for row in torch.eye(product.size).double()])
    before = snapshot(model)
    found = hessian_trace(model, batches, probes=100, matrix=matrix)
    before.check()
    assert abs(found.value - dense.trace().item()) < 3 * found.standard_error
    spread = torch.sqrt(2 * (dense - torch.diag(dense.diag())).square().sum()).item()  # of one probe
    assert found.standard_error == pytest.approx(spread / 10, rel=0.3)
    assert (found.probes, found.products, found.parameters, found.examples) == (100, 100, len(dense), 10)
    assert found.value == pytest.approx(sum(found.estimates) / 100)


def test_a_diagonal_matrix_needs_one_probe_and_the_seed_decides(small, ragged):
    network, inputs, targets = small
    weight = nn.Linear(3, 1, bias=False)
    found = hessian_trace(weight, [(torch.diag(torch.tensor([1.0, 2.0, 3.0])), torch.zeros(3, 1))], probes=2,
                          loss=lambda outputs, _: (outputs**2).mean())  # fmt: skip
    assert found.value == pytest.approx(2 * (1 + 4 + 9) / 3)
    assert found.standard_error == pytest.approx(0, abs=1e-6)
    batches = ragged(inputs, targets, [8, 2])
    first, again, other = (hessian_trace(network(), batches, probes=3, seed=seed) for seed in (0, 0, 1))
    assert first.estimates == again.estimates != other.estimates


def test_usage_errors(small):
    network, inputs, targets = small
    with pytest.raises(UsageError, match="probes must be at least 2, for a standard error, got 1"):
        hessian_trace(network(), [(inputs, targets)], probes=1)
    with pytest.raises(UsageError, match="the loss is nan at the start"):
        hessian_trace(network(), [(inputs * torch.nan, targets)])


def test_the_example_in_the_documentation_runs():
    found = doctest.testmod(importlib.import_module("bsgap.measures.trace"))
    assert found.attempted
    assert not found.failed
