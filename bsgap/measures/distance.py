"""How far apart two solutions are."""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from bsgap.errors import UsageError

PIECE = 2**22  # elements whose difference is held at once


def distance(a: Mapping[str, Tensor], b: Mapping[str, Tensor], names: Iterable[str] | None = None) -> float:
    """Euclidean distance ‖a - b‖₂ of two state dicts over their parameters, in float64.

    Args:
        a: A state dict.
        b: Another of the same network.
        names: The parameters, e.g. `[name for name, _ in model.named_parameters()]`, which leaves out buffers and
            counts tied parameters once. None for every floating-point entry but BatchNorm's running averages.

    Raises:
        UsageError: A name is missing in one of the two, or the shapes differ.
    """
    if names is None:
        names = [
            name
            for name, value in a.items()
            if value.is_floating_point() and not name.endswith(("running_mean", "running_var"))
        ]
    total = 0.0
    for name in names:
        if name not in a or name not in b:
            raise UsageError(f"parameter {name!r} is missing in one of the two states: give states of one network.")
        if a[name].shape != b[name].shape:
            shapes = f"{tuple(a[name].shape)} and {tuple(b[name].shape)}"
            raise UsageError(f"parameter {name!r} has the shapes {shapes}: give states of one network.")
        gap = a[name].double() - b[name].to(a[name].device).double()
        total += torch.linalg.vector_norm(gap).item() ** 2
    return math.sqrt(total)


@torch.no_grad()
def distance_from(tensors: Iterable[Tensor], starts: Iterable[Tensor]) -> float:
    """Euclidean distance ‖w - w₀‖₂ of tensors from where they started, without a copy of the whole vector.

    Differences are taken in float32 (float64 where the tensors are), a piece of a tensor at a time, and their squares
    added in float64, so the relative error is below 1e-7 and the memory needed that of 4 million elements, however
    large the network. The device is waited for once.

    Args:
        tensors: w, such as the parameters of a network in training.
        starts: w₀, as many tensors of the same shapes and on the same devices.

    >>> distance_from([torch.tensor([3.0, 1.0]), torch.tensor(4.0)], [torch.tensor([0.0, 1.0]), torch.tensor(0.0)])
    5.0
    """
    norms: list[Tensor] = []
    for tensor, start in zip(tensors, starts, strict=True):
        wide = torch.promote_types(tensor.dtype, torch.float32)
        for now, before in zip(_pieces(tensor), _pieces(start), strict=True):
            gap = now.to(wide) - before.to(wide)
            norms.append(torch.linalg.vector_norm(gap, dtype=torch.promote_types(wide, torch.float64)))
    if not norms:
        return 0.0
    device = norms[0].device
    return torch.linalg.vector_norm(torch.stack([norm.to(device) for norm in norms])).item()


def _pieces(tensor: Tensor) -> Iterable[Tensor]:
    """Views of about `PIECE` elements, cut along the first dimension."""
    tensor = torch.atleast_1d(tensor)
    return tensor.split(max(1, PIECE * len(tensor) // max(1, tensor.numel())))
