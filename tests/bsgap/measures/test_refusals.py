"""What all measures refuse alike."""

import functools

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from bsgap.errors import UsageError
from bsgap.measures import (
    ball_sharpness,
    hessian_trace,
    keskar_sharpness,
    random_direction,
    spectral_density,
    surface,
    top_eigenvalues,
)


@pytest.mark.parametrize("matrix", ["hessian", "gauss-newton"])
def test_a_model_that_no_gradient_goes_through_is_refused_in_one_line(matrix):
    class Cut(nn.Linear):
        def forward(self, inputs):
            with torch.no_grad():
                return super().forward(inputs)

    model, batches = Cut(5, 3), [(torch.randn(9, 5), torch.randint(0, 3, (9,)))]
    for measure in (
        keskar_sharpness,
        functools.partial(ball_sharpness, rho=0.1),
        spectral_density,
        functools.partial(top_eigenvalues, matrix=matrix),
        hessian_trace,
    ):
        with pytest.raises(UsageError, match="does not depend on the parameters with requires_grad=True") as error:
            measure(model, batches)
        assert "\n" not in str(error.value)


def test_a_loss_that_is_a_sum_is_refused_in_one_line():
    model, batches = nn.Linear(5, 3), [(torch.randn(9, 5), torch.randint(0, 3, (9,)))]
    total = functools.partial(cross_entropy, reduction="sum")
    line = random_direction(model)
    for measure in (keskar_sharpness, hessian_trace, lambda *given, loss: surface(*given, line, [0.0], loss=loss)):
        with pytest.raises(UsageError, match=r"the loss is a sum over examples .* give their mean") as error:
            measure(model, batches, loss=total)
        assert "\n" not in str(error.value)
        measure(model, batches, loss=functools.partial(cross_entropy, label_smoothing=0.1))


@pytest.mark.parametrize("given", [None, 3, torch.randn(9, 5), "train", {"x": 1}])
def test_what_is_no_list_of_batches_is_refused_in_one_line(given):
    with pytest.raises(UsageError, match=r"batches must be a list of pairs .* got \w+\.$"):
        top_eigenvalues(nn.Linear(5, 3), given)


def test_what_is_no_module_is_refused_in_one_line():
    with pytest.raises(UsageError, match=r"model must be a torch.nn.Module, got function\.$"):
        top_eigenvalues(lambda inputs: inputs, [(torch.randn(9, 5), torch.randint(0, 3, (9,)))])
