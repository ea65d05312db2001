"""How a model is put into the state of a measurement, and how it gets back to the state in which its owner left it.

A measurement runs in float32 or better, without autocast, with dropout off, and with a stated source of the BatchNorm
statistics, because that source decides what is seen: Keskar's code used the statistics of each evaluation batch
(Keras 1, `mode=2`), others use the running averages of training.
"""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bsgap.errors import UsageError
from bsgap.measures.batches import Batches, lifted, listed, placed
from bsgap.networks.ghost import GhostBatchNorm
from bsgap.seeding import preserved_random_state

Statistics = Literal["batch", "running", "recomputed"]
"""Source of the BatchNorm statistics.

- `batch`: those of each evaluation batch, as in Keskar's code; the composition of the batches then matters.
- `running`: the running averages kept in training.
- `recomputed`: averages of the batch statistics over given batches, weighted by example, at the weights held when the
  mode is entered, and constant from there on.

For a GhostBatchNorm `batch` is as for BatchNorm, and `recomputed` averages over its ghost batches.
"""


def device_of(model: nn.Module) -> torch.device:
    """Device of the model's first parameter, else of its first buffer, else the CPU."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Whatever a measurement does inside, `model` and the random state are afterwards as they were.

    Kept: each parameter's data (the very storage), `.grad` and `requires_grad`, the buffers, the mode of every
    submodule, and the state of Python's, NumPy's, torch's and CUDA's generators. Inside, buffers are copies, so they
    may be written to; weights are to be changed by giving a parameter other `.data`, not in place.

    Raises:
        UsageError: `model` is no module.
    """
    if not isinstance(model, nn.Module):
        raise UsageError(f"model must be a torch.nn.Module, got {type(model).__name__}.")
    modules = list(model.modules())
    modes = [module.training for module in modules]
    parameters = [(p, p.data, p.grad, p.requires_grad) for p in model.parameters()]
    buffers = [(module, dict(module._buffers)) for module in modules if module._buffers]
    copies: dict[int, Tensor] = {}  # a buffer that two modules share stays shared
    with preserved_random_state():
        try:
            for module, originals in buffers:
                for name, buffer in originals.items():
                    if buffer is not None:
                        module._buffers[name] = copies.setdefault(id(buffer), buffer.detach().clone())
            yield
        finally:
            for module, originals in buffers:
                module._buffers.clear()
                module._buffers.update(originals)
            for module, mode in zip(modules, modes, strict=True):
                module.training = mode
            for parameter, data, gradient, wanted in parameters:
                parameter.data = data
                parameter.requires_grad_(wanted)
                parameter.grad = gradient


@contextmanager
def evaluation_mode(model: nn.Module, statistics: Statistics, batches: Batches | None = None) -> Iterator[None]:
    """`model` in evaluation, its BatchNorm layers with the stated `statistics`; dropout is off in every mode.

    A BatchNorm layer that keeps no running averages uses those of the batch in every mode. The running averages of
    the model are never changed: this context includes `untouched`.

    Args:
        model: Any module.
        statistics: Source of the BatchNorm statistics, see `Statistics`.
        batches: What `recomputed` averages over; the other modes need none.

    Raises:
        UsageError: `statistics` is none of the three, or `recomputed` has no batches.
    """
    with untouched(model), ExitStack() as stack:
        _enter_mode(model, statistics, batches, stack)
        yield


@contextmanager
def measuring(
    model: nn.Module, batches: Iterable[Any], statistics: Statistics, device: torch.device | str | None = None
) -> Iterator[Batches]:
    """All that a measurement over `batches` needs: `untouched`, full precision and `evaluation_mode`, at once.

    Full precision is float32 or better: no autocast, no TF32, half-precision weights cast up. It also leaves inference
    mode, in which no gradient can be taken.

    Args:
        model: Any module.
        batches: Pairs `(inputs, targets)`; anything but a list or tuple is read once.
        statistics: Source of the BatchNorm statistics; `recomputed` averages over `batches`.
        device: Where to compute; by default where the model is.

    Yields:
        The batches as a checked list.

    Raises:
        UsageError: `batches` is empty or holds no such pairs, or `statistics` is unknown.
    """
    with untouched(model), ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        fixed = listed(batches)
        _lift(model, None if device is None else torch.device(device))
        _enter_full_precision(device_of(model).type, stack)
        _enter_mode(model, statistics, fixed, stack)
        yield fixed


def _enter_mode(model: nn.Module, statistics: Statistics, batches: Batches | None, stack: ExitStack) -> None:
    if statistics not in get_args(Statistics):
        raise UsageError(f"statistics must be one of {', '.join(get_args(Statistics))}, got {statistics!r}.")
    for module in model.modules():
        module.training = False
        if isinstance(module, nn.RNNBase):
            # cuDNN has no backward pass for a recurrent layer in evaluation: train it, without its dropout.
            stack.callback(setattr, module, "dropout", module.dropout)
            module.dropout, module.training = 0.0, True
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]
    if statistics == "batch":
        for norm in norms:  # without averages to fall back on, evaluation takes those of the batch
            norm.running_mean = norm.running_var = None
    elif statistics == "recomputed":
        if batches is None:
            raise UsageError("statistics='recomputed' needs the batches to compute them over: give batches.")
        if norms:
            _recompute(model, norms, batches)


@torch.no_grad()
def _recompute(model: nn.Module, norms: list[_BatchNorm], batches: Batches) -> None:
    """Fill the running averages of `norms` with means of the batch statistics, weighted by example."""
    device = device_of(model)
    momenta = [norm.momentum for norm in norms]
    ghosts = [(norm, norm.size, norm.updates) for norm in norms if isinstance(norm, GhostBatchNorm)]
    seen = 0
    try:
        for norm in norms:
            norm.training = True
        for batch in batches:
            inputs, targets = placed(batch, device)
            seen += len(targets)
            for norm in norms:
                norm.momentum = len(targets) / seen  # makes the moving average a plain weighted one
            for ghost, size, _ in ghosts:
                ghost.size, ghost.updates = min(size, len(targets)), "step"
            model(inputs)
    finally:
        for ghost, size, updates in ghosts:
            ghost.size, ghost.updates = size, updates
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.training = False


def _lift(model: nn.Module, device: torch.device | None) -> None:
    """Cast half precision up to float32 and move to `device`; the `untouched` around it takes both back."""
    for parameter in model.parameters():
        parameter.grad = None  # it would be of another type
        parameter.data = lifted(parameter.data, device)
    for module in model.modules():
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = lifted(buffer, device)


def _enter_full_precision(kind: str, stack: ExitStack) -> None:
    """Autocast and TF32 off on devices of this kind, until the stack unwinds."""
    stack.enter_context(torch.autocast(kind, enabled=False))
    stack.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
    torch.set_float32_matmul_precision("highest")
    if kind == "cuda":
        stack.callback(setattr, torch.backends.cudnn, "allow_tf32", torch.backends.cudnn.allow_tf32)
        torch.backends.cudnn.allow_tf32 = False
        stack.enter_context(warnings.catch_warnings())
        # Recurrent weights lie elsewhere while they are measured; cuDNN copies them, which is all that it warns of.
        warnings.filterwarnings("ignore", message="RNN module weights are not part of single contiguous chunk")
