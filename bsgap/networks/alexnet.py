"""AlexNet in one column, for ImageNet and for CIFAR."""

from collections.abc import Sequence

from torch import Tensor, nn

from bsgap.errors import UsageError
from bsgap.networks.heads import Head, classifier, head_for
from bsgap.networks.initialisation import he_normal
from bsgap.networks.sizes import image_shape, is_small, scaled

# Channels and kernel of each convolution, and whether a pool follows. The first kernel is the one for small images.
LAYERS = ((64, 5, True), (192, 5, True), (384, 3, False), (256, 3, False), (256, 3, True))


def _strided(side: int, kernel: int, stride: int, padding: int) -> int:
    return (side + 2 * padding - kernel) // stride + 1


class AlexNet(nn.Module):
    """Five convolutions with three overlapping 3x3 max pools of stride 2, then the head.

    The one-column network of Krizhevsky 2014 (64, 192, 384, 256, 256 channels), which is also PyTorch's AlexNet: the
    two columns of Krizhevsky et al. 2012 and its local response normalisation are gone. The size of the images decides
    the form:

    - more than 64 pixels high or wide: 11x11 convolution of stride 4, pools without padding, and the head of two
      hidden layers of 4096 units with dropout 0.5;
    - else 5x5 convolution of stride 1, pools padded by one pixel so that any side is halved (32 -> 16 -> 8 -> 4), and
      the output directly on the last map. There is no published CIFAR form; this one is ours.

    Parameters: 61,100,840 at 3x224x224 and 1000 classes, 2,492,234 at 3x32x32 and 10. (Golmant et al. give 62 million:
    the layers of 2012, 96 to 256 channels, without the split into columns have 62,378,344 with 1000 classes.) Initial
    weights: `he_normal`, the output layer N(0, 0.01^2).

    Args:
        in_shape: Channels, height and width of one image; other sizes do not pass.
        classes: Number of outputs.
        width: Factor on the channels and hidden units; 1 is the paper's.
        batch_norm: Whether BatchNorm follows each convolution, which then has no bias; the paper has none.
        head: "cifar" or "imagenet"; when not given, the size of the images decides.

    Raises:
        UsageError: One side is above 64 pixels and the other below 63, too short for the strides.
    """

    def __init__(
        self,
        in_shape: Sequence[int] = (3, 32, 32),
        classes: int = 10,
        width: float = 1.0,
        batch_norm: bool = False,
        head: Head | None = None,
    ):
        super().__init__()
        inputs, height, breadth = image_shape(in_shape)
        small = is_small(height, breadth)
        margin = 1 if small else 0
        if not small:
            height, breadth = _strided(height, 11, 4, 2), _strided(breadth, 11, 4, 2)
        layers: list[nn.Module] = []
        for place, (channels, kernel, pooled) in enumerate(LAYERS):
            outputs = scaled(channels, width)
            if place == 0 and not small:
                layers.append(nn.Conv2d(inputs, outputs, 11, 4, padding=2, bias=not batch_norm))
            else:
                layers.append(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=not batch_norm))
            layers += [nn.BatchNorm2d(outputs)] if batch_norm else []
            layers.append(nn.ReLU(inplace=True))
            inputs = outputs
            if pooled:
                layers.append(nn.MaxPool2d(3, 2, padding=margin))
                height, breadth = _strided(height, 3, 2, margin), _strided(breadth, 3, 2, margin)
        if min(height, breadth) < 1:
            sides = "x".join(map(str, in_shape[1:]))
            raise UsageError(
                f"AlexNet's ImageNet form needs 63 pixels in height and width, got {sides}. Enlarge the images."
            )
        chosen = head_for(head, *in_shape[1:])
        self.features = nn.Sequential(*layers)
        self.classifier = classifier(chosen, inputs * height * breadth, classes, width, dropout_first=True)
        he_normal(self, self.classifier[-1])

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits `(batch, classes)` of `inputs` `(batch, *in_shape)`."""
        return self.classifier(self.features(inputs))
