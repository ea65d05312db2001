"""Standard deviations by the formulas of He et al. 2015, on layers large enough to measure them."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from bsgap.networks.initialisation import he_normal

CASES = {
    "convolution": (nn.Conv2d(100, 50, 3), 2 / (9 * 50)),
    "strided convolution": (nn.Conv2d(3, 64, 11, 4), 2 / (121 * 64)),
    "depthwise": (nn.Conv2d(2000, 2000, 3, groups=2000), 2 / 9),
    "two groups": (nn.Conv2d(64, 128, 3, groups=2), 2 / (9 * 64)),
    "hidden": (nn.Linear(300, 200), 2 / 300),
    "output": (nn.Linear(400, 100), 1e-4),
}


@pytest.mark.parametrize("name", CASES)
def test_variance_of_the_weights_and_zero_biases(name):
    layer, variance = CASES[name]
    torch.manual_seed(0)
    he_normal(nn.Sequential(layer), output=layer if name == "output" else nn.Identity())
    numbers = layer.weight.numel()
    # The relative standard error of a variance from n normal numbers is sqrt(2 / n).
    assert layer.weight.var().item() == pytest.approx(variance, rel=4 * (2 / numbers) ** 0.5)
    assert abs(layer.weight.mean().item()) < 4 * (variance / numbers) ** 0.5
    assert torch.count_nonzero(layer.bias) == 0


def test_gradients_keep_their_size_through_he_convolutions():
    """He et al. 2015, eq. 14: with fan-out the variance of the gradient is that of the layer above."""
    torch.manual_seed(0)
    widths = (8, 32, 64, 128, 64)
    layers = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="circular", bias=False), nn.ReLU()]
    stack = nn.Sequential(*layers[:-1])
    he_normal(stack, output=nn.Identity())
    images = torch.randn(8, 8, 16, 16, requires_grad=True)
    output = stack(images)
    above = torch.randn_like(output)
    output.backward(above)
    # The first layer has no ReLU before it: it lets twice as much through.
    assert images.grad.square().mean().item() / above.square().mean().item() == pytest.approx(2, rel=0.25)
