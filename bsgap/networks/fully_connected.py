"""Fully connected networks F1 and F2 of Keskar et al. 2017."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import Tensor, nn

from bsgap.networks.initialisation import glorot_uniform


class FullyConnected(nn.Module):
    """Hidden layers of equal width, each linear -> BatchNorm -> ReLU, then a linear output.

    F1 (MNIST): 784 -> 5 x 512 -> 10. F2 (TIMIT frames): 360 -> 7 x 512 -> 1973. Keskar et al. 2017, appendix B; F1
    also in the code of Hoffer et al. 2017 (`mnist_f1`).

    Args:
        in_shape: Shape of one example; it is flattened.
        classes: Number of outputs.
        hidden: Number of hidden layers: 5 in F1, 7 in F2.
        width: Units of a hidden layer: 512 in both.
    """

    def __init__(self, in_shape: Sequence[int] = (1, 28, 28), classes: int = 10, hidden: int = 5, width: int = 512):
        super().__init__()
        sizes = [prod(in_shape)] + [width] * hidden
        layers: list[nn.Module] = [nn.Flatten()]
        for size, following in pairwise(sizes):
            layers += [nn.Linear(size, following), nn.BatchNorm1d(following), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], classes))
        glorot_uniform(self)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits `(batch, classes)` of `inputs` `(batch, *in_shape)`."""
        return self.layers(inputs)
