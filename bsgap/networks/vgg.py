"""The convolutional networks of Simonyan and Zisserman 2015."""

from collections.abc import Sequence

from torch import Tensor, nn

from bsgap.errors import UsageError
from bsgap.networks.heads import Head, classifier, head_for
from bsgap.networks.initialisation import he_normal
from bsgap.networks.sizes import image_shape, scaled

# Convolutions of each of the five blocks (table 1: configurations A, B, D and E) and their channels.
BLOCKS: dict[int, tuple[int, ...]] = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
CHANNELS = (64, 128, 256, 512, 512)


class VGG(nn.Module):
    """VGG-11, -13, -16 and -19: blocks of 3x3 convolutions, each ended by a 2x2 max pool.

    Simonyan and Zisserman 2015, table 1. Two heads: "imagenet" is the paper's, two hidden layers of 4096 units with
    dropout 0.5; "cifar" goes from the last pool straight to the output, as is usual at 32 pixels. A block whose map is
    already one pixel high or wide does not pool, so that small images pass. BatchNorm, which the paper does not have,
    is an option; the convolutions then lose their biases.

    Parameters with the paper's head at 3x224x224 and 1000 classes, without BatchNorm: 132,863,336 (11), 133,047,848
    (13), 138,357,544 (16), 143,667,240 (19). With the CIFAR head at 3x32x32 and 10 classes: 9.2, 9.4, 14.7 and 20.0
    million. Initial weights: `he_normal`, the output layer N(0, 0.01^2).

    Args:
        depth: Layers with weights: 11, 13, 16 or 19, the two hidden layers of the paper's head included.
        batch_norm: Whether BatchNorm follows each convolution.
        in_shape: Channels, height and width of one image; other sizes do not pass.
        classes: Number of outputs.
        width: Factor on the channels and hidden units; 1 is the paper's.
        head: "cifar" or "imagenet"; when not given, "cifar" for images to 64 pixels and "imagenet" beyond.

    Raises:
        UsageError: `depth` is none of the four.
    """

    def __init__(
        self,
        depth: int = 16,
        batch_norm: bool = True,
        in_shape: Sequence[int] = (3, 32, 32),
        classes: int = 10,
        width: float = 1.0,
        head: Head | None = None,
    ):
        super().__init__()
        if depth not in BLOCKS:
            raise UsageError(f"depth of a VGG must be one of {', '.join(map(str, BLOCKS))}, got {depth}")
        inputs, height, breadth = image_shape(in_shape)
        chosen = head_for(head, height, breadth)
        layers: list[nn.Module] = []
        for convolutions, channels in zip(BLOCKS[depth], CHANNELS, strict=True):
            outputs = scaled(channels, width)
            for _ in range(convolutions):
                layers.append(nn.Conv2d(inputs, outputs, 3, padding=1, bias=not batch_norm))
                layers += [nn.BatchNorm2d(outputs)] if batch_norm else []
                layers.append(nn.ReLU(inplace=True))
                inputs = outputs
            if min(height, breadth) > 1:
                layers.append(nn.MaxPool2d(2))
                height, breadth = height // 2, breadth // 2
        self.features = nn.Sequential(*layers)
        self.classifier = classifier(chosen, inputs * height * breadth, classes, width, dropout_first=False)
        he_normal(self, self.classifier[-1])

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits `(batch, classes)` of `inputs` `(batch, *in_shape)`."""
        return self.classifier(self.features(inputs))
