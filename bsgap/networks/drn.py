"""Dilated residual networks DRN-D of Yu et al. 2017, for segmentation and for classification."""

from collections.abc import Sequence

from torch import Tensor, nn

from bsgap.errors import UsageError
from bsgap.networks.blocks import basic_block, bottleneck, normalised, projection
from bsgap.networks.initialisation import he_normal
from bsgap.networks.sizes import image_shape, scaled

# Residual blocks of levels 3 to 6, and whether they are bottlenecks of three convolutions, by depth.
LEVELS: dict[int, tuple[tuple[int, int, int, int], bool]] = {
    22: ((2, 2, 2, 2), False),
    38: ((3, 4, 6, 3), False),
    54: ((3, 4, 6, 3), True),
    105: ((3, 4, 23, 3), True),
}
# Channels (before a bottleneck's factor of 4), stride and dilation of levels 3 to 6.
RESIDUAL_LEVELS = ((64, 2, 1), (128, 2, 1), (256, 1, 2), (512, 1, 4))
STRIDE = 8


def _plain(inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1) -> list[nn.Module]:
    return [*normalised(inputs, outputs, kernel, stride, dilation=dilation), nn.ReLU(inplace=True)]


class DRN(nn.Module):
    """DRN-D: a residual network whose last stages dilate their kernels in place of taking strides.

    | level | layers (DRN-D-22)             | channels | stride | dilation |
    |-------|-------------------------------|----------|--------|----------|
    | 0     | 7x7 convolution               | 16       | 1      | 1        |
    | 1     | 3x3 convolution               | 16       | 1      | 1        |
    | 2     | 3x3 convolution               | 32       | 2      | 1        |
    | 3, 4  | 2 residual blocks each        | 64, 128  | 2      | 1        |
    | 5     | 2 residual blocks             | 256      | 1      | 2        |
    | 6     | 2 residual blocks             | 512      | 1      | 4        |
    | 7     | 3x3 convolution               | 512      | 1      | 2        |
    | 8     | 3x3 convolution               | 512      | 1      | 1        |

    There is no max pool, and levels 7 and 8, with falling dilation and no shortcuts, remove the grid that dilation
    leaves (Yu et al. 2017, section 4, for DRN-C; D, read from the authors' code, has plain convolutions where C has
    blocks). BatchNorm and ReLU after each convolution. The last map has an eighth of the input's height and width,
    rounded up.

    For segmentation a 1x1 convolution gives the logits of each place, which are enlarged eight times bilinearly and
    cut to the input's size. The authors enlarge with a fixed transposed convolution, which is the same but in the
    outer four pixels, where it fades towards zero. For classification the average of the map goes to a linear output.

    Parameters as a classifier of 1000 classes: 16.4 million (22), 26.5 (38), 35.8 (54), 54.8 (105); DRN-D-22 with 19
    segmentation classes has 15.9. Initial weights: `he_normal`, the output layer N(0, 0.01^2), where the authors' rule
    would start Cityscapes with logits of a standard deviation near 5.

    Args:
        depth: 22 or 38 (basic blocks), 54 or 105 (bottlenecks).
        in_shape: Channels, height and width of one image; only the channels matter.
        classes: Number of outputs; 19 in Cityscapes.
        width: Factor on the channels of every layer; 1 is the paper's.
        segmentation: Whether the output is a map of logits or one vector for the image.

    Raises:
        UsageError: `depth` is none of the four.
    """

    def __init__(
        self,
        depth: int = 22,
        in_shape: Sequence[int] = (3, 512, 1024),
        classes: int = 19,
        width: float = 1.0,
        segmentation: bool = True,
    ):
        super().__init__()
        if depth not in LEVELS:
            raise UsageError(f"depth of a DRN must be one of {', '.join(map(str, LEVELS))}, got {depth}")
        repetitions, bottlenecks = LEVELS[depth]
        narrow, inputs, last = scaled(16, width), scaled(32, width), scaled(512, width)
        layers = [
            *_plain(image_shape(in_shape)[0], narrow, 7),
            *_plain(narrow, narrow, 3),
            *_plain(narrow, inputs, 3, 2),
        ]
        for blocks, (channels, first_stride, dilation) in zip(repetitions, RESIDUAL_LEVELS, strict=True):
            outputs = scaled(channels, width)
            for block in range(blocks):
                stride = first_stride if block == 0 else 1
                if bottlenecks:
                    layers.append(bottleneck(inputs, outputs, stride, dilation=dilation))
                    inputs = 4 * outputs
                else:
                    shortcut = projection(inputs, outputs, stride)
                    layers.append(basic_block(inputs, outputs, stride, shortcut, dilation=dilation))
                    inputs = outputs
        self.features = nn.Sequential(*layers, *_plain(inputs, last, 3, dilation=2), *_plain(last, last, 3))
        self.segmentation = segmentation
        self.output = nn.Conv2d(last, classes, 1)
        he_normal(self, self.output)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits of `inputs` `(batch, channels, height, width)`.

        Returns:
            `(batch, classes, height, width)` for segmentation, else `(batch, classes)`.
        """
        features = self.features(inputs)
        if not self.segmentation:
            return self.output(nn.functional.avg_pool2d(features, features.shape[2:])).flatten(1)
        enlarged = nn.functional.interpolate(
            self.output(features), scale_factor=STRIDE, mode="bilinear", align_corners=False
        )
        return enlarged[:, :, : inputs.shape[2], : inputs.shape[3]]
