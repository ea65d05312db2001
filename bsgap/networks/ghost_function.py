"""Ghost BatchNorm as a function of inputs in any layout, with any number of examples."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bsgap.errors import UsageError
from bsgap.networks import ghost_kernels


@dataclass(frozen=True)
class Parts:
    """How a batch falls into ghost batches of consecutive examples.

    Attributes:
        size: Examples in each but the last.
        last: Examples in the last.
        count: Number of ghost batches.
        values: Values that an example has in a channel.
    """

    size: int
    last: int
    count: int
    values: int

    @property
    def examples(self) -> int:
        """Examples in the batch."""
        return (self.count - 1) * self.size + self.last

    @property
    def even(self) -> bool:
        """Whether all ghost batches have as many examples."""
        return self.last == self.size or self.count == 1

    def sizes(self, like: Tensor) -> Tensor:
        """Examples in each ghost batch `(count,)`, in type and place of `like`."""
        sizes = torch.full((self.count,), float(self.size), dtype=like.dtype, device=like.device)
        sizes[-1] = self.last
        return sizes

    def unbiased(self, variance: Tensor) -> Tensor:
        """Variances `(count, channels)` of the ghost batches with n - 1 in place of n."""
        n: float | Tensor = self.last * self.values
        if not self.even:
            n = self.sizes(variance)[:, None] * self.values
        return variance * (n / (n - 1))


def parts_of(inputs: Tensor, size: int) -> Parts:
    """The ghost batches of `inputs` `(batch, channels, ...)`; the last one is smaller where the size does not divide.

    A last one of a single value a channel is joined with the one before.

    Raises:
        UsageError: A ghost batch has but one value a channel, which has no variance.
    """
    examples, values = len(inputs), math.prod(inputs.shape[2:])
    count = max(1, math.ceil(examples / size))
    last = examples - (count - 1) * size
    if last * values == 1 and count > 1 and size > 1:
        count, last = count - 1, last + size
    if last * values < 2:
        raise UsageError(
            f"ghost_batch: a ghost batch of {last} with {values} value a channel in an example has no variance. Use"
            " ghost batches and batches of at least 2 examples."
        )
    return Parts(size, last, count, values)


def normalised(
    inputs: Tensor, weight: Tensor | None, bias: Tensor | None, parts: Parts, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """`inputs` `(batch, channels, ...)` normalised within each ghost batch, times `weight` plus `bias` `(channels,)`.

    Returns:
        The outputs, in type and layout of `inputs`, and the mean and biased variance of each ghost batch
        `(count, channels)`, in float32 at least, through which no gradient flows.
    """
    with torch.autocast(inputs.device.type, enabled=False):
        if torch.compiler.is_compiling():
            return _composed(inputs, weight, bias, parts, eps)
        return _Normalised.apply(inputs, weight, bias, parts, eps)


class _Normalised(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor | None, bias: Tensor | None, parts: Parts, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        exact = torch.promote_types(inputs.dtype, torch.float32)
        gain, shift = (
            torch.full(inputs.shape[1:2], value, dtype=exact, device=inputs.device) if own is None else own.to(exact)
            for own, value in ((weight, 1.0), (bias, 0.0))
        )
        rows = _in_rows(inputs)
        x = _arranged(inputs, rows)
        found = [ghost_kernels.forward(piece, gain, shift, eps) for piece in _pieces(x, parts, rows)]
        y, mean, variance = _joined(found)
        ctx.save_for_backward(x, gain, mean, (variance + eps).rsqrt())
        ctx.parts, ctx.rows = parts, rows
        ctx.types = [None if given is None else given.dtype for given in (weight, bias)]
        ctx.mark_non_differentiable(mean, variance)
        ctx.set_materialize_grads(False)
        y = _as_they_came(y, inputs.shape, rows)
        # No view, or what follows could not work in place, as an activation does: a tensor of its own on that memory.
        whole = torch.empty(0, dtype=y.dtype, device=y.device)
        whole.set_(y.untyped_storage(), y.storage_offset(), y.shape, y.stride())
        return whole, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor | None, *_: Tensor | None) -> tuple[Tensor | None, ...]:
        if gradient is None:
            return None, None, None, None, None
        x, gain, mean, inverse = ctx.saved_tensors
        found, first = [], 0
        dys = _pieces(_arranged(gradient, ctx.rows), ctx.parts, ctx.rows)
        for dy, piece in zip(dys, _pieces(x, ctx.parts, ctx.rows), strict=True):  # one, and a last one that differs
            ghosts = slice(first, first + len(piece))
            found.append(ghost_kernels.backward(dy, piece, gain, mean[ghosts], inverse[ghosts]))
            first += len(piece)
        dx, *sums = _joined(found)
        of_weight, of_bias = (
            None if kind is None else each.sum(0).to(kind) for kind, each in zip(ctx.types, sums, strict=True)
        )
        return _as_they_came(dx, gradient.shape, ctx.rows), of_weight, of_bias, None, None


def _composed(
    inputs: Tensor, weight: Tensor | None, bias: Tensor | None, parts: Parts, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The same from elementary operations, for a compiler, which makes its own few kernels of them."""
    channels = inputs.shape[1]
    x = inputs.to(torch.promote_types(inputs.dtype, torch.float32)).reshape(len(inputs), channels, -1)
    found = []
    for piece in _pieces(x, parts, rows=False):
        variance, mean = torch.var_mean(piece, (1, 3), correction=0, keepdim=True)
        found.append(((piece - mean) * (variance + eps).rsqrt(), mean.flatten(1), variance.flatten(1)))
    y, mean, variance = _joined(found)
    along = (channels,) + (1,) * (inputs.ndim - 2)
    y = y.reshape(inputs.shape)
    y = y if weight is None else y * weight.view(along)
    y = y if bias is None else y + bias.view(along)
    return y.to(inputs.dtype), mean.detach(), variance.detach()


def _in_rows(inputs: Tensor) -> bool:
    """Whether the channels of a position lie side by side in memory, and not the positions of a channel."""
    if inputs.is_contiguous():
        return math.prod(inputs.shape[2:]) == 1
    return inputs.movedim(1, -1).is_contiguous()


def _arranged(values: Tensor, rows: bool) -> Tensor:
    """`values` as rows `(batch, positions, channels)` or planes `(batch, channels, positions)`, by a view if it can."""
    if rows:
        return values.movedim(1, -1).contiguous().view(len(values), -1, values.shape[1])
    return values.contiguous().view(*values.shape[:2], -1)


def _as_they_came(values: Tensor, shape: torch.Size, rows: bool) -> Tensor:
    """Rows or planes of all examples in the `shape` of the inputs, `(batch, channels, ...)`, in the same memory."""
    return values.reshape(shape[0], *shape[2:], shape[1]).movedim(-1, 1) if rows else values.reshape(shape)


def _pieces(values: Tensor, parts: Parts, rows: bool) -> list[Tensor]:
    """Runs of equal ghost batches as `bsgap.networks.ghost_kernels` takes them: all, and a last one that differs."""
    pieces = [(values, parts.count)]
    if not parts.even:
        whole = (parts.count - 1) * parts.size
        pieces = [(values[:whole], parts.count - 1), (values[whole:], 1)]
    kept = values.shape[2:] if rows else values.shape[1:]
    return [piece.view(count, -1, *kept) for piece, count in pieces]


def _joined(found: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """What was found for each piece as one: values of the batch, flat, and numbers by ghost batch."""
    if len(found) == 1:
        return found[0]
    values, *numbers = zip(*found, strict=True)
    return torch.cat([piece.reshape(-1) for piece in values]), *(torch.cat(each) for each in numbers)
