"""What residual networks are made of: convolutions with BatchNorm, and sums with a shortcut."""

from torch import Tensor, nn


def normalised(
    inputs: int, outputs: int, kernel: int, stride: int = 1, *, dilation: int = 1, groups: int = 1
) -> list[nn.Module]:
    """A convolution and its BatchNorm; the padding keeps the size at stride 1.

    The convolution has no bias: BatchNorm would subtract it again.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        kernel: Side of the square kernel, odd.
        stride: Step of the kernel; an output side is the input side divided by it, rounded up.
        dilation: Distance between neighbouring weights of the kernel, in pixels.
        groups: Into how many groups the channels fall; `inputs` makes the convolution depthwise.
    """
    padding = dilation * (kernel // 2)
    convolution = nn.Conv2d(
        inputs, outputs, kernel, stride, padding=padding, dilation=dilation, groups=groups, bias=False
    )
    return [convolution, nn.BatchNorm2d(outputs)]


class Residual(nn.Module):
    """`relu(main(x) + shortcut(x))`, the building block of He et al. 2016 (eq. 1 and 2).

    Args:
        main: The layers F(x) that learn the difference; they end without an activation.
        shortcut: The identity, or what brings x to the shape of F(x).
    """

    def __init__(self, main: nn.Module, shortcut: nn.Module):
        super().__init__()
        self.main = main
        self.shortcut = shortcut

    def forward(self, inputs: Tensor) -> Tensor:
        """The activated sum for `inputs` `(batch, channels, height, width)`."""
        return nn.functional.relu(self.main(inputs) + self.shortcut(inputs))


class PaddedShortcut(nn.Module):
    """Shortcut without parameters: every `stride`-th pixel, and zeros for the channels that are new.

    Option A of He et al. 2016, section 3.3. The zeros come after the old channels.

    Args:
        extra: Number of new channels.
        stride: Of the block that the shortcut passes by.
    """

    def __init__(self, extra: int, stride: int):
        super().__init__()
        self.extra = extra
        self.stride = stride

    def forward(self, inputs: Tensor) -> Tensor:
        """`(batch, channels, height, width)` to `(batch, channels + extra, height / stride, width / stride)`."""
        # Not a slice: the gradient of that would lose the layout of the images, see `GlobalAverage`.
        thinned = nn.functional.avg_pool2d(inputs, 1, self.stride)
        return nn.functional.pad(thinned, (0, 0, 0, 0, 0, self.extra))


class GlobalAverage(nn.Module):
    """Mean over height and width: `(batch, channels, height, width)` to `(batch, channels)`.

    Its gradient has the layout of its inputs. That of `AdaptiveAvgPool2d(1)` is never channels-last, so that what comes
    after it in the backward pass meets two layouts at once, for which a CPU takes 20 times as long.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """The means."""
        return nn.functional.avg_pool2d(inputs, inputs.shape[2:]).flatten(1)


def projection(inputs: int, outputs: int, stride: int) -> nn.Module:
    """The identity where the shape stays, else a 1x1 convolution with BatchNorm: option B of He et al. 2016."""
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(*normalised(inputs, outputs, 1, stride))


def basic_block(inputs: int, outputs: int, stride: int, shortcut: nn.Module, *, dilation: int = 1) -> Residual:
    """Two 3x3 convolutions beside a `shortcut`; the first has the `stride`, both the `dilation`."""
    first = normalised(inputs, outputs, 3, stride, dilation=dilation)
    second = normalised(outputs, outputs, 3, dilation=dilation)
    return Residual(nn.Sequential(*first, nn.ReLU(inplace=True), *second), shortcut)


def bottleneck(inputs: int, channels: int, stride: int, *, dilation: int = 1) -> Residual:
    """1x1 convolution to `channels`, 3x3, and 1x1 to four times `channels`, beside a `projection`.

    The stride is on the 3x3 convolution, as in the ResNet-50 of Goyal et al. 2017 (section 5.1) and of PyTorch, where
    He et al. 2016 have it on the first 1x1: the same number of parameters, 6 % more multiply-adds in ResNet-50, and no
    pixel that is never read.
    """
    outputs = 4 * channels
    main = [*normalised(inputs, channels, 1), nn.ReLU(inplace=True)]
    main += [*normalised(channels, channels, 3, stride, dilation=dilation), nn.ReLU(inplace=True)]
    return Residual(nn.Sequential(*main, *normalised(channels, outputs, 1)), projection(inputs, outputs, stride))


def silence(network: nn.Module) -> None:
    """Start every residual block as its shortcut: the gain of the last BatchNorm of each block becomes 0, in place.

    Goyal et al. 2017, section 5.1. The gain gets a gradient at once, the weights before it from the second step on.
    """
    for block in network.modules():
        if isinstance(block, Residual):
            last = list(block.main.children())[-1]
            assert isinstance(last, nn.BatchNorm2d)
            nn.init.zeros_(last.weight)
