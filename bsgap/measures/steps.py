"""The step that an optimizer would take, taken on a copy of its state."""

import copy
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bsgap.errors import UsageError
from bsgap.measures.vectors import MeanLoss


def own_step(mean: MeanLoss, optimizer: Optimizer, clip: float | None = None) -> Tensor:
    """Displacement `[n]` that `optimizer` would give the parameters of `mean`, from the gradient of `mean`.

    Its hooks run as in training (a warm-up that hangs on the steps, say). The optimizer is afterwards as it was, and
    the parameters stand where they stood. An optimizer that asks for the gradient more than once gets it from where
    it then stands. To be used inside `bsgap.measures.untouched`, which gives the parameters their own `.grad` back.

    Args:
        mean: The loss over the mini-batch.
        optimizer: An optimizer of these parameters.
        clip: Largest norm of the gradient that it is given; None for no clipping.

    Raises:
        UsageError: The optimizer has none of the parameters.
    """
    flat = mean.flat
    owned = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if not any(id(p) in owned for p in flat.parameters):
        raise UsageError("the optimizer has none of the model's trainable parameters: give the one that trains it.")
    start = flat.vector.clone()

    def closure() -> Tensor:
        value = mean()
        for parameter, gradient in zip(flat.parameters, flat.views(mean.gradient.clone()), strict=True):
            parameter.grad = gradient
        if clip is not None:
            nn.utils.clip_grad_norm_(flat.parameters, clip)
        return torch.tensor(value)

    with _preserved(optimizer):
        optimizer.step(closure)  # type: ignore[arg-type]  # torch states a float and hands on whatever it is
    step = flat.vector - start
    flat.vector.copy_(start)
    return step


@contextmanager
def _preserved(optimizer: Optimizer) -> Iterator[None]:
    """Whatever a step does inside, `optimizer` is afterwards as it was, to the identity of its tensors."""
    attributes = dict(vars(optimizer))
    groups = [dict(group) for group in optimizer.param_groups]
    with ExitStack() as stack:
        for inner in attributes.values():  # one that wraps another, as SAM does
            if isinstance(inner, Optimizer):
                stack.enter_context(_preserved(inner))
        optimizer.state = defaultdict(dict, {p: copy.deepcopy(values) for p, values in optimizer.state.items()})
        try:
            yield
        finally:
            vars(optimizer).clear()
            vars(optimizer).update(attributes)
            for group, values in zip(optimizer.param_groups, groups, strict=True):
                group.clear()
                group.update(values)
