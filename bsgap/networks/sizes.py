"""Input sizes and channel counts that the image networks have in common."""

from collections.abc import Sequence

from bsgap.errors import UsageError

# The largest side, in pixels, for which a network takes its CIFAR form; beyond it, its ImageNet form.
SMALL_SIDE = 64


def image_shape(in_shape: Sequence[int]) -> tuple[int, int, int]:
    """Channels, height and width of one image, checked.

    Raises:
        UsageError: `in_shape` is not three positive numbers.
    """
    shape = tuple(in_shape)
    if len(shape) != 3 or min(shape) < 1:
        raise UsageError(f"in_shape must be three positive numbers (channels, height, width), got {shape}")
    return shape


def is_small(height: int, width: int) -> bool:
    """Whether an image of this height and width, in pixels, calls for the CIFAR form of a network."""
    return max(height, width) <= SMALL_SIDE


def scaled(channels: int, width: float) -> int:
    """The published number of `channels` times the `width` factor, rounded, at least 1.

    Raises:
        UsageError: `width` is not positive.
    """
    if not width > 0:
        raise UsageError(f"width multiplies the channels of every layer and must be positive, got {width}")
    return max(1, round(channels * width))
