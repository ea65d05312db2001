"""LARS: a rate for each layer, in proportion to the ratio of its weights' norm to their gradient's."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from bsgap.errors import UsageError


class LARS(Optimizer):
    """Layer-wise adaptive rate scaling (You, Gitman, Ginsburg 2017, arXiv:1708.03888, algorithm 1).

    For each weight w, with the gradient g of the loss, momentum m, weight decay β, trust coefficient η and the rate γ:

        λ = η ‖w‖ / (‖g‖ + β ‖w‖ + ε)
        v ← m v + γ λ (g + β w)
        w ← w - v

    (with `nesterov` w ← w - (m v + γ λ (g + β w))). The first step of a weight is thus about γ η ‖w‖ long, however
    long the gradient is. λ is 1 where ‖w‖ or ‖g‖ is 0: a weight that starts at 0 moves by plain SGD until it has a
    norm, and one without gradient only decays. The norms are those of the whole tensor, one for each weight.

    v holds the rates of the past steps, as in the paper (PyTorch's SGD multiplies the whole of v by the rate of the
    moment). So where the rate changes the old steps keep theirs, and a warm-up needs no momentum correction (Goyal et
    al. 2017, section 3: eq. 9 without the correction is this form).

    Biases and the gains of normalisation layers, all that has one dimension, are excluded unless
    `exclude_one_dimensional` is off: for them λ = 1, and there is no weight decay, as in the LARS of MLPerf. A
    parameter group may set `trust` to None, which makes λ = 1 for all that is in it, with the group's weight
    decay for what is not excluded.

    Example:
        >>> w = torch.nn.Parameter(torch.tensor([[3.0, 4.0]]))  # ‖w‖ = 5
        >>> optimizer = LARS([w], lr=1.0, momentum=0.9, trust=0.1)
        >>> w.grad = torch.tensor([[0.0, 2.0]])  # λ = 0.1·5/2
        >>> optimizer.step()
        >>> w.tolist()
        [[3.0, 3.5]]

    Args:
        params: Parameters, or groups of them.
        lr: γ, 0 or more.
        momentum: m, in [0, 1).
        weight_decay: β, 0 or more.
        trust: η, above 0; the paper has 0.001.
        exclude_one_dimensional: Whether tensors of at most one dimension take plain steps without weight decay.
        eps: ε, 0 or more.
        nesterov: Whether to step ahead of the momentum; the paper does not.

    Raises:
        UsageError: An option is out of range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float | None = 0.001,
        exclude_one_dimensional: bool = True,
        eps: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        defaults = {
            "lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust,
            "exclude_one_dimensional": exclude_one_dimensional, "eps": eps, "nesterov": nesterov,
        }  # fmt: skip
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group whose options are within their ranges.

        Raises:
            UsageError: One is not.
        """
        options = self.defaults | param_group
        for name in ("lr", "weight_decay", "eps"):
            if not 0 <= options[name] < math.inf:
                raise UsageError(f"LARS: {name} must be 0 or more, got {options[name]}.")
        if not 0 <= options["momentum"] < 1:
            raise UsageError(f"LARS: momentum must be in [0, 1), got {options['momentum']}.")
        if options["trust"] is not None and not 0 < options["trust"] < math.inf:
            raise UsageError(f"LARS: trust must be above 0, got {options['trust']}. The paper has 0.001.")
        if options["nesterov"] and not options["momentum"]:
            raise UsageError("LARS: nesterov needs a momentum above 0, got 0.")
        super().add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; returns what `closure` returns, which takes the gradient anew."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            moved = [p for p in group["params"] if p.grad is not None]
            plain = [p for p in moved if group["exclude_one_dimensional"] and p.ndim <= 1]
            scaled = [p for p in moved if not (group["exclude_one_dimensional"] and p.ndim <= 1)]
            for weights, decay, trust in ((scaled, group["weight_decay"], group["trust"]), (plain, 0.0, None)):
                for alike in _by_place(weights):
                    self._move(alike, group, decay, trust)
        return loss

    def _move(self, weights: list[Tensor], group: dict[str, Any], decay: float, trust: float | None) -> None:
        """One step of weights of one type on one device."""
        gradients = [w.grad for w in weights if w.grad is not None]
        if any(g.is_sparse for g in gradients):
            raise UsageError("LARS takes dense gradients. Set sparse=False in the embedding.")
        rate = group["lr"]
        steps: Any = torch._foreach_add(gradients, weights, alpha=decay) if decay else gradients
        if trust is None:
            steps = torch._foreach_mul(steps, rate)
        else:
            factors = torch.stack(torch._foreach_norm(weights)), torch.stack(torch._foreach_norm(gradients))
            local = _local_rates(*factors, trust, decay, group["eps"]) * rate
            steps = torch._foreach_mul(steps, list(local.unbind()))
        momentum = group["momentum"]
        if momentum:
            for w in weights:
                if "velocity" not in self.state[w]:
                    self.state[w]["velocity"] = torch.zeros_like(w)
            velocities = [self.state[w]["velocity"] for w in weights]
            torch._foreach_mul_(velocities, momentum)
            torch._foreach_add_(velocities, steps)
            steps = torch._foreach_add(steps, velocities, alpha=momentum) if group["nesterov"] else velocities
        torch._foreach_sub_(weights, steps)


def _local_rates(weights: Tensor, gradients: Tensor, trust: float, decay: float, eps: float) -> Tensor:
    """λ for norms of weights and of gradients `(parameters,)`, without waiting for the device."""
    rates = trust * weights / (gradients + decay * weights + eps)
    return torch.where((weights > 0) & (gradients > 0), rates, 1.0)


def _by_place(weights: list[Tensor]) -> list[list[Tensor]]:
    """Weights of one type on one device together."""
    found: dict[Any, list[Tensor]] = {}
    for w in weights:
        found.setdefault((w.device, w.dtype), []).append(w)
    return list(found.values())
