"""Factors of the learning rate that hold during a step and are gone after it: one mechanism for all that multiply it.

A warm-up, a decay and a ramp of the batch size each have their say about the rate of a step. Each hangs its factor on
the optimizer under a name of its own; during a step the rates of all parameter groups are multiplied by the product of
the factors, and afterwards they are to the bit what they were. So the module's own schedules see the rates that they
set, whatever else is hung on, and a checkpoint holds no factor.
"""

import math
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

from pytorch_lightning.core.optimizer import LightningOptimizer
from torch.optim import Optimizer

from bsgap.errors import UsageError

Share = Callable[[], float]
"""A factor of the rate, asked once a step, before it."""


def multiply(optimizer: Optimizer, name: str, share: Share) -> None:
    """Multiply all rates of `optimizer` by `share()` during each of its steps, from the next one on.

    Several factors multiply each other, in the order of their names: the bits do not depend on which came first. Take
    the factor off with `remove` when the training is over, also when an error ended it.

    >>> import torch
    >>> weight = torch.zeros(1, requires_grad=True)
    >>> weight.grad = torch.ones(1)
    >>> optimizer = torch.optim.SGD([weight], lr=1.0)
    >>> multiply(optimizer, "decay", lambda: 0.25)
    >>> multiply(optimizer, "warm-up", lambda: 0.5)
    >>> optimizer.step()
    >>> weight.item(), optimizer.param_groups[0]["lr"], effective_rate(optimizer)
    (-0.125, 1.0, 0.125)

    Args:
        optimizer: A torch optimizer, or Lightning's wrapper of one.
        name: What the factor is, such as `warm-up`.
        share: Gives the factor.

    Raises:
        UsageError: The optimizer has a factor of that name.
    """
    optimizer = _bare(optimizer)
    if optimizer not in _HUNG:
        _HUNG[optimizer] = _Factors(optimizer)
    shares = _HUNG[optimizer].shares
    if name in shares:
        raise UsageError(f"the rates are multiplied by a factor {name!r} already. Remove it first, or name this one.")
    shares[name] = share


def remove(optimizer: Optimizer, name: str) -> None:
    """Take a factor off; one that is not there is no error. The last one leaves the optimizer without hooks.

    In the middle of a step, or after an error in one, the rates are at once those without the factor.
    """
    optimizer = _bare(optimizer)
    factors = _HUNG.get(optimizer)
    if factors is None or name not in factors.shares:
        return
    factors.drop(name)
    if not factors.shares:
        factors.unhook()
        del _HUNG[optimizer]


def effective_rate(optimizer: Optimizer) -> float:
    """Rate of the first parameter group as a step taken now would use it: what is set, times all factors."""
    optimizer = _bare(optimizer)
    factors, group = _HUNG.get(optimizer), optimizer.param_groups[0]
    if factors is None:
        return float(group["lr"])
    rate = factors.full[0][1] if factors.full else group["lr"]
    return float(rate * factors.product())


class _Factors:
    """The factors of one optimizer, and the one pair of hooks that applies them.

    A step that calls that of its parent class runs the hooks twice, one pair inside the other: the outer pair counts.
    A step that an error ended runs no second hook, so the outer step is known by its frame: one that is no more on the
    stack is over. Nothing here refers to the optimizer, which is the weak key under which this is found.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.shares: dict[str, Share] = {}
        self.applied: dict[str, float] = {}  # the factors of the step in hand
        self.full: list[tuple[dict[str, Any], Any]] = []  # during a step: the groups, and the rates to come back to
        self.step: FrameType | None = None  # of the outer step, which calls the hooks
        self.hooks = optimizer.register_step_pre_hook(self.before), optimizer.register_step_post_hook(self.after)

    def before(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        caller = sys._getframe(1)
        if self.step is not None and _runs(self.step, caller):
            return
        self.restore()
        self.step = caller
        self.applied = {name: share() for name, share in self.shares.items()}
        self.full = [(group, group["lr"]) for group in optimizer.param_groups]
        self.set_rates()

    def after(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if self.step is sys._getframe(1):
            self.restore()

    def set_rates(self) -> None:
        factor = _product(self.applied)
        for group, rate in self.full:
            group["lr"] = rate * factor

    def restore(self) -> None:
        for group, rate in self.full:
            group["lr"] = rate
        self.full, self.step, self.applied = [], None, {}

    def product(self) -> float:
        return _product({name: share() for name, share in self.shares.items()})

    def drop(self, name: str) -> None:
        del self.shares[name]
        if self.step is None:
            return
        if self.shares and _runs(self.step, sys._getframe(1)):
            self.applied.pop(name, None)
            self.set_rates()
        else:
            self.restore()

    def unhook(self) -> None:
        for hook in self.hooks:
            hook.remove()


_HUNG: WeakKeyDictionary[Optimizer, _Factors] = WeakKeyDictionary()


def _product(factors: dict[str, float]) -> float:
    return math.prod(factors[name] for name in sorted(factors))


def _runs(step: FrameType, frame: FrameType | None) -> bool:
    """Whether `step` is `frame` or one of those that called it."""
    while frame is not None and frame is not step:
        frame = frame.f_back
    return frame is not None


def _bare(optimizer: Optimizer) -> Optimizer:
    return optimizer.optimizer if isinstance(optimizer, LightningOptimizer) else optimizer
