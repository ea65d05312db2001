"""How far apart two solutions are."""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from bsgap.errors import UsageError


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
