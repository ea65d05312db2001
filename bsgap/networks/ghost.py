"""Ghost BatchNorm: training statistics over small parts of a batch, as if each part were a batch of its own.

Hoffer, Hubara, Soudry 2017 (arXiv:1705.08741), algorithm 1. A large batch B is cut into ghost batches B_i of n
consecutive examples, and each is normalised by its own mean and variance, so that BatchNorm does at every batch size
what it does at batch size n:

    y = γ (x - μ_i) / √(σ²_i + ε) + β    for the examples of B_i.

All ghost batches go through the same few kernels; there is no loop over them, except on a CPU for large ones in
channels-last bfloat16: backward, and forward where one call would lose digits, see `bsgap.networks.ghost_kernels`.
"""

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bsgap.errors import UsageError
from bsgap.networks.ghost_function import Parts, normalised, parts_of

Updates = Literal["step", "chunk"]
"""How the running averages r of a GhostBatchNorm follow the statistics s_1, ..., s_k of the ghost batches of a step.

- `step`: once, r ← (1 - m) r + m Σ_i n_i s_i / Σ_i n_i, with momentum m, whatever the number of ghost batches.
- `chunk`: as if one came after the other, r ← (1 - m) r + m s_i, which is what the authors' code does. The momentum
  of a step is then 1 - (1 - m)^k, so the averages of a large batch forget faster.

With no momentum (None) both are plain averages, over the steps or over the ghost batches.
"""


class GhostBatchNorm(_BatchNorm):
    """What the layers for inputs of one and of two dimensions have in common; see `GhostBatchNorm2d`."""

    _counted = 0  # batches when it became a ghost: those of a BatchNorm before say nothing of the size
    _trained = False  # of a layer without running averages, which count the batches

    def __init__(
        self,
        num_features: int,
        size: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        updates: Updates = "step",
        **placement: Any,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, **placement)
        _check(size, updates)
        self.size = size
        self.updates: Updates = updates

    def forward(self, inputs: Tensor) -> Tensor:
        """The normalised `inputs` `(batch, channels, ...)`, in their type and layout.

        Raises:
            UsageError: In training, the first batch is smaller than a ghost batch, or a ghost batch has but one value a
                channel.
        """
        if not self.training:
            return super().forward(inputs)
        self._check_input_dim(inputs)
        parts = parts_of(inputs, self.size)
        if len(inputs) < self.size and not self._has_trained():
            raise UsageError(
                f"ghost_batch: a ghost batch of {self.size} examples does not fit the batch of {len(inputs)} that goes"
                f" through the network. Set it to at most {len(inputs)}, or use larger batches."
            )
        if self.num_batches_tracked is None and not self._trained:
            self._trained = True
        if parts.count == 1:
            return super().forward(inputs)
        outputs, mean, variance = normalised(inputs, self.weight, self.bias, parts, self.eps)
        self._follow(parts, mean, variance)
        return outputs

    def _has_trained(self) -> bool:
        """Whether a batch has been normalised before: then a smaller one is the rest at the end of an epoch.

        A state dict that has been loaded says so by another count of batches.
        """
        return self._trained if self.num_batches_tracked is None else int(self.num_batches_tracked) != self._counted

    @torch.no_grad()
    def _follow(self, parts: Parts, mean: Tensor, variance: Tensor) -> None:
        """Move the running averages, by `mean` and biased `variance` `(ghosts, channels)`."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        each = self.updates == "chunk"
        updates = parts.count if each else 1
        self.num_batches_tracked += updates
        keep: float | Tensor
        new: float | Tensor  # share of this step
        if self.momentum is None:
            new = updates / self.num_batches_tracked.to(mean)
            keep = 1 - new
        else:
            keep = (1 - self.momentum) ** updates
            new = 1 - keep
        shares = None  # of the ghost batches in the new; None where they are equal
        if each and self.momentum:  # one after the other: what comes early is forgotten by what comes late
            ages = torch.arange(updates - 1, -1, -1, dtype=mean.dtype, device=mean.device)
            shares = self.momentum * (1 - self.momentum) ** ages / new
        elif not each and not parts.even:
            shares = parts.sizes(mean) / parts.examples
        for running, found in ((self.running_mean, mean), (self.running_var, parts.unbiased(variance))):
            average = found.mean(0) if shares is None else shares @ found
            running.mul_(keep).add_((average * new).to(running.dtype))

    def extra_repr(self) -> str:
        """Size and updates beside the options of BatchNorm."""
        return f"{super().extra_repr()}, size={self.size}, updates={self.updates}"


class GhostBatchNorm1d(GhostBatchNorm, nn.BatchNorm1d):
    """Ghost BatchNorm of inputs `(batch, channels)` or `(batch, channels, length)`; see `GhostBatchNorm2d`."""


class GhostBatchNorm2d(GhostBatchNorm, nn.BatchNorm2d):
    """Ghost BatchNorm of inputs `(batch, channels, height, width)`.

    In training each `size` consecutive examples are normalised by their own mean and variance. Where the batch is no
    multiple of `size` the last ghost batch is smaller, and has statistics of its own; if that left it a single value a
    channel, which has no variance, it is joined with the one before. In evaluation, and in its parameters, buffers and
    state dict, the layer is BatchNorm.

    A batch smaller than `size` is refused when it is the first, or the first after `ghost_batch_norm`: the size is then
    a mistake. Later it is what is left at the end of an epoch, and one ghost batch. One ghost batch alone goes through
    BatchNorm itself.

    Inputs in bfloat16 or float16 are normalised, and their gradients summed, in float32. On a GPU the gradient of the
    inputs is put together in their own type, with errors of one rounding of it and no bias.

    Example:
        >>> import torch
        >>> layer = GhostBatchNorm2d(3, size=32)
        >>> images = torch.randn(96, 3, 8, 8)
        >>> plain = torch.nn.BatchNorm2d(3)
        >>> torch.allclose(layer(images)[32:64], plain(images[32:64]), atol=1e-5)
        True

    Args:
        num_features: Channels.
        size: Examples in a ghost batch.
        eps: ε.
        momentum: Share of the new in the running averages; None for plain averages.
        affine: Whether there are γ and β.
        track_running_stats: Whether there are running averages.
        updates: How they follow, see `bsgap.networks.ghost.Updates`.

    Raises:
        UsageError: `size` is no integer or below 1, or `updates` unknown.
    """


KINDS: dict[type[_BatchNorm], type[GhostBatchNorm]] = {
    nn.BatchNorm1d: GhostBatchNorm1d,
    nn.BatchNorm2d: GhostBatchNorm2d,
}


def ghost_batch_norm(model: nn.Module, size: int, updates: Updates = "step") -> nn.Module:
    """Let every BatchNorm of `model` take its training statistics over ghost batches of `size` examples, in place.

    Parameters, buffers and the names in the state dict stay what they are; an optimizer built before goes on with
    them. `plain_batch_norm` is the way back. Layers that are GhostBatchNorm already get the new size.

    >>> from bsgap.networks import CifarResNet
    >>> network = ghost_batch_norm(CifarResNet(8), size=64)
    >>> network.features[1]
    GhostBatchNorm2d(16, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True, size=64, updates=step)

    Args:
        model: Any module.
        size: Examples in a ghost batch.
        updates: How the running averages follow, see `bsgap.networks.ghost.Updates`.

    Returns:
        `model`.

    Raises:
        UsageError: `size` is no integer or below 1, `updates` unknown, the model has no BatchNorm, or one of another
            kind, such as SyncBatchNorm, whose statistics are those of all devices.
    """
    _check(size, updates)
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        raise UsageError("ghost_batch: the network has no BatchNorm layer. Leave it out, or choose another network.")
    for norm in norms:
        if isinstance(norm, nn.SyncBatchNorm):
            raise UsageError(
                "ghost_batch: SyncBatchNorm takes its statistics over all devices, ghost batches over few examples."
                " Leave one of the two out."
            )
        if type(norm) not in KINDS and not isinstance(norm, GhostBatchNorm):
            names = " and ".join(kind.__name__ for kind in KINDS)
            raise UsageError(f"ghost_batch: expected BatchNorm layers of type {names}, got {type(norm).__name__}.")

    for norm in norms:  # the layer itself becomes one of the other kind: whoever refers to it goes on with it
        norm.__class__ = KINDS.get(type(norm), type(norm))
        norm.size, norm.updates = size, updates  # type: ignore[assignment]
        tracked = norm.num_batches_tracked
        norm._counted = 0 if tracked is None or tracked.is_meta else int(tracked)  # type: ignore[assignment]
        norm._trained = False  # type: ignore[assignment]
    return model


def plain_batch_norm(model: nn.Module) -> nn.Module:
    """Make every GhostBatchNorm of `model` a BatchNorm again, in place, and return it: undoes `ghost_batch_norm`."""
    plain = {ghost: kind for kind, ghost in KINDS.items()}
    for norm in model.modules():
        if type(norm) in plain:
            del norm.size, norm.updates
            for name in ("_counted", "_trained"):  # those of the class otherwise
                vars(norm).pop(name, None)
            norm.__class__ = plain[type(norm)]  # type: ignore[index]
    return model


def _check(size: int, updates: str) -> None:
    if not isinstance(size, int):
        raise UsageError(f"ghost_batch must be an integer, got {size!r}.")
    if size < 1:
        raise UsageError(f"ghost_batch must be at least 1, got {size}.")
    if updates not in get_args(Updates):
        raise UsageError(f"updates must be one of {', '.join(get_args(Updates))}, got {updates!r}.")
