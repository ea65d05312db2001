"""The climb of sharpness-aware minimisation: where the loss rises most steeply in a small ball, and the way back."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from bsgap.errors import UsageError


@torch.no_grad()
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
    if any(g.is_sparse for g in gradients):
        raise UsageError("SAM takes dense gradients, got a sparse one. Set sparse=False in the embedding.")
    if any(g.is_complex() for g in gradients):
        raise UsageError("SAM takes real gradients, got a complex one. Keep real and imaginary parts as two weights.")
    steps = list(gradients)  # becomes T g, then T² g
    stretched = [] if eta is None else [i for i in range(len(steps)) if scaled is None or scaled[i]]
    sizes: list[Tensor] = []
    if stretched:
        sizes = list(torch._foreach_abs([weights[i] for i in stretched]))
        torch._foreach_add_(sizes, eta)
        _put(steps, stretched, torch._foreach_mul(sizes, [steps[i] for i in stretched]))
    factor = _inverse(_joint_norm(steps)) * rho
    if stretched:
        _put(steps, stretched, torch._foreach_mul(sizes, [steps[i] for i in stretched]))
    for place in _places(steps):
        alike = [steps[i] for i in place]
        _put(steps, place, torch._foreach_mul(alike, factor.to(alike[0].device)))
    return steps


@contextmanager
def perturbed(weights: Sequence[Tensor], steps: list[Tensor]) -> Iterator[None]:
    """Inside, the `steps` are added to the weights in place; afterwards the weights have their old bits.

    They come back from a copy, as w + ε - ε is not w in floating point, and also after an error. `steps` is emptied on
    the way in: it is not needed any more.
    """
    values = [w.detach() for w in weights]
    kept = [torch.empty_like(w) for w in values]
    torch._foreach_copy_(kept, values)
    try:
        torch._foreach_add_(values, steps)
        steps.clear()
        torch.clear_autocast_cache()  # it may hold half-precision copies of the weights
        yield
    finally:
        torch._foreach_copy_(values, kept)
        torch.clear_autocast_cache()


def _joint_norm(tensors: list[Tensor]) -> Tensor:
    """l2 norm of all entries together, without waiting for the device."""
    norms: list[Tensor] = []
    for place in _places(tensors):
        alike = [tensors[i] for i in place]
        norms += torch._foreach_norm(alike, 2, dtype=torch.promote_types(alike[0].dtype, torch.float32))
    return torch.linalg.vector_norm(torch.stack([norm.to(norms[0].device) for norm in norms]))


def _inverse(norm: Tensor) -> Tensor:
    """1 / norm, and 0 where there is no gradient."""
    return torch.where(norm < torch.finfo(norm.dtype).tiny, 0.0, 1 / norm)


def _places(tensors: Sequence[Tensor]) -> list[list[int]]:
    """Positions of tensors of one type on one device together: they share kernels."""
    found: dict[tuple[torch.device, torch.dtype], list[int]] = {}
    for i, tensor in enumerate(tensors):
        found.setdefault((tensor.device, tensor.dtype), []).append(i)
    return list(found.values())


def _put(values: list[Tensor], places: list[int], new: Sequence[Tensor]) -> None:
    for i, value in zip(places, new, strict=True):
        values[i] = value


def check_radius(rho: float, eta: float | None) -> None:
    """Refuse a ball that is none.

    Raises:
        UsageError: ρ or η is negative or not finite.
    """
    if not 0 <= rho < math.inf:
        raise UsageError(f"SAM: rho must be 0 or more, got {rho}. 0 is the base optimizer alone; 0.05 is a usual start.")
    if eta is not None and not 0 <= eta < math.inf:
        raise UsageError(f"SAM: eta must be 0 or more, or absent, got {eta}. The ASAM of the paper's code has 0.01.")
