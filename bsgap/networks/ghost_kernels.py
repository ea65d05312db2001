"""The arithmetic of Ghost BatchNorm: equal ghost batches in a few kernels, forward and backward.

With μ and r = 1/√(σ² + ε) of a ghost batch of n values a channel, x̂ = (x - μ) r and y = γ x̂ + β,

    dx = γ r (dy - mean(dy) - x̂ mean(dy x̂)) = a dy + b x + c,

where a, b and c are one number for each ghost batch and channel. So a pass is some sums and multiply-adds over the
batch as it lies in memory: `(ghosts, positions, channels)`, in rows of channels (channels-last images, vectors), or
`(ghosts, examples, channels, positions)`, in planes. Nothing is copied into another order.

On a CPU, where a temporary of the size of the batch costs as much as all the arithmetic, PyTorch's own kernels do what
they can. GroupNorm with a channel a group has the moments of each example in planes. What comes in less than float32
is worked on in float32.

Large ghost batches of bfloat16 or float16 in rows need no copies in float32 for that. As images of GroupNorm they are
normalised by one call, which converts in registers. It takes the variance as mean(x²) - μ², whose error grows with
μ²/σ² and with the number of positions; where that, or a variance below ε, would tell in the outputs, each ghost batch
goes through BatchNorm's own kernel, in a loop. So it does in the backward pass, as GroupNorm's takes forty times as
long for a channel a group. Rows of float32 stay with operations on the whole batch, whose sums are the more exact:
those kernels add up one row after the other.
"""

import torch
from torch import Tensor

aten = torch.ops.aten
LARGE = 2**15  # values of a ghost batch from which a call of its own, some 15 µs, costs less than float32 copies
FAR = 2**18  # μ²/σ² times positions up to which mean(x²) - μ² is off by some 3e-4: a part of the bits of an output
LOOKED_AT = 32  # positions of a ghost batch by which that is judged beforehand
SUMMED = (64, 128)  # a sum goes over blocks of about so many values by so many: through memory in its order


def forward(x: Tensor, gain: Tensor, shift: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise each ghost batch, then multiply by `gain` and add `shift` `(channels,)`, which are float32 at least.

    Args:
        x: `(ghosts, positions, channels)` or `(ghosts, examples, channels, positions)`, contiguous.
        gain: γ.
        shift: β.
        eps: ε.

    Returns:
        y, in the type of `x`, and mean and biased variance `(ghosts, channels)`, in that of `gain`.
    """
    if x.device.type != "cpu":
        variance, mean = torch.var_mean(x.to(gain.dtype), _positions(x), correction=0)
        return _scaled(x, gain, shift, mean, variance, eps, torch.empty_like(x)), mean, variance
    if _one_by_one(x, gain):
        found = _forward_images(x, gain, shift, eps)
        return _forward_each(x, gain, shift, eps) if found is None else found
    if x.dtype != gain.dtype:
        # Products and sums in less than float32 lose σ² beside μ²: a residual stream far from 0 then runs away.
        y, mean, variance = forward(x.to(gain.dtype), gain, shift, eps)
        return y.to(x.dtype), mean, variance
    return (_forward_planes if x.ndim == 4 else _forward_rows)(x, gain, shift, eps)


def _one_by_one(x: Tensor, gain: Tensor) -> bool:
    """Whether PyTorch's kernels take each ghost batch whole: large ones in rows, of less than float32, on a CPU."""
    rows = x.device.type == "cpu" and x.ndim == 3
    return rows and x.dtype != gain.dtype and x.shape[1] * x.shape[2] >= LARGE


def _forward_images(x: Tensor, gain: Tensor, shift: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor] | None:
    """GroupNorm of ghost batches as images in channels-last layout; None where its variance loses too many digits."""
    ghosts, positions, channels = x.shape
    some = x[:, :: max(1, positions // LOOKED_AT)].to(gain.dtype)
    variance, mean = torch.var_mean(some, 1, correction=0)
    if not _near(4 * variance, mean, positions, eps):  # 4: of few positions it is a rough guess
        return None
    images = x.view(ghosts, positions, 1, channels).permute(0, 3, 1, 2)
    y, mean, inverse = aten.native_group_norm(images, gain, shift, ghosts, channels, positions, channels, eps)
    variance = inverse.pow(-2) - eps
    return (y.permute(0, 2, 3, 1).view(x.shape), mean, variance) if _near(variance, mean, positions, eps) else None


def _near(variance: Tensor, mean: Tensor, positions: int, eps: float) -> bool:
    return bool(((variance > eps) & (FAR / positions * variance > mean.square())).all())


def _forward_each(x: Tensor, gain: Tensor, shift: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    y = torch.empty_like(x)
    mean, unbiased, same, inverse = torch.zeros(4, len(x), x.shape[2], dtype=gain.dtype)
    for values, m, v, *out in zip(x, mean, unbiased, y, same, inverse, strict=True):
        # Running averages with momentum 1 are the statistics themselves; 1/√(σ² + ε) has lost a σ² far below ε.
        torch.native_batch_norm(values, gain, shift, m, v, True, 1.0, eps, out=out)
    return y, mean, unbiased * (1 - 1 / x.shape[1])


def _forward_rows(x: Tensor, gain: Tensor, shift: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    mean = _sum(x) / x.shape[1]
    y = aten.mse_loss(x, mean[:, None], 0)  # (x - μ)², in what the outputs will overwrite: no temporary
    variance = _sum(y) / x.shape[1]
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
    return _scaled(x, gain, shift, mean, variance, eps, y.view(x.shape)), mean, variance


def backward(dy: Tensor, x: Tensor, gain: Tensor, mean: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of what `forward` gives.

    Args:
        dy: Gradient of y.
        x: As in `forward`.
        gain: γ `(channels,)`.
        mean: μ `(ghosts, channels)`.
        inverse: r.

    Returns:
        dx, and Σ dy x̂ and Σ dy `(ghosts, channels)`.
    """
    if _one_by_one(x, gain):
        return _backward_each(dy, x, gain, mean, inverse)
    cpu, a = x.device.type == "cpu", gain * inverse
    if not cpu:
        zero = torch.zeros(1, dtype=gain.dtype, device=x.device)
        sums = dy.sum(_positions(x), dtype=gain.dtype)
        products = _centred(torch.addcmul(zero, dy, x).sum(_positions(x)), sums, mean, inverse)
        dx = torch.empty_like(x)
    elif x.dtype != gain.dtype:
        dx, products, sums = backward(dy.to(gain.dtype), x.to(gain.dtype), gain, mean, inverse)
        return dx.to(x.dtype), products, sums
    elif x.ndim == 4:
        dx, products, sums = _sums_in_planes(dy, x, a, mean, inverse)
    else:
        dx = torch.mul(dy, x)  # in what the result will overwrite
        sums = _sum(dy)
        products = _centred(_sum(dx), sums, mean, inverse)
    less = -mean.numel() / x.numel()  # -1/n
    b = (a * inverse).mul_(products).mul_(less)
    c = (a * less).mul_(sums).addcmul_(b, mean, value=-1)
    torch.addcmul(_spread(c, x), x, _spread(b, x), out=dx)
    torch.addcmul(dx, dy, _spread(a, x), out=dx)
    return dx, products, sums


def _backward_each(
    dy: Tensor, x: Tensor, gain: Tensor, mean: Tensor, inverse: Tensor
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    dx = torch.empty_like(x)
    products, sums = torch.empty(2, *mean.shape, dtype=gain.dtype)
    for dy_i, x_i, m, r, *out in zip(dy, x, mean, inverse, dx, products, sums, strict=True):
        found = aten.native_batch_norm_backward(dy_i, x_i, gain, None, None, m, r, True, 0.0, [True] * 3)
        for part, values in zip(out, found, strict=True):  # its out= does the same, only slower
            part.copy_(values)
    return dx, products, sums


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


def _sums_in_planes(dy: Tensor, x: Tensor, a: Tensor, mean: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Memory for dx, Σ dy x̂, and Σ dy."""
    a, mean = _repeated(a, x), _repeated(mean, x)
    planes = (1, len(a), x.shape[-1])
    _, products, sums = aten.native_batch_norm_backward(
        dy.view(planes), x.view(planes), a, mean, torch.ones_like(a), None, None, False, 0.0, [False, True, True]
    )
    products, sums = (found.view(x.shape[:3]).sum(1) for found in (products, sums))
    return torch.empty_like(x), products * inverse, sums


def _lanes(x: Tensor, length: int) -> tuple[int, int, int]:
    """A shape for rows in which several positions, a power of 2, count as one, up to so many values."""
    ghosts, positions, channels = x.shape
    times = 1
    while positions % (2 * times) == 0 and 2 * times * channels <= length:
        times *= 2
    return ghosts, positions // times, times * channels


def _sum(x: Tensor) -> Tensor:
    """Sums over the positions of rows: many short ones first, in the order of memory."""
    ghosts, rows, length = _lanes(x, SUMMED[0])
    blocks = 1
    while rows % (2 * blocks) == 0 and rows // (2 * blocks) >= SUMMED[1]:
        blocks *= 2
    if blocks == 1 and length == x.shape[2]:
        return x.sum(1)
    return x.view(ghosts, blocks, -1, length).sum(2).view(ghosts, -1, x.shape[2]).sum(1)
