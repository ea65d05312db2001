"""MobileNetV2 of Sandler et al. 2018."""

from collections.abc import Sequence

from torch import Tensor, nn

from bsgap.errors import UsageError
from bsgap.networks.blocks import GlobalAverage, normalised
from bsgap.networks.initialisation import he_normal
from bsgap.networks.sizes import image_shape, is_small

# Expansion t, channels c, repetitions n and stride s of the bottlenecks (table 2).
BOTTLENECKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def divisible(channels: float) -> int:
    """The multiple of 8 nearest to `channels`, at least 8, and never below 90 % of `channels`.

    It is the rounding of the authors' code, for fast kernels.
    """
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise convolution, and 1x1 projection without activation (Sandler et al. 2018, table 1).

    Input and output are added where the shape stays.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        stride: Of the depthwise convolution.
        expansion: Factor t of the channels in between; with 1 there is no expansion layer.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int):
        super().__init__()
        hidden = inputs * expansion
        layers = [] if expansion == 1 else [*normalised(inputs, hidden, 1), nn.ReLU6(inplace=True)]
        layers += [*normalised(hidden, hidden, 3, stride, groups=hidden), nn.ReLU6(inplace=True)]
        self.main = nn.Sequential(*layers, *normalised(hidden, outputs, 1))
        self.added = stride == 1 and inputs == outputs

    def forward(self, inputs: Tensor) -> Tensor:
        """`(batch, inputs, height, width)` to `(batch, outputs, height / stride, width / stride)`."""
        return inputs + self.main(inputs) if self.added else self.main(inputs)


class MobileNetV2(nn.Module):
    """17 inverted residual bottlenecks between a 3x3 convolution and a 1x1 convolution to 1280 channels.

    Sandler et al. 2018, table 2; BatchNorm and ReLU6 after each convolution except the projections; global average,
    dropout 0.2 (Keras' and PyTorch's value; the paper states none), linear output. For images to 64 pixels the first
    convolution and the first strided bottleneck have stride 1 (32 -> 4 pixels), as is usual on CIFAR.

    Parameters: 3,504,872 at 1000 classes (3.4 million in the paper; 3.47 in the table of the authors' models, which
    leaves BatchNorm's out), 2,236,682 at 10 classes (2.2 million in Golmant et al.). Initial weights: `he_normal`, the
    output layer N(0, 0.01^2).

    Args:
        in_shape: Channels, height and width of one image.
        classes: Number of outputs.
        width: The paper's width multiplier: channels are rounded to multiples of 8, and the last 1280 grow with it
            but do not shrink.
        dropout: Before the output.

    Raises:
        UsageError: `width` is not positive.
    """

    def __init__(
        self,
        in_shape: Sequence[int] = (3, 32, 32),
        classes: int = 10,
        width: float = 1.0,
        dropout: float = 0.2,
    ):
        super().__init__()
        if not width > 0:
            raise UsageError(f"width multiplies the channels of every layer and must be positive, got {width}")
        channels, height, breadth = image_shape(in_shape)
        small = is_small(height, breadth)
        inputs = divisible(32 * width)
        layers = [*normalised(channels, inputs, 3, 1 if small else 2), nn.ReLU6(inplace=True)]
        for expansion, channels, repetitions, stride in BOTTLENECKS:
            outputs = divisible(channels * width)
            first = 1 if small and channels == 24 else stride
            for repetition in range(repetitions):
                layers.append(InvertedResidual(inputs, outputs, 1 if repetition else first, expansion))
                inputs = outputs
        last = divisible(1280 * max(1.0, width))
        layers += [*normalised(inputs, last, 1), nn.ReLU6(inplace=True)]
        self.features = nn.Sequential(*layers, GlobalAverage())
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(last, classes)
        he_normal(self, self.classifier)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits `(batch, classes)` of `inputs` `(batch, *in_shape)`."""
        return self.classifier(self.dropout(self.features(inputs)))
