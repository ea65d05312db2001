"""What the paper reports: its summary (tag S) gives two speed-ups, and a bound on the loss of accuracy."""

SPEEDUPS = {"AlexNet": 1.5, "ResNet20": 1.2, "VGG19": 1.2}
"""Of the adaptive over the small batch, forward and backward alike, on CIFAR-100 and one GPU (S)."""
WITHIN = 1.0
"""Points of test error by which the adaptive batch may lie above the small one (N)."""


def speedup(name: str) -> float | None:
    """The reported speed-up of a network; the paper's is that of CIFAR-100."""
    return SPEEDUPS.get(name.removesuffix("-C100"))
