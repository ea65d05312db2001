"""AlexNet in one column, for ImageNet and for CIFAR."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from bsgap.errors import UsageError
from bsgap.networks.heads import Head, classifier, head_for
from bsgap.networks.initialisation import he_normal
from bsgap.networks.sizes import image_shape, is_small, scaled

# Channels and kernel of each convolution, and whether a pool follows. The form of the network decides the first kernel.
LAYERS = ((64, 5, True), (192, 5, True), (384, 3, False), (256, 3, False), (256, 3, True))


# Kernel, stride and padding of the first convolution, and kernel and padding of the pools, of each form; and the
# smallest side in pixels that a pool does not bring to nothing.
FORMS = {
    "imagenet": ((11, 4, 2), (3, 0), 63),
    "small": ((5, 1, 2), (3, 1), 1),
    "strided": ((11, 4, 5), (2, 0), 29),
}


def _strided(side: int, kernel: int, stride: int, padding: int) -> int:
    return (side + 2 * padding - kernel) // stride + 1


class AlexNet(nn.Module):
    """Five convolutions with three max pools of stride 2, then the head.

    The one-column network of Krizhevsky 2014 (64, 192, 384, 256, 256 channels), which is also PyTorch's AlexNet: the
    two columns of Krizhevsky et al. 2012 and its local response normalisation are gone. The size of the images decides
    the form:

    - more than 64 pixels high or wide: 11x11 convolution of stride 4, 3x3 pools without padding, and the head of two
      hidden layers of 4096 units with dropout 0.5;
    - else 5x5 convolution of stride 1, 3x3 pools padded by one pixel so that any side is halved (32 -> 16 -> 8 -> 4),
      and the output directly on the last map. There is no published CIFAR form; this one is ours.

    `stem` "strided" is a third form, that of the CIFAR script which AdaBatch (Devarakonda et al. 2017) trains: the
    11x11 convolution of stride 4 on small images too, padded by 5, and 2x2 pools (32 -> 8 -> 4 -> 2 -> 1 pixel), with
    the output directly on the last map. It takes 15 million multiply-adds an image where ours takes 220.

    Parameters: 61,100,840 at 3x224x224 and 1000 classes, 2,492,234 at 3x32x32 and 10, there 2,472,266 with the strided
    stem. (Golmant et al. give 62 million: the layers of 2012, 96 to 256 channels, without the split into columns have
    62,378,344 with 1000 classes.) Initial weights: `he_normal`, the output layer N(0, 0.01^2).

    Args:
        in_shape: Channels, height and width of one image; other sizes do not pass.
        classes: Number of outputs.
        width: Factor on the channels and hidden units; 1 is the paper's.
        batch_norm: Whether BatchNorm follows each convolution, which then has no bias; the paper has none.
        head: "cifar" or "imagenet"; when not given, the size of the images decides, and "cifar" for a strided stem.
        stem: "strided" as above; when not given, the size of the images decides.

    Raises:
        UsageError: The images are too small for the strides: a side below 63 pixels beside one above 64, or below 29
            with a strided stem; an unknown `stem`.
    """

    def __init__(
        self,
        in_shape: Sequence[int] = (3, 32, 32),
        classes: int = 10,
        width: float = 1.0,
        batch_norm: bool = False,
        head: Head | None = None,
        stem: Literal["strided"] | None = None,
    ):
        super().__init__()
        inputs, height, breadth = image_shape(in_shape)
        if stem not in (None, "strided"):
            raise UsageError(f"stem must be strided, or absent, got {stem!r}")
        form = stem or ("small" if is_small(height, breadth) else "imagenet")
        first, (pool, margin), smallest = FORMS[form]
        if min(height, breadth) < smallest:
            name = "ImageNet" if form == "imagenet" else form
            raise UsageError(
                f"AlexNet's {name} form needs {smallest} pixels in height and width, got {height}x{breadth}."
                " Enlarge the images."
            )
        layers: list[nn.Module] = []
        for place, (channels, kernel, pooled) in enumerate(LAYERS):
            outputs = scaled(channels, width)
            size, stride, padding = (kernel, 1, kernel // 2) if place else first
            layers.append(nn.Conv2d(inputs, outputs, size, stride, padding=padding, bias=not batch_norm))
            layers += [nn.BatchNorm2d(outputs)] if batch_norm else []
            layers.append(nn.ReLU(inplace=True))
            height, breadth = _strided(height, size, stride, padding), _strided(breadth, size, stride, padding)
            inputs = outputs
            if pooled:
                layers.append(nn.MaxPool2d(pool, 2, padding=margin))
                height, breadth = _strided(height, pool, 2, margin), _strided(breadth, pool, 2, margin)
        chosen = head_for(head or ("cifar" if stem else None), *in_shape[1:])
        self.features = nn.Sequential(*layers)
        self.classifier = classifier(chosen, inputs * height * breadth, classes, width, dropout_first=True)
        he_normal(self, self.classifier[-1])

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits `(batch, classes)` of `inputs` `(batch, *in_shape)`."""
        return self.classifier(self.features(inputs))
