"""A convolutional network small enough for the 8x8 digits of the demo scale."""

from collections.abc import Sequence

from torch import Tensor, nn

from bsgap.networks.initialisation import glorot_uniform


class SmallConvNet(nn.Module):
    """Two 3x3 convolutions with BatchNorm, ReLU and 2x2 max pooling, then a linear output.

    It has C1's plan (convolution, BatchNorm, ReLU, pool, twice) in miniature and stands for it at demo scale. No paper
    used it. 6,122 weights at 8x8x1 and 10 classes.

    Args:
        in_shape: Channels, height and width of one image; height and width divisible by 4.
        classes: Number of outputs.
        width: Channels of the first convolution; the second has twice as many.
    """

    def __init__(self, in_shape: Sequence[int] = (1, 8, 8), classes: int = 10, width: int = 16):
        super().__init__()
        channels, height, breadth = in_shape
        layers: list[nn.Module] = []
        for outputs in (width, 2 * width):
            layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]
            channels = outputs
        features = channels * (height // 4) * (breadth // 4)
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, classes))
        glorot_uniform(self)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits `(batch, classes)` of `inputs` `(batch, *in_shape)`."""
        return self.layers(inputs)
