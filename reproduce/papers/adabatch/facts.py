"""What the paper reports: its summary (tag S) gives two speed-ups, and a bound on the loss of accuracy."""

SPEEDUPS = {"AlexNet": 1.5, "ResNet20": 1.2, "VGG19": 1.2}
"""Of the adaptive over the small batch, forward and backward alike, on CIFAR-100 and one GPU (S)."""
ABOUT = {"ResNet20", "VGG19"}
"""Those of which the source says "around"."""
WITHIN = 1.0
"""Points of test error by which the adaptive batch may lie above the small one (N)."""


def speedup_words(name: str) -> str | None:
    """The reported speed-up as it is stated.

    >>> speedup_words("AlexNet-C100"), speedup_words("VGG19"), speedup_words("VGG16")
    ('×1.5 (S)', 'about ×1.2 (S)', None)
    """
    found = speedup(name)
    return None if found is None else f"{'about ' * (name.removesuffix('-C100') in ABOUT)}×{found} (S)"


def speedup(name: str) -> float | None:
    """The reported speed-up of a network; the paper's is that of CIFAR-100."""
    return SPEEDUPS.get(name.removesuffix("-C100"))
