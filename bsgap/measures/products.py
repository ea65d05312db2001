"""Products of a vector with the curvature of the mean loss over a data set: its Hessian, or its Gauss-Newton matrix.

Neither matrix is ever formed: a product costs one pass over the data and a few vectors of the size of the model.
Pearlmutter 1994 has the Hessian's, Schraudolph 2002 the Gauss-Newton matrix's.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction
from torch.nn.attention import SDPBackend, sdpa_kernel

from bsgap.errors import NotFinite, UsageError
from bsgap.measures.batches import Batches, Loss, placed
from bsgap.measures.evaluation import mean_loss
from bsgap.measures.modes import Statistics, measuring
from bsgap.measures.vectors import MeanLoss

Matrix = Literal["hessian", "gauss-newton"]
"""Which curvature, of the mean loss L over all examples with respect to the trainable parameters w.

- `hessian`: H = ∇²L(w).
- `gauss-newton`: G = Σ_b (k_b/N)·J_bᵀ·(∇²_z loss_b)·J_b, with z the outputs of a batch and J_b = ∂z/∂w. It is H without
  the curvature of the network itself, and has no negative eigenvalue where the loss is convex in the outputs, as
  cross-entropy and squared errors are.
"""

Product = Callable[[Tensor], Tensor]
"""A symmetric matrix `[n, n]` as a function from vectors `[n]` to vectors `[n]`."""

ONCE_ONLY = (
    "an operation of the network or the loss cannot be differentiated twice: {}. Replace it by one that can, such as"
    " its composition of elementary operations."
)


class Curvature:
    """v ↦ M·v, with M the Hessian or Gauss-Newton matrix of the mean loss over all examples, where the model stands.

    Examples count alike, whatever the batches: each batch has the weight k_b/N. A parameter that is shared counts once,
    frozen ones not at all. To be had from `curvature`, which puts the model into the mode of a measurement.

    Attributes:
        mean: The mean loss, with the parameters as one vector.
        size: n, the number of trainable parameters.
        dtype: Of the vectors that come out: the parameters' own, or float64 on request.
        products: How many have been taken, each one pass over the data.
        loss: The mean loss, known after the first product.
    """

    def __init__(self, model: nn.Module, batches: Batches, loss: Loss, matrix: Matrix, double: bool) -> None:
        self.mean = MeanLoss(model, batches, loss)
        self.size = self.mean.flat.vector.numel()
        self.device = self.mean.flat.vector.device
        self.dtype = torch.float64 if double else self.mean.flat.vector.dtype
        self.products = 0
        self.loss = math.nan
        self._checked = False
        self._of_batch = self._hessian if matrix == "hessian" else self._gauss_newton

    def __call__(self, vector: Tensor) -> Tensor:
        """M·`vector` `[n]`, a new tensor.

        Raises:
            NotFinite: The loss or the product is not finite.
            UsageError: The network cannot be differentiated twice.
        """
        mean = self.mean
        total = torch.zeros(self.size, dtype=self.dtype, device=self.device)
        sums = mean.flat.views(total)
        parameters = mean.flat.parameters
        along = [piece.to(p.dtype) for piece, p in zip(mean.flat.views(vector), parameters, strict=True)]
        value = torch.zeros((), dtype=torch.float64, device=self.device)
        with torch.enable_grad():
            for batch in mean.batches:
                inputs, targets = placed(batch, self.device)
                weight = len(targets) / mean.examples
                share, pieces = self._of_batch(inputs, targets, weight, along)
                value += share.detach()
                self._checked = True
                for target, piece in zip(sums, pieces, strict=True):
                    if piece is not None:
                        target.add_(piece.detach())
        self.products += 1
        self.loss = value.item()
        if not math.isfinite(self.loss):
            raise NotFinite(f"the loss is {self.loss} at the start: curvature needs a model with a finite loss.")
        if not torch.isfinite(total).all():
            raise NotFinite(
                f"the curvature is not finite although the loss, {self.loss:.6g}, is: an operation of the model or the"
                " loss has no second derivative where the weights stand (√x at 0, for example)."
            )
        return total

    def _hessian(
        self, inputs: Any, targets: Tensor, weight: float, along: Sequence[Tensor]
    ) -> tuple[Tensor, Sequence[Tensor | None]]:
        """Share of a batch in the loss and, for each parameter, in H·v: the gradient of ⟨∇L, v⟩."""
        parameters = self.mean.flat.parameters
        share = mean_loss(self.mean.loss, self.mean.model(inputs), targets) * weight
        return share, _derivatives(self._first([share], parameters), parameters, along)

    def _gauss_newton(
        self, inputs: Any, targets: Tensor, weight: float, along: Sequence[Tensor]
    ) -> tuple[Tensor, Sequence[Tensor | None]]:
        """Share of a batch in the loss and in G·v = Jᵀ(∇²_z loss)(J·v)."""
        parameters = self.mean.flat.parameters
        outputs, rebuilt = _leaves(self.mean.model(inputs))
        # J·v by two backward passes: Jᵀu is linear in u, and its derivative along v with respect to u is J·v.
        probes = [torch.zeros_like(z, requires_grad=True) for z in outputs]
        moved = _derivatives(self._first(outputs, parameters, probes), probes, along)
        cut = [z.detach().requires_grad_() for z in outputs]
        share = mean_loss(self.mean.loss, rebuilt(cut), targets) * weight
        bent = _derivatives(
            self._first([share], cut),
            cut,
            [torch.zeros_like(z) if piece is None else piece.detach() for z, piece in zip(cut, moved, strict=True)],
        )
        return share, _derivatives(outputs, parameters, bent)

    def _first(
        self, values: Sequence[Tensor], by: Sequence[Tensor], along: Sequence[Tensor] | None = None
    ) -> Sequence[Tensor | None]:
        """First derivatives to be differentiated again, of the first batch checked that this can be done."""
        if along is None:  # a factor that needs a gradient: else a linear loss would let the check find nothing
            along = [torch.ones_like(value, requires_grad=True) for value in values]
        found = _derivatives(values, by, along, graph=True)
        if not self._checked:
            _check_graph([*values, *found])
        return found


@contextmanager
def curvature(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    loss: Loss,
    statistics: Statistics = "running",
    matrix: Matrix = "hessian",
    double: bool = False,
) -> Iterator[Curvature]:
    """Products with the curvature of `model`'s mean loss over `batches`, in float32 or better; `model` is untouched.

    cuDNN is off where the network is recurrent, as its LSTM has no second derivative, and attention is computed by
    elementary operations, as its fused kernels have none either.

    Args:
        model: Any module whose operations can be differentiated twice.
        batches: Pairs `(inputs, targets)`, examples along the first dimension.
        loss: Mean loss of a batch from `(outputs, targets)`.
        statistics: Source of the BatchNorm statistics, see `bsgap.measures.Statistics`.
        matrix: Which curvature, see `Matrix`.
        double: Sum over the batches in float64, and give float64 vectors, also where the model is in float32.

    Raises:
        UsageError: `matrix` or `statistics` is unknown, the batches are empty or no pairs, no parameter is trainable,
            or the loss is not deterministic; within, what `Curvature` raises.
    """
    if matrix not in get_args(Matrix):
        raise UsageError(f"matrix must be one of {', '.join(get_args(Matrix))}, got {matrix!r}.")
    with measuring(model, batches, statistics) as fixed, ExitStack() as stack:
        if any(isinstance(module, nn.RNNBase) for module in model.modules()):
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        found = Curvature(model, fixed, loss, matrix, double)
        found.mean.check_deterministic()
        yield found


def _derivatives(
    values: Sequence[Tensor | None], by: Sequence[Tensor], along: Sequence[Tensor | None], graph: bool = False
) -> Sequence[Tensor | None]:
    """Gradient of Σ ⟨values, along⟩ with respect to each of `by`; None where it is 0."""
    used = [
        (value, weight.to(value.dtype))
        for value, weight in zip(values, along, strict=True)
        if value is not None and value.requires_grad and weight is not None
    ]
    if not used:
        return [None] * len(by)
    try:
        found: Sequence[Tensor | None] = torch.autograd.grad(
            [value for value, _ in used],
            by,
            [weight for _, weight in used],
            create_graph=graph,
            allow_unused=True,
        )
    except RuntimeError as error:
        if "not implemented" in str(error):
            raise UsageError(ONCE_ONLY.format(str(error).strip().split("\n")[0].rstrip("."))) from None
        raise
    return found


def _check_graph(tensors: Sequence[Tensor | None]) -> None:
    """Refuse functions marked with `once_differentiable` in the graph of values and their first derivatives.

    Their derivatives hang on a node that raises when it is reached. But they also hang on nothing else, so that
    `torch.autograd.grad`, which goes only where parameters are, does not reach it and silently leaves a term out.
    """
    waiting = [tensor.grad_fn for tensor in tensors if tensor is not None and tensor.grad_fn is not None]
    seen = set(waiting)
    while waiting:
        for node, _ in waiting.pop().next_functions:
            if node is not None and node not in seen:
                seen.add(node)
                waiting.append(node)
    if any(type(node).__name__ == "Error" for node in seen):
        own = [node._forward_cls for node in seen if isinstance(node, BackwardCFunction)]  # type: ignore[attr-defined]
        names = sorted({kind.__name__ for kind in own if hasattr(kind.backward, "__wrapped__")})
        raise UsageError(ONCE_ONLY.format(", ".join(names or ["a function"]) + " is marked with @once_differentiable"))


def _leaves(outputs: Any) -> tuple[list[Tensor], Callable[[Sequence[Tensor]], Any]]:
    """The tensors among `outputs` that depend on parameters, and how the outputs are put together of such tensors."""
    found: list[Tensor] = []

    def collect(value: Any) -> None:
        if isinstance(value, Tensor):
            if value.requires_grad:
                found.append(value)
        elif isinstance(value, dict | list | tuple):
            for item in value.values() if isinstance(value, dict) else value:
                collect(item)

    def rebuild(value: Any, new: Iterator[Tensor]) -> Any:
        if isinstance(value, Tensor):
            return next(new) if value.requires_grad else value
        if isinstance(value, dict):
            return {key: rebuild(item, new) for key, item in value.items()}
        if isinstance(value, list | tuple):
            items = [rebuild(item, new) for item in value]
            return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
        return value

    collect(outputs)
    return found, lambda new: rebuild(outputs, iter(new))
