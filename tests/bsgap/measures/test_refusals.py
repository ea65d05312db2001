"""What all measures refuse alike."""

import functools

import pytest
import torch
from torch import nn

from bsgap.errors import UsageError
from bsgap.measures import ball_sharpness, hessian_trace, keskar_sharpness, spectral_density, top_eigenvalues


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
