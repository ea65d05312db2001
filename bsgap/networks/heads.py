"""The fully connected end of the networks that flatten their last feature map: AlexNet and VGG."""

from typing import Literal, get_args

from torch import nn

from bsgap.errors import UsageError
from bsgap.networks.sizes import is_small, scaled

Head = Literal["cifar", "imagenet"]


def head_for(head: Head | None, height: int, width: int) -> Head:
    """The head asked for, or by the size of the images: "cifar" to 64 pixels, "imagenet" beyond.

    Raises:
        UsageError: `head` is neither.
    """
    if head is not None and head not in get_args(Head):
        raise UsageError(f"head must be one of {', '.join(get_args(Head))}, or absent, got {head!r}")
    return head or ("cifar" if is_small(height, width) else "imagenet")


def classifier(head: Head, features: int, classes: int, width: float, *, dropout_first: bool) -> nn.Sequential:
    """The layers from `features` flattened numbers to the logits; the last is the output layer.

    "imagenet": two hidden layers of 4096 units with ReLU and dropout 0.5, then the output. "cifar": the output alone.

    Args:
        head: Which of the two.
        features: Numbers of the flattened map.
        classes: Number of outputs.
        width: Factor on the 4096 units.
        dropout_first: Whether dropout stands before each hidden layer (AlexNet) or after it (VGG).
    """
    if head == "cifar":
        return nn.Sequential(nn.Flatten(), nn.Linear(features, classes))
    hidden = scaled(4096, width)
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs in (features, hidden):
        dense = [nn.Linear(inputs, hidden), nn.ReLU(inplace=True)]
        layers += [nn.Dropout(0.5), *dense] if dropout_first else [*dense, nn.Dropout(0.5)]
    return nn.Sequential(*layers, nn.Linear(hidden, classes))
