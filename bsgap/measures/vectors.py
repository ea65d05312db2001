"""The trainable parameters of a model as one vector, and the gradient of a loss over a data set as another."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bsgap.errors import UsageError
from bsgap.measures.batches import Batches, Loss, examples_in, placed


class FlatParameters:
    """The trainable parameters of `model` as views into one vector `[n]`, in the order of `model.parameters()`.

    Writing to `vector` moves the model, without a copy. A parameter that two modules share counts once, frozen ones
    (`requires_grad=False`) not at all. To be used inside `bsgap.measures.untouched`, which gives the parameters their
    own storage back.

    Attributes:
        vector: the parameters `[n]`, float32, or float64 where one of them is float64.

    Raises:
        UsageError: no parameter is trainable, or they lie on several devices.
    """

    def __init__(self, model: nn.Module) -> None:
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        if not self.parameters:
            raise UsageError(
                "the model has no trainable parameters: set requires_grad=True on those that the measure may move."
            )
        devices = {p.device for p in self.parameters}
        if len(devices) > 1:
            names = ", ".join(sorted(map(str, devices)))
            raise UsageError(f"the trainable parameters lie on several devices ({names}): move the model to one.")
        dtype = torch.float64 if any(p.dtype == torch.float64 for p in self.parameters) else torch.float32
        self.vector = torch.cat([p.detach().reshape(-1).to(dtype) for p in self.parameters])
        for parameter, view in zip(self.parameters, self.views(self.vector), strict=True):
            parameter.data = view

    def views(self, vector: Tensor) -> list[Tensor]:
        """`vector` `[n]` cut into pieces with the parameters' shapes, sharing its memory."""
        pieces = vector.split([p.numel() for p in self.parameters])
        return [piece.view(p.shape) for piece, p in zip(pieces, self.parameters, strict=True)]


class MeanLoss:
    """f(x), the mean loss over all examples as a function of the trainable parameters x, and its gradient.

    The outputs are cast to float64 before the loss is taken. At a training loss of 1e-6 most examples have a loss
    under float32's rounding of log(1 + e^-z), and the whole loss and gradient would come from the few others.

    Attributes:
        passes: how often the data have been passed over with gradient.
        gradient: of the last call, `[n]`; the next call overwrites it.
    """

    def __init__(self, model: nn.Module, batches: Batches, loss: Loss) -> None:
        self.model, self.batches, self.loss = model, batches, loss
        self.flat = FlatParameters(model)
        self.gradient = torch.zeros_like(self.flat.vector)
        self.examples = examples_in(batches)
        self.passes = 0
        self._pieces = self.flat.views(self.gradient)

    def __call__(self) -> float:
        """f at the parameters as they stand; the gradient goes to `gradient`."""
        self.passes += 1
        return self._accumulate(self.batches, self.examples)

    def check_deterministic(self) -> None:
        """Evaluate a first few examples twice and compare, which catches what differs from one pass to the next.

        Raises:
            UsageError: loss or gradient of the two evaluations differ.
        """
        batch = _few(self.batches[0])
        losses, gradients = [], []
        for _ in range(2):
            losses.append(self._accumulate([batch], len(batch[1])))
            gradients.append(self.gradient.clone())
        gap = torch.linalg.vector_norm(gradients[0] - gradients[1]).item()
        size = torch.linalg.vector_norm(gradients[0]).item()
        if not math.isfinite(losses[0]):
            return  # the start loss tells it better
        if abs(losses[0] - losses[1]) > 1e-4 * abs(losses[0]) or gap > 1e-2 * size:
            raise UsageError(
                f"the loss is not deterministic: two evaluations of the same examples gave {losses[0]:.9g} and"
                f" {losses[1]:.9g} (gradients {gap:.3g} apart, norm {size:.3g}). Switch off what draws random numbers"
                " in forward or in the loss."
            )

    def _accumulate(self, batches: Batches, examples: int) -> float:
        self.gradient.zero_()
        total = torch.zeros((), dtype=torch.float64, device=self.gradient.device)
        with torch.enable_grad():
            for batch in batches:
                inputs, targets = placed(batch, self.gradient.device)
                outputs = self.model(inputs)
                if isinstance(outputs, Tensor):
                    outputs = outputs.double()
                share = self.loss(outputs, targets) * (len(targets) / examples)
                total += share.detach()
                self._add(torch.autograd.grad(share, self.flat.parameters, allow_unused=True))
        return total.item()

    def _add(self, gradients: Sequence[Tensor | None]) -> None:
        used = [(piece, g) for piece, g in zip(self._pieces, gradients, strict=True) if g is not None]
        torch._foreach_add_([piece for piece, _ in used], [g for _, g in used])


def _few(batch: tuple[object, Tensor], limit: int = 256) -> tuple[object, Tensor]:
    """The first examples of a batch, or all where the inputs are not one tensor with the examples first."""
    inputs, targets = batch
    if isinstance(inputs, Tensor) and len(inputs) == len(targets):
        return inputs[:limit], targets[:limit]
    return batch
