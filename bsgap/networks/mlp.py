"""A deep fully connected network without normalisation, as Jastrzebski et al. 2017 train."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import Tensor, nn

from bsgap.errors import UsageError
from bsgap.networks.initialisation import he_normal


class MLP(nn.Module):
    """Linear layers with ReLU between them and nothing else; `layers` counts all of them, the output layer included.

    Jastrzebski et al. 2017, Fig. 1, have one of 20 layers for Fashion-MNIST; how wide it is could not be had.
    Without BatchNorm the loss is a plain function of the weights. Initial weights: `he_normal`, under which activations
    keep their size through all layers, so that so deep a network trains at all; under Glorot's they halve in square at
    every layer, a factor of 2^-19 over 19 of them. The output layer starts small, N(0, 0.01^2).

    Args:
        in_shape: Shape of one example; it is flattened.
        classes: Number of outputs.
        layers: Linear layers: 20 in the paper.
        width: Units of a hidden layer.

    Raises:
        UsageError: `layers` or `width` is below 1.

    >>> network = MLP((1, 28, 28), layers=20, width=32)
    >>> sum(isinstance(layer, nn.Linear) for layer in network.modules())
    20
    """

    def __init__(self, in_shape: Sequence[int] = (1, 28, 28), classes: int = 10, layers: int = 20, width: int = 200):
        super().__init__()
        if min(layers, width) < 1:
            raise UsageError(f"layers and width of an MLP must be at least 1, got {layers} and {width}.")
        sizes = [prod(in_shape)] + [width] * (layers - 1)
        modules: list[nn.Module] = [nn.Flatten()]
        for size, following in pairwise(sizes):
            modules += [nn.Linear(size, following), nn.ReLU()]
        output = nn.Linear(sizes[-1], classes)
        self.layers = nn.Sequential(*modules, output)
        he_normal(self, output)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits `(batch, classes)` of `inputs` `(batch, *in_shape)`."""
        return self.layers(inputs)
