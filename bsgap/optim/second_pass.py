"""A second pass over the same batch that leaves no trace but its gradient.

The gradient of SAM is taken twice on a batch, and what a module notes of a batch it must note once: BatchNorm its
running statistics, metrics their counts, the trainer what is logged. Both passes draw the same random numbers.
"""

import random
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.module import register_module_forward_pre_hook
from torchmetrics import Metric


class Draws:
    """The random state of Python, NumPy, torch and the GPUs in use, to draw the same numbers again.

    Generators that a module keeps for itself are not among them.

    Args:
        devices: Where the module computes.
    """

    def __init__(self, devices: Iterable[torch.device]) -> None:
        self._python, self._numpy = random.getstate(), np.random.get_state()
        self._torch = torch.get_rng_state()
        self._cuda = {device: torch.cuda.get_rng_state(device) for device in set(devices) if device.type == "cuda"}

    def again(self) -> None:
        """Draw from here once more."""
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        torch.set_rng_state(self._torch)
        for device, state in self._cuda.items():
            torch.cuda.set_rng_state(state, device)


@contextmanager
def second_pass(module: nn.Module | None) -> Iterator[None]:
    """Whatever passes through `module` inside, its buffers and metrics are afterwards as they were; nothing is logged.

    Buffers are BatchNorm's running statistics, of every kind, and all others too. Metrics are those of torchmetrics
    among its submodules. `self.log` of a LightningModule and of the trainer's callbacks does nothing inside; what goes
    to a logger directly, and what a `training_step` keeps for itself, is beyond reach.

    Args:
        module: The module that is trained. None, where it is not known, keeps the buffers of the normalisation layers
            that are called inside, whosever they are.
    """
    with ExitStack() as stack:
        if module is None:
            stack.enter_context(_norms_kept())
        else:
            parts = list(module.modules())
            stack.enter_context(_buffers_kept(parts))
            for part in parts:
                if isinstance(part, Metric):
                    stack.enter_context(_metric_kept(part))
            _silence(module, parts, stack)
        yield


@contextmanager
def _buffers_kept(parts: Iterable[nn.Module]) -> Iterator[None]:
    """The buffers are afterwards the same tensors with the same values."""
    kept = _Kept()
    for part in parts:
        kept.add(part)
    try:
        yield
    finally:
        kept.restore()


@contextmanager
def _norms_kept() -> Iterator[None]:
    """The same for the normalisation layers that are called inside."""
    kept = _Kept()

    def note(layer: nn.Module, _: Any) -> None:
        if isinstance(layer, _NormBase):
            kept.add(layer)

    hook = register_module_forward_pre_hook(note)
    try:
        yield
    finally:
        hook.remove()
        kept.restore()


class _Kept:
    """Buffers and their values."""

    def __init__(self) -> None:
        self.owners: dict[int, tuple[nn.Module, dict[str, Tensor | None]]] = {}
        self.values: dict[int, tuple[Tensor, Tensor]] = {}  # one that two modules share counts once

    def add(self, module: nn.Module) -> None:
        if not module._buffers or id(module) in self.owners:
            return
        self.owners[id(module)] = module, dict(module._buffers)
        for buffer in module._buffers.values():
            if buffer is not None and id(buffer) not in self.values:
                self.values[id(buffer)] = buffer, buffer.detach().clone()

    @torch.no_grad()
    def restore(self) -> None:
        for module, buffers in self.owners.values():
            module._buffers.clear()
            module._buffers.update(buffers)
        pairs = list(self.values.values())
        if pairs:
            torch._foreach_copy_([buffer for buffer, _ in pairs], [value for _, value in pairs])


@contextmanager
def _metric_kept(metric: Metric) -> Iterator[None]:
    """The metric is afterwards the same objects with the same values: those of a collection may share them."""
    attributes = dict(vars(metric))
    tensors = {name: value.detach().clone() for name, value in attributes.items() if isinstance(value, Tensor)}
    lists = {name: list(value) for name, value in attributes.items() if isinstance(value, list)}
    try:
        yield
    finally:
        vars(metric).clear()
        vars(metric).update(attributes)
        with torch.no_grad():
            for name, value in tensors.items():
                attributes[name].copy_(value)
        for name, items in lists.items():
            attributes[name][:] = items


def _silence(module: nn.Module, parts: list[nn.Module], stack: ExitStack) -> None:
    """Let `log` do nothing, until the stack unwinds."""
    trainer = getattr(module, "_trainer", None)
    for owner in (*parts, *getattr(trainer, "callbacks", ())):
        if not (callable(getattr(owner, "log", None)) and hasattr(owner, "log_dict")):
            continue
        values = vars(owner)
        for name in ("log", "log_dict"):  # a callback's are attributes that the trainer sets
            if name in values:
                stack.callback(values.__setitem__, name, values[name])
            else:
                stack.callback(values.pop, name, None)
            values[name] = _nothing


def _nothing(*args: Any, **kwargs: Any) -> None:
    """Log nothing."""
