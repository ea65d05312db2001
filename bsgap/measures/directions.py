"""Directions in the space of a model's weights, along which the loss is looked at.

Along a random direction two networks can be compared only if it is scaled with their weights: a ReLU network with
BatchNorm computes the same when the weights of a filter are multiplied, and a step of fixed length is then a smaller
one to it. Filter normalisation (Li et al. 2017, arXiv:1712.09913, section 4) takes that freedom away.
"""

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from bsgap.errors import NotFinite, UsageError
from bsgap.seeding import generator

Direction = Mapping[str, Tensor]
"""Name of a parameter, as in `model.named_parameters()`, -> a tensor of its shape."""

Normalise = Literal["filter", "layer", "none"]
"""How a random direction is scaled.

- `filter`: each slice d_ij along the first dimension of a weight gets the norm of the weight's, ‖θ_ij‖₂. That is an
  output channel of a convolution, a neuron of a linear layer, a gate's unit of an LSTM, a word of an embedding.
- `layer`: each weight as a whole gets ‖θ_i‖₂.
- `none`: as drawn.
"""

_TINY = 1e-10  # added to the norm that divides, as in the authors' code
_NORMALISATIONS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


@torch.no_grad()
def random_direction(
    model: nn.Module, seed: int = 0, normalise: Normalise = "filter", norms: bool = False
) -> dict[str, Tensor]:
    """A random direction for the trainable parameters of `model`, scaled with its weights.

    Entries are N(0, 1), and then d_ij ← d_ij · ‖θ_ij‖₂ / (‖d_ij‖₂ + 1e-10) for the j-th filter of the i-th weight. Li
    et al. 2017 (arXiv:1712.09913), section 4; the small number is from the authors' code, and so are the zeros for
    biases and normalisation layers.

    Each parameter draws from a generator of its own, so that two networks that share a layer share its direction. Two
    directions of different seeds are nearly orthogonal, as there are many weights, and are not made exactly so.

    Example:
        >>> layer = torch.nn.Linear(3, 2)
        >>> direction = random_direction(layer, seed=1)
        >>> torch.allclose(direction["weight"].norm(dim=1), layer.weight.norm(dim=1))
        True
        >>> direction["bias"]
        tensor([0., 0.])

    Args:
        model: Any module.
        seed: Decides the direction.
        normalise: How it is scaled, see `Normalise`.
        norms: Whether biases and the parameters of normalisation layers take part. Each counts as one filter then.

    Returns:
        Name of each trainable parameter -> a tensor of its shape, on its device, in float32 or better.

    Raises:
        UsageError: `normalise` is unknown, or no parameter is trainable.
    """
    if normalise not in get_args(Normalise):
        raise UsageError(f"normalise must be one of {', '.join(get_args(Normalise))}, got {normalise!r}.")
    gains = {id(p) for m in model.modules() if isinstance(m, _NORMALISATIONS) for p in m.parameters(recurse=False)}
    direction = {}
    for name, parameter in trainable(model).items():
        dtype = torch.promote_types(parameter.dtype, torch.float32)
        small = parameter.ndim <= 1 or id(parameter) in gains
        if small and not norms:
            direction[name] = torch.zeros_like(parameter, dtype=dtype)
            continue
        drawn = torch.randn(parameter.shape, generator=generator(seed, "direction", name), dtype=dtype)
        drawn = drawn.to(parameter.device)
        if normalise != "none":
            over = tuple(range(1, parameter.ndim)) if normalise == "filter" and not small else None
            drawn *= _norm(parameter.to(dtype), over) / (_norm(drawn, over) + _TINY)
        direction[name] = drawn
    return direction


@torch.no_grad()
def difference(start: Mapping[str, Tensor], end: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The direction from one state of a network to another, `end - start`, at least in float32.

    Running averages of BatchNorm and integer entries are no part of it. A surface along it goes through `start` at
    α = 0 and through `end` at α = 1; where the running averages are to move too, see `state_path`.

    >>> difference({"w": torch.tensor([1.0, 2.0])}, {"w": torch.tensor([3.0, 2.0])})
    {'w': tensor([2., 0.])}

    Args:
        start: A state dict.
        end: Another of the same network.

    Raises:
        UsageError: They are not states of one network.
    """
    found = {}
    for name in {**start, **end}:
        if name not in start or name not in end or start[name].shape != end[name].shape:
            shapes = " and ".join(str(tuple(s[name].shape)) if name in s else "nothing" for s in (start, end))
            raise UsageError(f"{name!r} must have one shape in both states, got {shapes}: give states of one network.")
        if start[name].is_floating_point() and not name.endswith(("running_mean", "running_var")):
            dtype = torch.promote_types(start[name].dtype, torch.float32)
            found[name] = end[name].to(start[name].device, dtype) - start[name].to(dtype)
    return found


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The trainable parameters of `model` by name; one that two modules share comes once.

    Raises:
        UsageError: There is none.
    """
    found = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if not found:
        raise UsageError("the model has no trainable parameters, so there is no direction to move in.")
    return found


def checked(model: nn.Module, direction: Direction, which: str = "the direction") -> dict[str, Tensor]:
    """`direction` as far as `model` has parameters of these names, on their devices and in their types.

    Entries of buffers are left out, such as those in the difference of two state dicts.

    Args:
        model: The model that is to move.
        direction: What a user gave.
        which: Names it in a message.

    Raises:
        NotFinite: The model's own weights are not finite.
        UsageError: It lacks a trainable parameter, has a name that the model has not, another shape, or a value that
            is not finite.
    """
    if not isinstance(direction, Mapping):
        raise UsageError(f"{which} must be a mapping from parameter names to tensors, got {type(direction).__name__}.")
    parameters = dict(model.named_parameters(remove_duplicate=False))
    foreign = [name for name in direction if name not in parameters and name not in dict(model.named_buffers())]
    absent = [name for name in trainable(model) if name not in direction]
    if foreign or absent:
        problem = f"lacks the parameter {absent[0]!r}" if absent else f"has {foreign[0]!r}, which the model has not"
        raise UsageError(f"{which} {problem}: give one made for this model, by random_direction(model) for example.")
    found, seen = {}, set()
    for name, parameter in parameters.items():
        if name not in direction or id(parameter) in seen:
            continue
        seen.add(id(parameter))
        value = direction[name]
        if not isinstance(value, Tensor) or value.shape != parameter.shape:
            got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise UsageError(f"{which} must be {tuple(parameter.shape)} for the parameter {name!r}, got {got}.")
        if not parameter.isfinite().all():  # a direction scaled with it is no number either
            raise NotFinite(f"the model's own weights are not finite ({name!r}): there is no landscape around them.")
        if not value.isfinite().all():
            raise UsageError(f"{which} has a value that is not finite, for the parameter {name!r}.")
        found[name] = value.detach().to(parameter.device, torch.promote_types(parameter.dtype, torch.float32))
    return found


def _norm(values: Tensor, over: tuple[int, ...] | None) -> Tensor:
    """‖values‖₂ over these dimensions, of a shape that multiplies `values`; None for all of them."""
    return torch.linalg.vector_norm(values, dim=over, keepdim=over is not None)
