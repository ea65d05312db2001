"""The deep convolutional network C2 (CIFAR-10) and C4 (CIFAR-100) of Keskar et al. 2017."""

from collections.abc import Sequence

from torch import Tensor, nn

from bsgap.networks.initialisation import glorot_uniform

# Output channels and the dropout that follows, by block; each block ends in a 2x2 max pool.
BLOCKS: tuple[tuple[tuple[int, float], ...], ...] = (
    ((64, 0.3), (64, 0.0)),
    ((128, 0.4), (128, 0.0)),
    ((256, 0.4), (256, 0.4), (256, 0.0)),
    ((512, 0.4), (512, 0.4), (512, 0.0)),
    ((512, 0.4), (512, 0.4), (512, 0.0)),
)


class DeepNet(nn.Module):
    """VGG-16-like network with BatchNorm after each 3x3 convolution and dropout within the blocks.

    64, 64, pool | 128, 128, pool | 3 x 256, pool | 3 x 512, pool | 3 x 512, pool; dropout 0.3 after the first
    convolution, 0.4 between the others of one block; then dropout 0.5, 512 units with BatchNorm and ReLU, dropout 0.5,
    output. Read from the authors' code (`deepnet`). 15.0 million weights at 32x32x3 and 10 classes.

    Args:
        in_shape: Channels, height and width of one image; height and width divisible by 32.
        classes: 10 in C2, 100 in C4.
    """

    def __init__(self, in_shape: Sequence[int] = (3, 32, 32), classes: int = 10):
        super().__init__()
        channels, height, width = in_shape
        layers: list[nn.Module] = []
        for block in BLOCKS:
            for outputs, dropout in block:
                layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
                layers += [nn.Dropout(dropout)] if dropout else []
                channels = outputs
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(channels * (height // 32) * (width // 32), 512),
            nn.BatchNorm1d(512),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(512, classes),
        )
        glorot_uniform(self)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits `(batch, classes)` of `inputs` `(batch, *in_shape)`."""
        return self.classifier(self.features(inputs))
