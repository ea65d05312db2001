"""The climb of sharpness-aware minimisation: where the loss rises most steeply in a small ball, and the way back."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from bsgap.errors import UsageError


def ascent(
    weights: Sequence[Tensor],
    gradients: Sequence[Tensor],
    rho: float,
    *,
    eta: float | None = None,
    scaled: Sequence[bool] | None = None,
) -> list[Tensor]:
    """Perturbation ε of all weights together that climbs by ρ along their gradient.

    SAM (Foret et al. 2020, arXiv:2010.01412, eq. 2 with p = 2), with the norm over all weights jointly:

        ε = ρ g / ‖g‖₂

    ASAM (Kwon et al. 2021, arXiv:2102.11600, eq. 7), where `eta` is given: the ball is measured in units of the
    weights' own sizes,

        ε = ρ T² g / ‖T g‖₂,    T = |w| + η elementwise where `scaled`, 1 elsewhere.

    Where the gradient is zero (or its norm below the smallest normal number) ε is zero. The length does not depend on
    the gradient's: a clipped one gives the same ε. Norms are taken in float32 or better.

    >>> (step,) = ascent([torch.tensor([1.0, -2.0])], [torch.tensor([3.0, 4.0])], rho=0.5)
    >>> [round(value, 6) for value in step.tolist()]  # 0.5·(3, 4)/5
    [0.3, 0.4]
    >>> (step,) = ascent([torch.tensor([1.0, -2.0])], [torch.tensor([3.0, 2.0])], rho=0.5, eta=0.0)
    >>> [round(value, 6) for value in step.tolist()]  # 0.5·(1·3, 4·2)/√(3² + 4²)
    [0.3, 0.8]

    Args:
        weights: w.
        gradients: g, one for each weight and of its shape.
        rho: ρ.
        eta: η of ASAM; None for SAM.
        scaled: Which weights have T = |w| + η under ASAM; None for all.

    Returns:
        ε, in new tensors.

    Raises:
        UsageError: A gradient is sparse or complex.
    """
    check_dense(gradients)
    steps = [gradient.detach().clone() for gradient in gradients]
    ascend_(weights, steps, rho, room_for(weights), eta=eta, scaled=scaled)
    return steps


@torch.no_grad()
def ascend_(
    weights: Sequence[Tensor],
    gradients: Sequence[Tensor],
    rho: float,
    room: Sequence[Tensor],
    *,
    eta: float | None = None,
    scaled: Sequence[bool] | None = None,
) -> None:
    """Turn the gradients into the ε of `ascent` in place, without another tensor of their size.

    Args:
        weights: w.
        gradients: g, dense and real; afterwards ε.
        rho: ρ.
        room: Tensors like the weights, whose values are lost.
        eta: η of ASAM; None for SAM.
        scaled: Which weights have T = |w| + η under ASAM; None for all.
    """
    chosen = [i for i in range(len(gradients)) if eta is not None and (scaled is None or scaled[i])]
    stretched, sizes = [gradients[i] for i in chosen], [room[i] for i in chosen]
    if eta is not None and chosen:
        torch._foreach_copy_(sizes, [weights[i] for i in chosen])
        torch._foreach_abs_(sizes)
        torch._foreach_add_(sizes, eta)
        torch._foreach_mul_(stretched, sizes)
    factor = _inverse(_joint_norm(gradients)) * rho
    if chosen:
        torch._foreach_mul_(stretched, sizes)
    for alike in _alike(gradients):
        torch._foreach_mul_(alike, factor.to(alike[0].device))


@contextmanager
def perturbed(weights: Sequence[Tensor], steps: list[Tensor], room: Sequence[Tensor]) -> Iterator[None]:
    """Inside, the `steps` are added to the weights in place; afterwards the weights have their old bits.

    They come back from a copy in `room`, as w + ε - ε is not w in floating point, and also after an error. The list of
    `steps` is emptied on the way in, so that their memory is free during what comes inside.
    """
    values = [w.detach() for w in weights]
    torch._foreach_copy_(list(room), values)
    try:
        torch._foreach_add_(values, steps)
        steps.clear()
        torch.clear_autocast_cache()  # it may hold half-precision copies of the weights
        yield
    finally:
        torch._foreach_copy_(values, list(room))
        torch.clear_autocast_cache()


def room_for(weights: Sequence[Tensor]) -> list[Tensor]:
    """Tensors of the shapes, types, layouts and places of the weights."""
    return [torch.empty_like(w, requires_grad=False) for w in weights]


def check_dense(gradients: Sequence[Tensor]) -> None:
    """Refuse gradients along which there is no climbing.

    Raises:
        UsageError: One is sparse or complex.
    """
    if any(g.is_sparse for g in gradients):
        raise UsageError("SAM takes dense gradients, got a sparse one. Set sparse=False in the embedding.")
    if any(g.is_complex() for g in gradients):
        raise UsageError("SAM takes real gradients, got a complex one. Keep real and imaginary parts as two weights.")


def check_radius(rho: float, eta: float | None) -> None:
    """Refuse a ball that is none.

    Raises:
        UsageError: ρ or η is no number, negative, or not finite.
    """
    if not _is_length(rho):
        raise UsageError(f"SAM: rho must be 0 or more, got {rho!r}. 0 is the base optimizer alone, 0.05 is usual.")
    if eta is not None and not _is_length(eta):
        raise UsageError(f"SAM: eta must be 0 or more, or absent, got {eta!r}. The ASAM of the paper's code has 0.01.")


def _is_length(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0 <= float(value) < math.inf


def _joint_norm(tensors: Sequence[Tensor]) -> Tensor:
    """l2 norm of all entries together, without waiting for the device."""
    norms: list[Tensor] = []
    for alike in _alike(tensors):
        norms += torch._foreach_norm(alike, 2, dtype=torch.promote_types(alike[0].dtype, torch.float32))
    return torch.linalg.vector_norm(torch.stack([norm.to(norms[0].device) for norm in norms]))


def _inverse(norm: Tensor) -> Tensor:
    """1 / norm, and 0 where there is no gradient."""
    return torch.where(norm < torch.finfo(norm.dtype).tiny, 0.0, 1 / norm)


def _alike(tensors: Sequence[Tensor]) -> list[list[Tensor]]:
    """Tensors of one type on one device together: they share kernels."""
    found: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}
    for tensor in tensors:
        found.setdefault((tensor.device, tensor.dtype), []).append(tensor)
    return list(found.values())
