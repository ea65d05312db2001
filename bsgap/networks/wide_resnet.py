"""Wide residual networks of Zagoruyko and Komodakis 2016."""

from collections.abc import Sequence

from torch import Tensor, nn

from bsgap.errors import UsageError
from bsgap.networks.blocks import GlobalAverage
from bsgap.networks.initialisation import he_normal
from bsgap.networks.sizes import image_shape, scaled


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


class PreActivated(nn.Module):
    """`shortcut + conv(relu(norm(conv(a))))` with `a = relu(norm(x))`, the pre-activation block of He et al. 2016b.

    The shortcut is `x` itself where the shape stays, else a 1x1 convolution of `a`.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        stride: Of the first 3x3 convolution and of the shortcut.
    """

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.activation = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(inplace=True))
        self.main = nn.Sequential(
            _convolution(inputs, outputs, 3, stride), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
        )
        self.last = _convolution(outputs, outputs, 3)
        same = stride == 1 and inputs == outputs
        self.shortcut = None if same else _convolution(inputs, outputs, 1, stride)

    def forward(self, inputs: Tensor) -> Tensor:
        """`(batch, inputs, height, width)` to `(batch, outputs, height / stride, width / stride)`."""
        activated = self.activation(inputs)
        passed = inputs if self.shortcut is None else self.shortcut(activated)
        return passed + self.last(self.main(activated))


class WideResNet(nn.Module):
    """WRN-depth-widen: a pre-activation residual network for small images, few layers deep and many channels wide.

    3x3 convolution to 16 channels -> n blocks of 16k channels, n of 32k (the first with stride 2), n of 64k (the first
    with stride 2) -> BatchNorm, ReLU -> global average -> linear output, with depth 6n + 4 and k the widening factor.
    Zagoruyko and Komodakis 2016, table 1, blocks B(3, 3) without dropout. (The depth counts the 1x1 shortcuts of the
    three stages as layers.)

    Parameters at 3x32x32 and 10 classes: WRN-16-4 2,748,890, WRN-40-4 8,949,210 (8.9 million in the paper),
    WRN-28-10 36,479,194 (36.5). Initial weights: `he_normal`, the output layer N(0, 0.01^2).

    Args:
        depth: 10, 16, 22, 28, 40, ... (n blocks a stage make 6n + 4).
        widen: The paper's widening factor k, 4 in WRN-16-4.
        in_shape: Channels, height and width of one image.
        classes: Number of outputs.
        width: Factor on the channels of every layer, the first convolution's included; 1 is the paper's.
        zero_gamma: Whether each block starts as its shortcut, as Goyal et al. 2017 (section 5.1) have it with a gain of
            0. A pre-activation block ends in a convolution, and that one starts at 0: a gain of 0 before its ReLU would
            stay 0, as no gradient passes there. Not when not given.

    Raises:
        UsageError: `depth` is not 6n + 4, or `widen` is below 1.
    """

    def __init__(
        self,
        depth: int = 16,
        widen: int = 4,
        in_shape: Sequence[int] = (3, 32, 32),
        classes: int = 10,
        width: float = 1.0,
        zero_gamma: bool | None = None,
    ):
        super().__init__()
        blocks, remainder = divmod(depth - 4, 6)
        if blocks < 1 or remainder:
            raise UsageError(f"depth of a WideResNet must be 6n + 4 (10, 16, 22, 28, 40, ...), got {depth}")
        if widen < 1:
            raise UsageError(
                f"widen multiplies the channels of the residual blocks and must be at least 1, got {widen}"
            )
        inputs = scaled(16, width)
        layers: list[nn.Module] = [_convolution(image_shape(in_shape)[0], inputs, 3)]
        for stage in range(3):
            outputs = scaled(16 * 2**stage * widen, width)
            for block in range(blocks):
                layers.append(PreActivated(inputs, outputs, 2 if stage > 0 and block == 0 else 1))
                inputs = outputs
        layers += [nn.BatchNorm2d(inputs), nn.ReLU(inplace=True)]
        self.features = nn.Sequential(*layers, GlobalAverage())
        self.classifier = nn.Linear(inputs, classes)
        he_normal(self, self.classifier)
        if zero_gamma:
            for module in self.modules():
                if isinstance(module, PreActivated):
                    nn.init.zeros_(module.last.weight)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits `(batch, classes)` of `inputs` `(batch, *in_shape)`."""
        return self.classifier(self.features(inputs))
