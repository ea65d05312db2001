"""The arithmetic of Ghost BatchNorm: equal ghost batches in a few kernels, forward and backward.

With μ and r = 1/√(σ² + ε) of a ghost batch of n values a channel, x̂ = (x - μ) r and y = γ x̂ + β,

    dx = γ r (dy - mean(dy) - x̂ mean(dy x̂)) = a dy + b x + c,

where a, b and c are one number for each ghost batch and channel. So a pass is some sums and multiply-adds over the
batch as it lies in memory: `(ghosts, positions, channels)`, in rows of channels (channels-last images, vectors), or
`(ghosts, examples, channels, positions)`, in planes. Nothing is copied into another order.

On a CPU, where a temporary of the size of the batch costs as much as all the arithmetic, PyTorch's own kernels do what
they can: GroupNorm with a channel a group is the normalisation of a ghost batch in rows, and of an example in planes;
BatchNorm in evaluation is a multiply-add with float32 coefficients, also of a batch in less.

Values in less than float32 are not converted as a whole. What is computed in their own type is computed near 0: where
the mean of a channel is far from 0 beside its deviation, as in a residual stream, products and sums would lose σ² beside
μ², and a training run away. There something near the mean is subtracted first, which takes away no digit.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

aten = torch.ops.aten
LANES = 1024  # values along which coefficients are laid out, so that a kernel runs over long stretches of memory
FEW = 2**18  # values in less than float32 up to which a copy in float32 costs little
MANY = 1024  # positions from which on PyTorch's GroupNorm of rows is fast, by a factor of 60
SAMPLED = 256  # positions of which the mean is taken to be near the mean
NEAR = 2.0  # deviations from 0 up to which a mean is near 0
SUMMED = (64, 128)  # a sum goes over blocks of about so many values by so many: through memory in its order


@dataclass(frozen=True)
class Normalised:
    """What `forward` gives, for each ghost batch.

    Attributes:
        y: The outputs, in type and shape of the inputs.
        mean: μ `(ghosts, channels)`, in the type of the gains.
        variance: σ², biased.
        kept: The inputs, or the inputs less something near their mean, for `backward`.
        offset: The mean of what is kept.
    """

    y: Tensor
    mean: Tensor
    variance: Tensor
    kept: Tensor
    offset: Tensor


def forward(x: Tensor, gain: Tensor, shift: Tensor, eps: float) -> Normalised:
    """Normalise each ghost batch, then multiply by `gain` and add `shift` `(channels,)`, which are float32 at least.

    Args:
        x: `(ghosts, positions, channels)` or `(ghosts, examples, channels, positions)`, contiguous.
        gain: γ.
        shift: β.
        eps: ε.
    """
    if not _on_cpu(x):
        variance, mean = torch.var_mean(x.to(gain.dtype), _positions(x), correction=0)
        y = _scaled(x, gain, shift, mean, variance, eps, torch.empty_like(x))
    elif x.ndim == 4:
        y, mean, variance = _forward_planes(x, gain, shift, eps)
    elif x.dtype == gain.dtype:
        y, mean, variance = _forward_rows(x, gain, shift, eps)
    elif _converted(x):
        y, mean, variance = _forward_rows(x.to(gain.dtype), gain, shift, eps)
        y = y.to(x.dtype)
    else:
        return _forward_halves(x, gain, shift, eps)
    return Normalised(y, mean, variance, x, mean)


def _forward_rows(x: Tensor, gain: Tensor, shift: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    mean = _sum(x, gain.dtype) / x.shape[1]
    y = aten.mse_loss(x, mean[:, None], 0)  # (x - μ)², in what the outputs will overwrite: no temporary
    variance = _sum(y, gain.dtype) / x.shape[1]
    return _scaled(x, gain, shift, mean, variance, eps, y), mean, variance


def _forward_planes(x: Tensor, gain: Tensor, shift: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    ghosts, examples, channels, positions = x.shape
    images = x.view(-1, channels, positions)
    one, zero = (torch.full((channels,), value, dtype=gain.dtype) for value in (1.0, 0.0))
    # ε is 0 so that the variances come back as they are: the outputs are not used, only their memory.
    y, means, inverses = aten.native_group_norm(images, one, zero, len(images), channels, positions, channels, 0.0)
    means, inverses = (found.view(ghosts, examples, channels) for found in (means, inverses))
    mean = means.mean(1)
    variance = (inverses.pow(-2) + (means - mean[:, None]).square()).mean(1)
    if x.dtype == gain.dtype:
        return _scaled(x, gain, shift, mean, variance, eps, y.view(x.shape)), mean, variance
    del y
    scale = gain * (variance + eps).rsqrt()
    return _multiply_add(x, scale, shift - mean * scale), mean, variance


def _forward_halves(x: Tensor, gain: Tensor, shift: Tensor, eps: float) -> Normalised:
    """Rows in less than float32."""
    ghosts, positions, channels = x.shape
    deviation, near = torch.std_mean(x[:, :: positions // SAMPLED].to(gain.dtype), 1)
    near = torch.where(near.abs() > NEAR * deviation, near, 0.0).to(x.dtype)
    if near.any():
        lanes = _lanes(x, LANES)
        x = torch.sub(x.view(lanes), near.repeat(1, lanes[2] // channels)[:, None]).view(x.shape)
    # The kernel takes the variance as E[x²] - μ² in float32, which near 0 is exact enough for values of 8 or 11 bits.
    images = x.view(ghosts, positions, 1, channels).permute(0, 3, 1, 2)
    y, offset, inverse = aten.native_group_norm(images, gain, shift, ghosts, channels, positions, channels, eps)
    variance = inverse.pow(-2).sub_(eps).clamp_(min=0)
    return Normalised(y.permute(0, 2, 3, 1).view(x.shape), offset + near, variance, x, offset)


def backward(dy: Tensor, x: Tensor, gain: Tensor, mean: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of what `forward` gives.

    Args:
        dy: Gradient of y.
        x: What was kept of the inputs.
        gain: γ `(channels,)`.
        mean: Its mean `(ghosts, channels)`.
        inverse: r.

    Returns:
        dx, and Σ dy x̂ and Σ dy `(ghosts, channels)`.
    """
    cpu, low, a = _on_cpu(x), x.dtype != gain.dtype, gain * inverse
    if not cpu:
        zero = torch.zeros(1, dtype=gain.dtype, device=x.device)
        sums = dy.sum(_positions(x), dtype=gain.dtype)
        products = _centred(torch.addcmul(zero, dy, x).sum(_positions(x)), sums, mean, inverse)
        dx = torch.empty_like(x)
    elif low and _converted(x):
        dx, products, sums = backward(dy.to(gain.dtype), x.to(gain.dtype), gain, mean, inverse)
        return dx.to(x.dtype), products, sums
    elif x.ndim == 4:
        dx, products, sums = _sums_in_planes(dy, x, a, mean, inverse)
    else:
        dx = torch.mul(dy, x)  # in what the result will overwrite
        sums = _sum(dy, gain.dtype)
        products = _centred(_sum(dx, gain.dtype), sums, mean, inverse)
    less = -mean.numel() / x.numel()  # -1/n
    b = (a * inverse).mul_(products).mul_(less)
    c = (a * less).mul_(sums).addcmul_(b, mean, value=-1)
    if not (cpu and low):
        torch.addcmul(_spread(c, x), x, _spread(b, x), out=dx)
        torch.addcmul(dx, dy, _spread(a, x), out=dx)
    elif x.ndim == 4:
        dx.add_(_multiply_add(x, b, c))  # it has a·dy in it already
    else:
        lanes = _lanes(x, LANES)
        out, (a, b, c) = dx.view(lanes), _dithered(torch.stack((a, b, c)), lanes, x.dtype)
        torch.addcmul(c, x.view(lanes), b, out=out)
        torch.addcmul(out, dy.view(lanes), a, out=out)
    return dx, products, sums


def _on_cpu(x: Tensor) -> bool:
    return x.device.type == "cpu"


def _converted(x: Tensor) -> bool:
    """Whether rows in less than float32 are converted all the same."""
    return x.ndim == 3 and (x.shape[1] < MANY or x.numel() <= FEW)


def _positions(x: Tensor) -> tuple[int, ...]:
    """Dimensions over which a ghost batch has one mean."""
    return (1,) if x.ndim == 3 else (1, 3)


def _spread(coefficients: Tensor, x: Tensor) -> Tensor:
    """Numbers `(ghosts, channels)` in a shape that broadcasts to `x`."""
    return coefficients[:, None] if x.ndim == 3 else coefficients[:, None, :, None]


def _scaled(
    x: Tensor, gain: Tensor, shift: Tensor, mean: Tensor, variance: Tensor, eps: float, out: Tensor
) -> Tensor:  # fmt: skip
    scale = (variance + eps).rsqrt_().mul_(gain)
    return torch.addcmul(_spread(torch.addcmul(shift, mean, scale, value=-1), x), x, _spread(scale, x), out=out)


def _centred(products: Tensor, sums: Tensor, mean: Tensor, inverse: Tensor) -> Tensor:
    """Σ dy x̂ from Σ dy x and Σ dy."""
    return torch.addcmul(products, mean, sums, value=-1).mul_(inverse)


def _repeated(coefficients: Tensor, x: Tensor) -> Tensor:
    """Numbers `(ghosts, channels)`, one for each plane of `x`."""
    return _spread(coefficients, x)[..., 0].expand(x.shape[:3]).flatten()


def _multiply_add(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """`x * scale + shift` for planes in less than float32, with coefficients in float32."""
    scale, shift = _repeated(scale, x), _repeated(shift, x)
    planes = x.view(1, len(scale), -1)
    y = aten.native_batch_norm(
        planes, scale, shift, torch.zeros_like(scale), torch.ones_like(scale), False, 0.0, 0.0
    )[0]  # fmt: skip
    return y.view(x.shape)


def _sums_in_planes(dy: Tensor, x: Tensor, a: Tensor, mean: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The start of dx, a dy (memory for it where it would not be used), Σ dy x̂, and Σ dy."""
    low = x.dtype != a.dtype
    a, mean = _repeated(a, x), _repeated(mean, x)
    planes = (1, len(a), x.shape[-1])
    dx, products, sums = aten.native_batch_norm_backward(
        dy.view(planes), x.view(planes), a, mean, torch.ones_like(a), None, None, False, 0.0, [low, True, True]
    )
    products, sums = (found.view(x.shape[:3]).sum(1) for found in (products, sums))
    return dx.view(x.shape) if low else torch.empty_like(x), products * inverse, sums


def _lanes(x: Tensor, length: int) -> tuple[int, int, int]:
    """A shape for rows in which several positions, a power of 2, count as one, up to so many values."""
    ghosts, positions, channels = x.shape
    times = 1
    while positions % (2 * times) == 0 and 2 * times * channels <= length:
        times *= 2
    return ghosts, positions // times, times * channels


def _sum(x: Tensor, kind: torch.dtype) -> Tensor:
    """Sums over the positions of rows, of type `kind`: many short ones first, in the order of memory.

    Of values in less the short sums are rounded, and the roundings cancel.
    """
    ghosts, rows, length = _lanes(x, SUMMED[0])
    blocks = 1
    while rows % (2 * blocks) == 0 and rows // (2 * blocks) >= SUMMED[1]:
        blocks *= 2
    if blocks == 1 and length == x.shape[2] and x.dtype == kind:
        return x.sum(1)
    return x.view(ghosts, blocks, -1, length).sum(2).to(kind).view(ghosts, -1, x.shape[2]).sum(1)


def _dithered(coefficients: Tensor, lanes: tuple[int, int, int], dtype: torch.dtype) -> Tensor:
    """Numbers `(..., ghosts, channels)` for the lanes of rows, rounded to `dtype` now up, now down: right in the mean.

    Rounded all in one direction, c would give dx a mean, and every position would add to the error of a weight's
    gradient.
    """
    ghosts, _, length = lanes
    times = length // coefficients.shape[-1]
    gap = torch.finfo(dtype).eps * torch.exp2(torch.frexp(coefficients).exponent - 1.0)
    steps = (torch.arange(times, dtype=coefficients.dtype) + 0.5) / times - 0.5  # of the gap to the next number
    spread = torch.addcmul(coefficients[..., None, :], steps[:, None], gap[..., None, :])
    return spread.to(dtype).view(-1, ghosts, 1, length)
