"""Residual networks of He et al. 2016: the CIFAR family of 6n + 2 layers, and those for ImageNet, 18 to 101 layers."""

from collections.abc import Sequence
from typing import Literal, get_args

from torch import Tensor, nn

from bsgap.errors import UsageError
from bsgap.networks.blocks import (
    GlobalAverage,
    PaddedShortcut,
    Residual,
    basic_block,
    bottleneck,
    normalised,
    projection,
    silence,
)
from bsgap.networks.initialisation import he_normal
from bsgap.networks.sizes import image_shape, is_small, scaled

# Blocks in each of the four stages, and whether they are bottlenecks of three convolutions (He et al. 2016, table 1).
STAGES: dict[int, tuple[tuple[int, int, int, int], bool]] = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
}
Shortcut = Literal["pad", "project"]


def _padded(inputs: int, outputs: int, stride: int) -> Residual:
    same = stride == 1 and inputs == outputs
    return basic_block(inputs, outputs, stride, nn.Identity() if same else PaddedShortcut(outputs - inputs, stride))


def _projected(inputs: int, outputs: int, stride: int) -> Residual:
    return basic_block(inputs, outputs, stride, projection(inputs, outputs, stride))


class CifarResNet(nn.Module):
    """Residual network for small images: 16, 32 and 64 channels, depth 6n + 2.

    3x3 convolution to 16 channels -> n basic blocks of 16 channels, n of 32 (the first with stride 2), n of 64 (the
    first with stride 2) -> global average -> linear output. Shortcuts have no parameters (option A). He et al. 2016,
    section 4.2 and table 6. BatchNorm after each convolution.

    Parameters at 3x32x32 and 10 classes: depth 8 0.08 million, 20 0.27, 32 0.46, 44 0.66, 56 0.85, 110 1.7. With
    `shortcut` "project", the form of Hoffer et al. 2017 (ResNet-44, read from the authors' code), the two shortcuts
    that change the shape are 1x1 convolutions with BatchNorm (option B): 2,752 parameters more at any depth. Initial
    weights: `he_normal`, the output layer N(0, 0.01^2).

    Args:
        depth: Layers with weights: 8, 14, 20, 26, ... (n blocks a stage make 6n + 2).
        in_shape: Channels, height and width of one image.
        classes: Number of outputs.
        width: Factor on the channels of every layer; 1 is the paper's.
        shortcut: "pad" (option A) or "project" (option B) where the shape changes; "pad" when not given.
        zero_gamma: Whether the last BatchNorm of each block starts with a gain of 0, so that the block starts as its
            shortcut (Goyal et al. 2017, section 5.1); not when not given.

    Raises:
        UsageError: `depth` is not 6n + 2, or an unknown `shortcut`.
    """

    def __init__(
        self,
        depth: int = 20,
        in_shape: Sequence[int] = (3, 32, 32),
        classes: int = 10,
        width: float = 1.0,
        shortcut: Shortcut | None = None,
        zero_gamma: bool | None = None,
    ):
        super().__init__()
        blocks, remainder = divmod(depth - 2, 6)
        if blocks < 1 or remainder:
            raise UsageError(f"depth of a CifarResNet must be 6n + 2 (8, 14, 20, ..., 110), got {depth}")
        if shortcut is not None and shortcut not in get_args(Shortcut):
            raise UsageError(f"shortcut must be one of {', '.join(get_args(Shortcut))}, or absent, got {shortcut!r}")
        block_of = _projected if shortcut == "project" else _padded
        inputs = scaled(16, width)
        layers = [*normalised(image_shape(in_shape)[0], inputs, 3), nn.ReLU(inplace=True)]
        for channels in (16, 32, 64):
            outputs = scaled(channels, width)
            for block in range(blocks):
                stride = 2 if channels > 16 and block == 0 else 1
                layers.append(block_of(inputs, outputs, stride))
                inputs = outputs
        self.features = nn.Sequential(*layers, GlobalAverage())
        self.classifier = nn.Linear(inputs, classes)
        he_normal(self, self.classifier)
        if zero_gamma:
            silence(self)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits `(batch, classes)` of `inputs` `(batch, *in_shape)`."""
        return self.classifier(self.features(inputs))


class ResNet(nn.Module):
    """ResNet-18, -34, -50 and -101: residual blocks of 64, 128, 256 and 512 channels in four stages.

    He et al. 2016, table 1, with 1x1 projections where the shape changes (option B). 18 and 34 have basic blocks of two
    3x3 convolutions; 50 and 101 have bottlenecks, 1x1, 3x3 and 1x1 to four times the channels, with the stride on the
    3x3 (Goyal et al. 2017, section 5.1). BatchNorm after each convolution; global average; linear output. The stem
    depends on the size of the images:

    - more than 64 pixels high or wide: the paper's 7x7 convolution of stride 2 and 3x3 max pool of stride 2;
    - else one 3x3 convolution of stride 1 and no pooling, as is usual on CIFAR.

    Parameters: 11,689,512 (18), 21,797,672 (34), 25,557,032 (50) and 44,549,160 (101) at 3x224x224 and 1000 classes;
    11,173,962, 21,282,122, 23,520,842 and 42,512,970 at 3x32x32 and 10 classes. With the shortcuts of option A
    ResNet-34 has 21.1 million at 10 classes; Golmant et al. give their ResNet34 as 21 million, which fits both. Initial
    weights: `he_normal`, the output layer N(0, 0.01^2).

    Args:
        depth: 18, 34, 50 or 101.
        in_shape: Channels, height and width of one image.
        classes: Number of outputs.
        width: Factor on the channels of every layer; 1 is the paper's.
        zero_gamma: As in `CifarResNet`.

    Raises:
        UsageError: `depth` is none of the four.
    """

    def __init__(
        self,
        depth: int = 34,
        in_shape: Sequence[int] = (3, 32, 32),
        classes: int = 10,
        width: float = 1.0,
        zero_gamma: bool | None = None,
    ):
        super().__init__()
        if depth not in STAGES:
            raise UsageError(f"depth of a ResNet must be one of {', '.join(map(str, STAGES))}, got {depth}")
        channels, height, breadth = image_shape(in_shape)
        inputs = scaled(64, width)
        if is_small(height, breadth):
            layers = [*normalised(channels, inputs, 3), nn.ReLU(inplace=True)]
        else:
            layers = [*normalised(channels, inputs, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, padding=1)]
        repetitions, bottlenecks = STAGES[depth]
        for stage, blocks in enumerate(repetitions):
            outputs = scaled(64 * 2**stage, width)
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append((bottleneck if bottlenecks else _projected)(inputs, outputs, stride))
                inputs = 4 * outputs if bottlenecks else outputs
        self.features = nn.Sequential(*layers, GlobalAverage())
        self.classifier = nn.Linear(inputs, classes)
        he_normal(self, self.classifier)
        if zero_gamma:
            silence(self)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits `(batch, classes)` of `inputs` `(batch, *in_shape)`."""
        return self.classifier(self.features(inputs))
