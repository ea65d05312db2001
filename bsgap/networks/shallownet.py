"""The shallow convolutional network C1 (CIFAR-10) and C3 (CIFAR-100) of Keskar et al. 2017."""

from collections.abc import Sequence

from torch import Tensor, nn

from bsgap.networks.initialisation import glorot_uniform


def _convolution(inputs: int, outputs: int) -> list[nn.Module]:
    # With ceil_mode the last window hangs over the edge, which is Keras' 'same' padding: 32 -> 16 -> 8.
    return [
        nn.Conv2d(inputs, outputs, 5, padding=2),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
    ]


def _dense(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU(), nn.Dropout(0.5)]


class ShallowNet(nn.Module):
    """Two blocks of 5x5 convolution and pooling, then 384 and 192 units with dropout.

    conv 64 -> BatchNorm -> ReLU -> max pool 3x3 stride 2, twice; then 384 and 192 units, each with BatchNorm, ReLU and
    dropout 0.5; then the output. The paper's notation 2 x [64, 5, 5, 2] would put the stride of 2 on the convolution;
    the authors' code (`shallownet`) puts it on the pooling, and the code is followed here. 1.76 million weights at
    32x32x3 and 10 classes.

    Args:
        in_shape: Channels, height and width of one image.
        classes: 10 in C1, 100 in C3.
    """

    def __init__(self, in_shape: Sequence[int] = (3, 32, 32), classes: int = 10):
        super().__init__()
        channels, height, width = in_shape
        features = 64 * -(-height // 4) * -(-width // 4)
        self.features = nn.Sequential(*_convolution(channels, 64), *_convolution(64, 64))
        self.classifier = nn.Sequential(
            nn.Flatten(), *_dense(features, 384), *_dense(384, 192), nn.Linear(192, classes)
        )
        glorot_uniform(self)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits `(batch, classes)` of `inputs` `(batch, *in_shape)`."""
        return self.classifier(self.features(inputs))
