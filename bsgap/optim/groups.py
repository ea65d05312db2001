"""Which parameters share which options of an optimizer."""

from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from bsgap.errors import UsageError

NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
"""Normalisation layers: Batch-, Instance-, Group-, Layer- and RMSNorm."""


def parameter_groups(network: nn.Module, *, decay_norms: bool = True) -> list[dict[str, Any]]:
    """The parameters of `network` in groups for an optimizer; where norms are not to decay, theirs in a second group.

    Goyal et al. 2017 (arXiv:1706.02677, section 5.1) train without weight decay on the gains and biases of BatchNorm.

    >>> import torch
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    >>> optimizer = torch.optim.SGD(parameter_groups(network, decay_norms=False), lr=0.1, weight_decay=1e-4)
    >>> [(len(group["params"]), group["weight_decay"]) for group in optimizer.param_groups]
    [(2, 0.0001), (2, 0.0)]

    Args:
        network: Any module; a parameter that two modules share counts once, as a norm's where one of them is a norm.
        decay_norms: Whether the optimizer's weight decay holds for gains and biases of normalisation layers too.

    Raises:
        UsageError: `decay_norms` is false and the network has no normalisation layer with parameters.
    """
    parameters = list(network.parameters())
    if decay_norms:
        return [{"params": parameters}]
    norms = {id(p) for p in _of(m for m in network.modules() if isinstance(m, NORMS))}
    if not norms:
        raise UsageError(
            "decay_norms: the network has no normalisation layer with gains or biases. Leave it out, or choose another"
            " network."
        )
    decaying = [p for p in parameters if id(p) not in norms]
    first = [{"params": decaying}] if decaying else []
    return [*first, {"params": [p for p in parameters if id(p) in norms], "weight_decay": 0.0}]


def _of(modules: Iterable[nn.Module]) -> list[nn.Parameter]:
    return [p for module in modules for p in module.parameters(recurse=False)]
