"""The one optimizer step that every task takes: batch m is one step on the mean gradient of m examples."""

import functools
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from bsgap.optim.closures import SummedClosure, total

LossOf = Callable[[Tensor, Tensor], Tensor]
"""Mean loss of (inputs, targets)."""


def summed_gradient(
    share_of: Callable[[slice], Tensor],
    examples: int,
    *,
    micro_batch: int | None,
    backward: Callable[[Tensor], None],
    part: slice | None = None,
) -> Tensor:
    """Accumulate the gradient of a batch's loss, in micro-batches; return that loss.

    Args:
        share_of: What the examples of a slice add to the loss of the batch; the shares add up to it.
        examples: Examples in the batch.
        micro_batch: Examples that go through the network at once; None for the whole batch.
        backward: What to call on each share: `Tensor.backward`, or Lightning's `manual_backward`.
        part: The examples whose shares to accumulate; None for all of them.
    """
    first, end = (0, examples) if part is None else (part.start, part.stop)
    size = end - first if micro_batch is None else micro_batch
    losses = []
    for start in range(first, end, size):
        share = share_of(slice(start, min(start + size, end)))
        backward(share)
        losses.append(share.detach())
    return total(losses)


def mean_gradient(
    loss_of: LossOf,
    inputs: Tensor,
    targets: Tensor,
    *,
    micro_batch: int | None,
    backward: Callable[[Tensor], None],
    part: slice | None = None,
) -> Tensor:
    """Accumulate the gradient of the mean loss of the whole batch, in micro-batches; return that mean loss.

    With micro-batches of k out of m examples the loss of each is weighted by k/m before `backward`, so the sum of
    their gradients is the gradient of the mean over m examples, also when the last one is smaller.

    Args:
        loss_of: Mean loss of (inputs, targets).
        inputs: The batch, `(m, ...)`.
        targets: Its targets, `(m, ...)`.
        micro_batch: Examples that go through the network at once; None for the whole batch.
        backward: What to call on each weighted loss: `Tensor.backward`, or Lightning's `manual_backward`.
        part: The examples whose share of the mean to accumulate; None for all of them.
    """
    examples = len(targets)

    def share_of(these: slice) -> Tensor:
        mean = loss_of(inputs[these], targets[these])
        size = these.stop - these.start
        return mean if size == examples else mean * (size / examples)

    return summed_gradient(share_of, examples, micro_batch=micro_batch, backward=backward, part=part)


def groups(examples: int, size: int | None) -> list[slice]:
    """Consecutive groups of a batch; the last is smaller where `size` does not divide it. None is one group.

    >>> groups(10, 4)
    [slice(0, 4, None), slice(4, 8, None), slice(8, 10, None)]
    """
    size = examples if size is None else size
    return [slice(start, min(start + size, examples)) for start in range(0, examples, size)]


def optimizer_step(
    optimizer: Optimizer,
    parameters: list[nn.Parameter],
    *shares: Callable[[], Tensor],
    clip: float | None = None,
) -> Tensor:
    """Take one optimizer step on the gradient that the `shares` accumulate, and return the loss at the step's start.

    The optimizer gets a closure that clears, accumulates and clips the gradient, so an optimizer that evaluates it
    more than once (SAM, L-BFGS) takes the right step; the loss returned is that of the first evaluation. SAM perturbs
    for each share apart, and only the gradient that it steps with is clipped: see `bsgap.optim.closures`.

    Args:
        optimizer: A torch optimizer, or Lightning's wrapper of one.
        parameters: The parameters whose joint gradient norm is clipped.
        shares: Accumulates the mean gradient of the batch into `.grad` and returns the mean loss; or several, each its
            share of both.
        clip: Largest l2 norm of the gradient; None for no clipping.

    """
    losses: dict[int, Tensor] = {}

    def noted(number: int, share: Callable[[], Tensor]) -> Tensor:
        loss = share()
        losses.setdefault(number, loss)
        return loss

    def finish() -> None:
        if clip is not None:
            nn.utils.clip_grad_norm_(parameters, clip)

    each = [functools.partial(noted, number, share) for number, share in enumerate(shares)]
    closure: Any = SummedClosure(each, optimizer.zero_grad, finish)
    optimizer.step(closure)
    return total([losses[number] for number in range(len(shares))])
