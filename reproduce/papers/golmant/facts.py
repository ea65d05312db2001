"""What the paper states, and where it contradicts itself. All of it is read from its own text (tag S)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A row of Table 1: data, network, rules, base rate, epochs of warm-up and in all, batch sizes as powers of two."""

    data: str
    network: str
    rules: str
    rate: float = 0.1
    warmup: int = 10
    epochs: int = 200
    batches: tuple[int, int] = (6, 14)


TABLE1: dict[str, Row] = {
    "ResNet34": Row("CIFAR-10", "ResNet34", "BLR, LSR, SRSR"),
    "VGG16": Row("CIFAR-10", "VGG16", "BLR, LSR, SRSR"),
    "AlexNet": Row("CIFAR-10", "AlexNet", "BLR, LSR, SRSR"),
    "MobileNetV2": Row("CIFAR-10", "MobileNetV2", "BLR, LSR, SRSR"),
    "CIFAR-100": Row("CIFAR-100", "ResNet34", "BLR, LSR"),
    "SVHN": Row("SVHN", "ResNet34", "BLR, LSR"),
    "MNIST": Row("MNIST", "ResNet34", "BLR, LSR"),
    "LSTM": Row("WikiText-2", "LSTM", "BLR, LSR", 20, 3, 40, (3, 10)),
    "DRN": Row("Cityscapes", "DRN-D-22", "BLR, LSR", 0.01, 10, 100, (3, 11)),
}  # fmt: skip

CONTRADICTIONS = (
    (
        "Where ResNet34 on CIFAR-10 ceases to be linear",
        "2048 (Fig. 1 and its text)",
        "128 (Fig. 4 and its text)",
    ),
    (
        "From where ResNet34 on CIFAR-10 is flat",
        "about 8192 (Fig. 3; printed as 8196)",
        "1024 (Fig. 4)",
    ),
    ("Smallest batch size on CIFAR-10", "16 (text on Fig. 1)", "64 (Table 1)"),
    (
        "Parameter counts in the legend of Fig. 3",
        "VGG16 138 million, AlexNet 62 million: with ImageNet's 1000-class heads",
        "ResNet34 21 million, MobileNetV2 2.2 million: as on CIFAR",
    ),
)
"""Subject, what one place says, what another says."""
