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
        return standard_of_counts(byte_counts(inputs), scale, inputs.ndim)
    flat = inputs.transpose(0, 1).flatten(1)  # a channel at a time, in double precision without a double copy
    pairs = [torch.var_mean(row.double(), correction=0) for row in flat]
    std = torch.stack([variance for variance, _ in pairs]).sqrt()
    mean = torch.stack([average for _, average in pairs])
    return _standard(mean, std, scale, inputs.ndim)


def byte_counts(inputs: Tensor) -> Tensor:
    """How often each of the 256 values occurs in each channel, `[c, 256]`, of `inputs` `[n, c, ...]` uint8."""
    channels = inputs.transpose(0, 1).flatten(1)
    return torch.stack([torch.bincount(channel.int(), minlength=256) for channel in channels])


def standard_of_counts(counts: Tensor, scale: float, dimensions: int) -> Normalise:
    """`standard`, exactly, of bytes that were counted; counts of parts of the data add up.

    Args:
        counts: See `byte_counts`.
        scale: See `Normalise`.
        dimensions: Dimensions of what will be normalised, with the batch.
    """
    values = torch.arange(256, dtype=torch.float64)
    shares = counts.double() / counts.sum(1, keepdim=True)
    mean = shares @ values
    variance = shares @ values.square() - mean.square()
    return _standard(mean, variance.clamp(min=0).sqrt(), scale, dimensions)


def _standard(mean: Tensor, std: Tensor, scale: float, dimensions: int) -> Normalise:
    std = torch.where(std > 0, std, torch.ones_like(std) * scale)
    shape = (-1,) + (1,) * (dimensions - 2)
    return Normalise(scale, (mean / scale).float().view(shape), (std / scale).float().view(shape))
