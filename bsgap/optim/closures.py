"""What an optimizer is handed for its gradient: a closure, taken apart for one that needs more than to call it."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

Closure = Callable[[], Any]
"""Accumulates a gradient into `.grad` and returns the loss."""


@dataclass(frozen=True)
class SummedClosure:
    """A closure whose gradient is the sum of shares, and is finished (clipped, say) when it is whole.

    Any optimizer may call it. SAM perturbs for each share apart, by the gradient of that share alone, and finishes only
    the gradient that it steps with.

    Attributes:
        shares: Each accumulates its part of the gradient, and returns its part of the loss.
        clear: Clears the gradient.
        finish: Called on the whole gradient.
    """

    shares: Sequence[Closure]
    clear: Callable[[], Any]
    finish: Callable[[], Any]

    def __call__(self) -> Any:
        """The whole gradient, finished; returns the loss."""
        self.clear()
        losses = [share() for share in self.shares]
        self.finish()
        return total(losses)


@dataclass(frozen=True)
class Request:
    """A closure in its parts.

    Attributes:
        shares: What to evaluate, and to perturb apart.
        module: The module that is trained, where it is to be found.
        finished: Calls what it is given, which is to leave the whole gradient in `.grad`, and then does with the
            gradient whatever the closure would have done: clips it, shows it to hooks. Returns the loss.
    """

    shares: Sequence[Closure]
    module: nn.Module | None
    finished: Callable[[Closure], Any]


def request_of(closure: Closure) -> Request:
    """Take a closure apart.

    Lightning hands its optimizers `partial(precision._wrap_closure, module, optimizer, inner)`, which calls `inner`,
    then the hooks `on_before_optimizer_step`, and clips. A gradient that is only climbed along is to be had from
    `inner` alone. The module of another closure is any among the arguments of a `functools.partial`.
    """
    given = closure.args + tuple(closure.keywords.values()) if isinstance(closure, functools.partial) else ()
    module = next((value for value in given if isinstance(value, nn.Module)), None)
    wrapped = isinstance(closure, functools.partial) and getattr(closure.func, "__name__", "") == "_wrap_closure"
    inner = closure
    if wrapped and len(given) == 3 and callable(given[-1]):
        inner = given[-1]
    after: Callable[[Closure], Any] = _called
    if inner is not closure:
        assert isinstance(closure, functools.partial)
        after = functools.partial(closure.func, *given[:-1])
    if not isinstance(inner, SummedClosure):
        return Request([inner], module, after)
    return Request(inner.shares, module, lambda gradient: after(functools.partial(_finish, inner, gradient)))


def is_empty(request: Request) -> bool:
    """Whether Lightning gave a closure of its own that does nothing, as it does where the user's `step` has none."""
    return [getattr(share, "__name__", "") for share in request.shares] == ["do_nothing_closure"]


def total(losses: Sequence[Any]) -> Any:
    """Sum of the shares of a loss; None where a closure returns none."""
    if any(loss is None for loss in losses):
        return None
    return functools.reduce(lambda one, other: one + other, losses)


def _called(gradient: Closure) -> Any:
    return gradient()


def _finish(closure: SummedClosure, gradient: Closure) -> Any:
    loss = gradient()
    closure.finish()
    return loss
