"""From stored values to what a network sees."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Normalise:
    """x -> x / scale, or (x / scale - mean) / std for each channel (or feature).

    Attributes:
        scale: Divisor that brings stored values to [0, 1].
        mean: `[c, 1, ...]` of x / scale, or None.
        std: As `mean`.
    """

    scale: float
    mean: Tensor | None = None
    std: Tensor | None = None

    def __call__(self, values: Tensor) -> Tensor:
        """Float32 values of the same shape; the input is not written to."""
        scaled = values if values.dtype == torch.float32 and self.scale == 1 else values.float() / self.scale
        if self.mean is None or self.std is None:
            return scaled
        return (scaled - self.mean) / self.std

    def to(self, device: torch.device | str | None) -> "Normalise":
        """The same on another device."""
        if self.mean is None or self.std is None:
            return self
        return Normalise(self.scale, self.mean.to(device), self.std.to(device))


def standard(inputs: Tensor, scale: float) -> Normalise:
    """Normalisation to mean 0 and standard deviation 1 for each channel, over all examples and pixels.

    Of CIFAR-10's training images the standard deviations are (0.2470, 0.2435, 0.2616); the smaller ones that are widely
    copied are means of per-image standard deviations. A channel that is constant is only centred.

    Args:
        inputs: `[n, c, ...]` stored values.
        scale: See `Normalise`.
    """
    if inputs.dtype == torch.uint8:
        mean, std = _byte_moments(inputs)
    else:
        flat = inputs.transpose(0, 1).flatten(1)  # a channel at a time, in double precision without a double copy
        pairs = [torch.var_mean(row.double(), correction=0) for row in flat]
        std = torch.stack([variance for variance, _ in pairs]).sqrt()
        mean = torch.stack([average for _, average in pairs])
    std = torch.where(std > 0, std, torch.ones_like(std) * scale)
    shape = (-1,) + (1,) * (inputs.ndim - 2)
    return Normalise(scale, (mean / scale).float().view(shape), (std / scale).float().view(shape))


def _byte_moments(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Exact mean and standard deviation for each channel, from the histogram of its 256 values."""
    values = torch.arange(256, dtype=torch.float64)
    channels = inputs.transpose(0, 1).flatten(1)
    counts = torch.stack([torch.bincount(channel.int(), minlength=256) for channel in channels]).double()
    shares = counts / counts.sum(1, keepdim=True)
    mean = shares @ values
    variance = shares @ values.square() - mean.square()
    return mean, variance.clamp(min=0).sqrt()
