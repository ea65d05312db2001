"""The trainable parameters of a model as one vector, and the mean loss over a data set as a function of it."""

import math

import torch
from torch import Tensor, nn

from bsgap.errors import UsageError
from bsgap.measures.batches import DRAWS_NOTHING, Batches, Loss, examples_in, placed, sample
from bsgap.measures.evaluation import check_loss, mean_loss

PROBE = 256  # examples on which the determinism of the loss is checked


class FlatParameters:
    """The trainable parameters of `model` as views into one vector `[n]`, in the order of `model.parameters()`.

    Writing to `vector` moves the model, without a copy. A parameter that two modules share counts once, frozen ones
    (`requires_grad=False`) not at all. To be used inside `bsgap.measures.untouched`, which gives the parameters their
    own storage back.

    Attributes:
        vector: The parameters `[n]`, float32, or float64 where one of them is float64.

    Raises:
        UsageError: No parameter is trainable, or they lie on several devices.
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

    Attributes:
        flat: The parameters; where they stand is where f is taken.
        gradient: Gradient `[n]` of the last call; the next one overwrites it.
        examples: Number of examples.
        passes: How often the data have been passed over.
    """

    def __init__(self, model: nn.Module, batches: Batches, loss: Loss) -> None:
        self.model, self.batches, self.loss = model, batches, loss
        self.flat = FlatParameters(model)
        self.gradient = torch.zeros_like(self.flat.vector)
        self.examples = examples_in(batches)
        self.passes = 0
        self._pieces = self.flat.views(self.gradient)

    def __call__(self) -> float:
        """Value of f where the parameters stand; its gradient goes to `gradient`."""
        self.passes += 1
        self.gradient.zero_()
        total = torch.zeros((), dtype=torch.float64, device=self.gradient.device)
        for batch in self.batches:
            inputs, targets = placed(batch, self.gradient.device)
            with torch.enable_grad():
                share = mean_loss(self.loss, self.model(inputs), targets) * (len(targets) / self.examples)
            total += share.detach()
            self._add(share)
        return total.item()

    def differentiate(self, value: Tensor) -> Tensor:
        """Gradient `[n]` of `value`, computed from the parameters as they stand; it overwrites `gradient`."""
        self.gradient.zero_()
        self._add(value)
        return self.gradient

    def check_deterministic(self) -> None:
        """Take the loss of a few examples twice and compare, which finds what differs from one pass to the next.

        Raises:
            UsageError: Loss or gradient of the two differ.
        """
        inputs, targets = placed(sample(self.batches, PROBE) or self.batches[0], self.gradient.device)
        found = []
        for _ in range(2):
            with torch.enable_grad():
                outputs = self.model(inputs)
                check_loss(self.loss, outputs, targets)
                value = mean_loss(self.loss, outputs, targets)
            if value.ndim != 0:
                raise UsageError(
                    f"the loss must be one number a batch, got the shape {tuple(value.shape)}: take a mean."
                )
            if not value.requires_grad:
                raise UsageError(
                    "the loss does not depend on the parameters with requires_grad=True: forward may be under"
                    " torch.no_grad(), detach what it computes, or not use them. Give a model that a gradient goes"
                    " through."
                )
            found.append((value.item(), self.differentiate(value).clone()))
        (first, start), (second, again) = found
        size, gap = torch.linalg.vector_norm(start).item(), torch.linalg.vector_norm(start - again).item()
        if math.isfinite(first) and (abs(first - second) > 1e-4 * abs(first) or gap > 1e-2 * size):
            raise UsageError(
                f"the loss is not deterministic: twice the same examples gave {first:.9g} and {second:.9g}, gradients"
                f" {gap:.3g} apart (norm {size:.3g}). {DRAWS_NOTHING}"
            )

    def _add(self, value: Tensor) -> None:
        """Add the gradient of `value`. Not by `backward`: that would set `.grad` and run the hooks of DDP."""
        gradients = torch.autograd.grad(value, self.flat.parameters, allow_unused=True)
        if all(gradient is not None for gradient in gradients):
            torch._foreach_add_(self._pieces, gradients)
        else:
            used = [(piece, g) for piece, g in zip(self._pieces, gradients, strict=True) if g is not None]
            torch._foreach_add_([piece for piece, _ in used], [g for _, g in used])
