"""The convolutional network C1 of Yao et al. 2018."""

from collections.abc import Sequence

from torch import Tensor, nn

from bsgap.networks.sizes import image_shape, scaled


class TwoConvNet(nn.Module):
    """Two 5x5 convolutions with ReLU, BatchNorm and a 3x3 max pool of stride 2 each, then 384 and 192 units.

    conv 64 -> ReLU -> BatchNorm -> max pool, twice; then 384 and 192 units with ReLU; then the output. Read in the
    authors' code (`c1_model` of HessianFlow), where BatchNorm follows the ReLU, the pools are padded by one pixel
    (32 -> 16 -> 8), and there is neither dropout nor BatchNorm behind the convolutions: with running statistics the
    loss is a plain function of weights and images, as second derivatives and attacks need it. Weights start as PyTorch
    starts them, as in that code. 1,756,682 weights at 3x32x32 and 10 classes.

    It is not the C1 of Keskar et al. 2017, which is `ShallowNet`.

    Args:
        in_shape: Channels, height and width of one image.
        classes: Number of outputs.
        width: Factor on the channels and hidden units; 1 is the paper's.

    Raises:
        UsageError: `in_shape` is not three positive numbers, or `width` is not positive.

    >>> sum(parameter.numel() for parameter in TwoConvNet().parameters())
    1756682
    """

    def __init__(self, in_shape: Sequence[int] = (3, 32, 32), classes: int = 10, width: float = 1.0):
        super().__init__()
        inputs, height, breadth = image_shape(in_shape)
        layers: list[nn.Module] = []
        channels = scaled(64, width)
        for _ in range(2):
            layers += [nn.Conv2d(inputs, channels, 5, padding=2), nn.ReLU(), nn.BatchNorm2d(channels)]
            layers.append(nn.MaxPool2d(3, stride=2, padding=1))
            inputs, height, breadth = channels, -(-height // 2), -(-breadth // 2)
        first, second = scaled(384, width), scaled(192, width)
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(inputs * height * breadth, first),
            nn.ReLU(),
            nn.Linear(first, second),
            nn.ReLU(),
            nn.Linear(second, classes),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits `(batch, classes)` of `inputs` `(batch, *in_shape)`."""
        return self.classifier(self.features(inputs))
