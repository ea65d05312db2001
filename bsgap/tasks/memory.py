"""Going on in smaller parts when memory ends."""

import gc
from typing import Any, Protocol

import torch
from pytorch_lightning.utilities.memory import is_oom_error
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bsgap.errors import UsageError
from bsgap.networks.ghost import GhostBatchNorm


class _Task(Protocol):
    network: nn.Module
    micro_batch: int | None

    def accumulate(self, batch: Any, part: slice | None = None) -> Tensor: ...


def accumulate_sparingly(task: _Task, batch: Any, part: slice, *, devices: int = 1) -> Tensor:
    """What `task.accumulate(batch, part)` gives; when memory ends, its micro-batch is halved and it is taken anew.

    The gradient is that of the mean loss over the whole batch whatever the micro-batch, up to the order of the sums
    (and dropout draws other masks). So the smaller one is kept for the steps to come.

    Args:
        task: Has `micro_batch`, which is changed.
        batch: (inputs, targets) of the step.
        part: The examples whose share of the gradient to accumulate; no other is in `.grad`.
        devices: Devices that take the step together.

    Raises:
        UsageError: Smaller parts would change the numbers, or even one example is too much.
    """
    while True:
        try:
            return task.accumulate(batch, part)
        except RuntimeError as error:
            if not is_oom_error(error):
                raise
            told = str(error).split("\n")[0][:100]
        # Outside the handler: the error holds the frames, and with them the activations.
        halve(task, part.stop - part.start, devices, told)
        for parameter in task.network.parameters():
            parameter.grad = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def halve(task: _Task, examples: int, devices: int, told: str) -> None:
    """Halve the micro-batch of a task that ran out of memory on so many examples.

    Raises:
        UsageError: Smaller parts would change the numbers, or even one example is too much.
    """
    size = min(task.micro_batch or examples, examples)
    begun = f"memory ended with {size} examples in the network at once ({told})"
    if size == 1:
        raise UsageError(f"{begun}. Use a smaller network or another device.")
    smaller = (size + 1) // 2
    norms = [part for part in task.network.modules() if isinstance(part, _BatchNorm)]
    if norms:
        ghosts = [part.size for part in norms if isinstance(part, GhostBatchNorm)]
        if len(ghosts) == len(norms) and size > max(ghosts):
            smaller = max(ghosts) * max(1, smaller // max(ghosts))
            reason = "its ghost batches stay what they are, but BatchNorm's running averages move once for each part"
        else:
            reason = "with BatchNorm it is also the number of examples over which the statistics are taken"
        raise UsageError(
            f"{begun}. Set ramp.micro_batch, for instance to {smaller}: {reason}, so it is not chosen for you."
        )
    if devices > 1:  # the others would wait for gradients that never come
        raise UsageError(f"{begun}. Set ramp.micro_batch, for instance to {smaller}: several devices must agree on it.")
    task.micro_batch = smaller
