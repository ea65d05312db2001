"""The climb on tensors that are large, small, and laid out in other ways, against its formula in float64."""

import pytest
import torch

from bsgap.optim.perturbation import ascent


def tensors(seed):
    draws = torch.Generator().manual_seed(seed)
    made = [torch.randn(shape, generator=draws) for shape in [(300, 400), (5,), (), (0, 4), (70000,)]]
    image = torch.randn(30, 20, 3, 3, generator=draws).to(memory_format=torch.channels_last)
    return [*made, image, torch.randn(30, 40, generator=draws).T]


def by_formula(weights, gradients, rho, eta, scaled):
    sizes = [
        w.double().abs() + eta if wanted and eta is not None else torch.ones_like(w, dtype=torch.float64)
        for w, wanted in zip(weights, scaled, strict=True)
    ]
    norm = sum((t * g).square().sum() for t, g in zip(sizes, gradients, strict=True)).sqrt()
    return [rho * t * t * g / norm for t, g in zip(sizes, gradients, strict=True)]


@pytest.mark.parametrize("eta", [None, 0.0, 0.01])
@pytest.mark.parametrize("scaled", [[True] * 7, [True, False, True, True, False, True, False]], ids=["all", "some"])
def test_any_mixture_of_tensors_climbs_by_the_formula(eta, scaled):
    weights, gradients = tensors(0), tensors(1)
    found = ascent(weights, gradients, 0.5, eta=eta, scaled=scaled)
    for mine, right in zip(found, by_formula(weights, gradients, 0.5, eta, scaled), strict=True):
        assert torch.allclose(mine.double(), right, rtol=1e-5, atol=0)
