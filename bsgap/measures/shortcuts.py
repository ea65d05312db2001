"""Shortcuts for many passes of one model without gradient, each of them taken only where it changes nothing.

On a processor a plain pass of a small convolutional network spends as long in memory as in its convolutions. Three
things help: BatchNorm that is folded into the layer before, images with the channels last, and pieces of a batch small
enough for their activations to stay in the cache. Whether the model still gives the same with them is tried on a few
examples; what fails there, in whatever way, is left out, so that a plain pass is what is taken in the end.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from bsgap.errors import UsageError
from bsgap.measures.batches import DRAWS_NOTHING, Batches, placed
from bsgap.measures.folding import Pair, Weights, fold, folded, pairs
from bsgap.measures.modes import Statistics, device_of

_PROBE = 64  # examples that are tried
_CACHE = 2**19  # elements of the largest activation of a piece: 2 MiB
_LEAST = 16  # examples in a piece: each brings its weights into place once


@dataclass(frozen=True)
class Shortcuts:
    """How to pass batches through a model.

    Attributes:
        folds: Layers that take the BatchNorm behind them in.
        channels_last: Whether images and convolutions have their channels last.
        rows: Examples in a piece of a batch; None for whole batches.
    """

    folds: tuple[Pair, ...] = ()
    channels_last: bool = False
    rows: int | None = None

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Make the model ready for weights from `weights`."""
        with folded(list(self.folds)) if self.folds else nullcontext():
            yield

    def weights(self, moved: Weights) -> Weights:
        """What parameters are to be for the model to be at `moved`; its parameters stand there afterwards."""
        put(moved)
        changed = {id(parameter): (parameter, value) for parameter, value in [*moved, *fold(list(self.folds))]}
        return [(parameter, self._laid_out(value)) for parameter, value in changed.values()]

    def inputs(self, inputs: Any) -> Any:
        """The inputs of a batch as they go through the model."""
        return self._laid_out(inputs) if isinstance(inputs, Tensor) else inputs

    def outputs(self, model: nn.Module, inputs: Any) -> Any:
        """What `model` gives for the whole of `inputs`."""
        if self.rows is None or len(inputs) <= self.rows:
            return model(inputs)
        return torch.cat([model(piece) for piece in inputs.split(self.rows)])

    def _laid_out(self, value: Tensor) -> Tensor:
        if self.channels_last and value.ndim == 4:
            return value.contiguous(memory_format=torch.channels_last)
        return value


def put(weights: Weights) -> None:
    """Let parameters be these."""
    for parameter, value in weights:
        parameter.data = value


@torch.no_grad()
def shortcuts(model: nn.Module, batches: Batches, statistics: Statistics) -> Shortcuts:
    """The shortcuts that leave the outputs of `model`, which is in the mode of a measurement, as they are.

    With statistics of the batch only the layout of the images can change.

    Raises:
        UsageError: The model gives two answers for the same examples.
    """
    inputs, _ = placed(batches[0], device_of(model))
    if isinstance(inputs, Tensor):
        inputs = inputs[:_PROBE]
    expected = model(inputs)
    if not isinstance(expected, Tensor):
        return Shortcuts()
    again = model(inputs)
    if expected.isfinite().all() and not _close(again, expected):
        raise UsageError(
            f"the model is not deterministic: twice the same examples gave outputs {(again - expected).abs().max():.3g}"
            f" apart. {DRAWS_NOTHING}"
        )
    if not isinstance(inputs, Tensor) or len(expected) != len(inputs):
        return Shortcuts()
    found: tuple[Pair, ...] = ()
    rows = None
    if statistics != "batch":
        found = tuple(pairs(model, inputs))
        rows = _rows(model, inputs)
    images = inputs.ndim == 4
    for folds, last in product(dict.fromkeys((found, ())), dict.fromkeys((images, False))):
        way = Shortcuts(folds, last, rows)
        if _agrees(way, model, inputs, expected):
            return way
    return Shortcuts()


def _agrees(way: Shortcuts, model: nn.Module, inputs: Tensor, expected: Tensor) -> bool:
    """Whether the model gives with these shortcuts what it gives without, in pieces too; errors mean no."""
    plain: Weights = [(parameter, parameter.data) for parameter in model.parameters()]
    tried = way if way.rows is None else replace(way, rows=min(way.rows, max(1, len(inputs) // 2)))
    try:
        with tried.taken():
            put(tried.weights(plain))
            return _close(tried.outputs(model, tried.inputs(inputs)), expected)
    except Exception:  # a view of what is no longer contiguous, say: this model cannot take it
        return False
    finally:
        put(plain)


def _close(found: Any, expected: Tensor) -> bool:
    if not isinstance(found, Tensor) or found.shape != expected.shape:
        return False
    return bool((found - expected).abs().max() <= 1e-4 * expected.abs().max())


def _rows(model: nn.Module, inputs: Tensor) -> int | None:
    """Examples whose largest activation fits in the cache of a processor; None on another device."""
    if inputs.device.type != "cpu" or not len(inputs):
        return None
    largest = inputs[0].numel()

    def look(_: nn.Module, __: Any, output: Any) -> None:
        nonlocal largest
        if isinstance(output, Tensor) and output.ndim and len(output) == len(inputs):
            largest = max(largest, output[0].numel())

    handles = [m.register_forward_hook(look) for m in model.modules() if not any(m.children())]
    try:
        model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return max(_LEAST, _CACHE // largest)
