"""The nine-layer network of Li et al. 2017, on which they compare small and large batches."""

from collections.abc import Sequence
from math import sqrt

from torch import Tensor, nn

from bsgap.networks.sizes import image_shape, scaled

BLOCKS = ((64, 64), (128, 128), (256, 256, 256))
"""Channels of the 3x3 convolutions of each block."""
HIDDEN = 256


class VGG9(nn.Module):
    """Seven 3x3 convolutions in three blocks, each ended by a 2x2 max pool, a hidden layer, and the output.

    Li, Xu, Taylor, Studer and Goldstein 2017 (arXiv:1712.09913), as in their code: 64, 64, pool, 128, 128, pool, 256,
    256, 256, pool, then 256 hidden units. BatchNorm and ReLU follow every convolution and the hidden layer; both kinds
    of layer keep their biases. A block whose map is already one pixel high or wide does not pool, and odd sides are
    rounded up, so that small images pass.

    Initial weights, as in the code: N(0, 2 / fan-in) for a convolution (He et al. 2015), N(0, 0.001²) for both linear
    layers, biases 0. Parameters at 3x32x32 and 10 classes: 2,789,706.

    Example:
        >>> import torch
        >>> network = VGG9(width=0.25)
        >>> network(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 10])

    Args:
        in_shape: Channels, height and width of one image; other sizes do not pass.
        classes: Number of outputs.
        width: Factor on the channels and hidden units; 1 is the paper's.

    Raises:
        UsageError: `in_shape` is not three positive numbers, or `width` is not positive.
    """

    def __init__(self, in_shape: Sequence[int] = (3, 32, 32), classes: int = 10, width: float = 1.0):
        super().__init__()
        inputs, height, breadth = image_shape(in_shape)
        layers: list[nn.Module] = []
        for block in BLOCKS:
            for channels in block:
                outputs = scaled(channels, width)
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
                inputs = outputs
            if min(height, breadth) > 1:
                layers.append(nn.MaxPool2d(2, ceil_mode=True))
                height, breadth = -(-height // 2), -(-breadth // 2)
        hidden = scaled(HIDDEN, width)
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(inputs * height * breadth, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, classes),
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                deviation = 1e-3 if isinstance(layer, nn.Linear) else sqrt(2 / layer.weight[0].numel())
                nn.init.normal_(layer.weight, std=deviation)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits `(batch, classes)` of `inputs` `(batch, *in_shape)`."""
        return self.classifier(self.features(inputs))
