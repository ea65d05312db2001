"""The loss over a line or a plane through a solution: the pictures of Li et al. 2017 (arXiv:1712.09913)."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bsgap.errors import NotFinite, UsageError
from bsgap.measures.batches import DRAWS_NOTHING, Batches, Loss, examples_in, listed, placed, sample
from bsgap.measures.directions import Direction, checked
from bsgap.measures.evaluation import are_classes, check_loss, mean_loss
from bsgap.measures.folding import Weights
from bsgap.measures.modes import Statistics, device_of, evaluation_mode, measuring
from bsgap.measures.shortcuts import put, shortcuts
from bsgap.measures.vectors import PROBE

_HELD = 2**26  # weights held at once for the points of a pass: 256 MiB in float32
Point = tuple[float, float]


@dataclass(frozen=True)
class Surface:
    """What `surface` found.

    Attributes:
        alphas: Steps along the first direction.
        betas: Steps along the second; None for a line.
        losses: Split name -> mean loss at each of `alphas`; for a plane a list for each of `alphas`, with a loss for
            each of `betas` in it. What is not finite at a point is kept.
        accuracies: The same of the accuracy in [0, 1]; None where the targets are no classes.
        start_losses: Split name -> mean loss at the model's own weights.
        statistics: Source of the BatchNorm statistics.
        examples: Number of examples, over all splits.
        passes: How often the data were passed over.
    """

    alphas: tuple[float, ...]
    betas: tuple[float, ...] | None
    losses: dict[str, list[Any]]
    accuracies: dict[str, list[Any]]
    start_losses: dict[str, float]
    statistics: str
    examples: int
    passes: int

    def rows(self) -> list[dict[str, Any]]:
        """One row a point and split, with alpha, beta (for a plane), split, loss and accuracy: a tidy table."""
        found = []
        for split, losses in self.losses.items():
            for i, alpha in enumerate(self.alphas):
                at = {"alpha": alpha}
                if self.betas is None:
                    found.append({**at, "split": split, "loss": losses[i], "accuracy": self.accuracies[split][i]})
                    continue
                for j, beta in enumerate(self.betas):
                    values = {"loss": losses[i][j], "accuracy": self.accuracies[split][i][j]}
                    found.append({**at, "beta": beta, "split": split, **values})
        return found


def surface(
    model: nn.Module,
    batches: Iterable[Any] | Mapping[str, Iterable[Any]],
    directions: Direction | Sequence[Direction],
    alphas: Sequence[float],
    betas: Sequence[float] | None = None,
    *,
    statistics: Statistics = "running",
    loss: Loss = cross_entropy,
    at_once: int | None = None,
    device: torch.device | str | None = None,
) -> Surface:
    """Loss and accuracy at θ + α·d, or over the plane θ + α·d₁ + β·d₂, with θ the weights of `model`.

    Li et al. 2017 (arXiv:1712.09913), equation 1. A direction is any mapping from parameter names to tensors: one from
    `random_direction`, the `difference` of two solutions, an eigenvector of the Hessian. Losses are means over all
    examples, in float32 or better, without autocast, dropout off. The model is afterwards as it was.

    Each batch is read, and brought to the device, once for several points. On a processor, convolutional networks go
    through in the form that `bsgap.measures.shortcuts` describes; losses then differ from those of `evaluate` by the
    rounding of float32.

    Example:
        >>> model = torch.nn.Linear(1, 1, bias=False)
        >>> _ = model.weight.data.fill_(1.0)
        >>> data = torch.ones(4, 1), torch.ones(4, 1)  # the loss is (w - 1)²
        >>> line = {"weight": torch.ones(1, 1)}
        >>> surface(model, [data], line, [-1, 0, 2], loss=torch.nn.functional.mse_loss).losses
        {'train': [1.0, 0.0, 4.0]}

    Args:
        model: Any module that maps the inputs of a batch to outputs.
        batches: Pairs `(inputs, targets)`, examples along the first dimension; or split name -> such pairs. Without
            names the split is called `train`.
        directions: One or two.
        alphas: Steps along the first.
        betas: Steps along the second; None for those of `alphas`, where there is a second.
        statistics: Source of the BatchNorm statistics, see `bsgap.measures.Statistics`. `running` leaves the running
            averages where they are, as the authors' code does; `recomputed` averages over the first split at each
            point, which takes a pass more for each.
        loss: Mean loss of a batch from `(outputs, targets)`.
        at_once: Points in one pass over the data; None for as many as 256 MiB hold weights for, and one with
            `recomputed`.
        device: Where to compute; by default where the model is.

    Raises:
        UsageError: The grid is empty or not finite, a direction does not fit the model, the model has no trainable
            parameters or gives other outputs each time, its own loss is not finite, there is no batch, or an option is
            unknown.
    """
    chosen = _two(directions)
    grid = _steps("alphas", alphas), _second(chosen, alphas, betas)
    if at_once is not None and at_once < 1:
        raise UsageError(f"at_once must be at least 1 or None, got {at_once}.")
    names = batches if isinstance(batches, Mapping) else {"train": batches}
    if not names:
        raise UsageError("batches has no split: a surface needs at least one, such as {'train': batches}.")
    first, *others = names
    constant: Statistics = "running" if statistics == "recomputed" else statistics  # it is entered at each point
    with measuring(model, names[first], constant, device) as fixed:
        splits = {first: fixed, **{name: listed(names[name]) for name in others}}
        which = ["the direction"] if len(chosen) == 1 else ["the first direction", "the second direction"]
        line = [checked(model, direction, word) for direction, word in zip(chosen, which, strict=True)]
        plane = _Plane(model, line, splits, loss, statistics)
        points = [(a, b) for a, b in product(grid[0], grid[1] or (0.0,))]
        found = plane.evaluate(points, at_once)
    examples = sum(examples_in(split) for split in splits.values())
    losses, accuracies = (
        {name: _shaped([found[point][name][kind] for point in points], grid[1]) for name in splits} for kind in (0, 1)
    )
    starts = {name: found[0.0, 0.0][name][0] for name in splits}
    return Surface(*grid, losses, accuracies, starts, statistics, examples, plane.passes)


class _Plane:
    """The points of a line or a plane through the weights of a model that is in the mode of a measurement."""

    def __init__(
        self,
        model: nn.Module,
        directions: Sequence[Mapping[str, Tensor]],
        splits: Mapping[str, Batches],
        loss: Loss,
        statistics: Statistics,
    ) -> None:
        self.model, self.splits, self.loss, self.statistics = model, splits, loss, statistics
        self.start: Weights = [(parameter, parameter.data) for parameter in model.parameters()]
        moved = {name for direction in directions for name in direction}
        self.moving = [
            (parameter, parameter.data, [direction.get(name) for direction in directions])
            for name, parameter in model.named_parameters()
            if name in moved
        ]
        self.passes = 0
        self._first = next(iter(splits.values()))
        self.way = shortcuts(model, self._first, statistics)
        self._check_deterministic()

    @torch.no_grad()
    def _check_deterministic(self) -> None:
        """Take the loss of a few examples twice and compare.

        Raises:
            UsageError: They differ, or it is no loss of these outputs.
        """
        inputs, targets = placed(sample(self._first, PROBE) or self._first[0], device_of(self.model))
        outputs = self.model(inputs)
        check_loss(self.loss, outputs, targets)
        first = mean_loss(self.loss, outputs, targets)
        second = mean_loss(self.loss, self.model(inputs), targets)
        if first.isfinite().all() and not torch.allclose(first, second, rtol=1e-4, atol=1e-12):
            raise UsageError(
                f"the loss is not deterministic: twice the same examples gave {first.item():.9g} and"
                f" {second.item():.9g}. {DRAWS_NOTHING}"
            )

    @torch.no_grad()
    def evaluate(self, points: Sequence[Point], at_once: int | None) -> dict[Point, dict[str, Any]]:
        """Point -> split name -> (loss, accuracy), of `points` and of the start."""
        found = self._group([(0.0, 0.0)])
        for name, (value, _) in found[0.0, 0.0].items():
            if not math.isfinite(value):
                raise NotFinite(f"the loss on {name!r} is {value} at the model's own weights: there is no landscape.")
        left = [point for point in dict.fromkeys(points) if point not in found]
        size = sum(parameter.numel() for parameter, _ in self.start)
        share = 1 if self.statistics == "recomputed" else at_once or max(1, _HELD // size)
        for first in range(0, len(left), share):
            found |= self._group(left[first : first + share])
        return found

    def _group(self, points: Sequence[Point]) -> dict[Point, dict[str, Any]]:
        """The points of one pass; with recomputed statistics it is one point, and a pass more."""
        put(self._at(points[0]))
        with evaluation_mode(self.model, self.statistics, self._first), self.way.taken():
            sets = [self.way.weights(self._at(point)) for point in points]
            found = {name: self._pass(split, sets) for name, split in self.splits.items()}
        put(self.start)
        self.passes += 1 + (self.statistics == "recomputed")
        return {point: {name: found[name][index] for name in found} for index, point in enumerate(points)}

    def _pass(self, batches: Batches, sets: Sequence[Weights]) -> list[tuple[float, float | None]]:
        """Loss and accuracy over `batches` with each of these weights, in one pass."""
        device = device_of(self.model)
        totals = torch.zeros(len(sets), dtype=torch.float64, device=device)
        right = torch.zeros(len(sets), dtype=torch.int64, device=device)
        labels = 0
        for batch in batches:
            inputs, targets = placed(batch, device)
            inputs = self.way.inputs(inputs)
            for index, weights in enumerate(sets):
                put(weights)
                outputs = self.way.outputs(self.model, inputs)
                value = mean_loss(self.loss, outputs, targets)
                if value.ndim:
                    shape = tuple(value.shape)
                    raise UsageError(f"the loss must be one number a batch, got the shape {shape}: take a mean.")
                totals[index] += value.double() * len(targets)
                if are_classes(outputs, targets):
                    right[index] += (outputs.argmax(1) == targets).sum()
                    labels += targets.numel() if index == 0 else 0
        losses = (totals / examples_in(batches)).tolist()
        return [
            (value, count / labels if labels else None) for value, count in zip(losses, right.tolist(), strict=True)
        ]

    def _at(self, point: Point) -> Weights:
        """All parameters, as they are at θ + α·d₁ + β·d₂."""
        weights = {id(parameter): (parameter, value) for parameter, value in self.start}
        for parameter, value, directions in self.moving:
            for step, direction in zip(point, directions, strict=False):
                if step and direction is not None:
                    value = torch.add(value, direction.to(value.dtype), alpha=step)
            weights[id(parameter)] = parameter, value
        return list(weights.values())


def _two(directions: Direction | Sequence[Direction]) -> list[Direction]:
    found = [directions] if isinstance(directions, Mapping) else list(directions)
    if len(found) not in (1, 2):
        raise UsageError(
            f"directions must be one mapping from parameter names to tensors or two, got {len(found)}:"
            " random_direction(model) gives one."
        )
    return found


def _second(directions: Sequence[Direction], alphas: Sequence[float], betas: Any) -> tuple[float, ...] | None:
    if len(directions) == 2:
        return _steps("betas", alphas if betas is None else betas)
    if betas is not None:
        raise UsageError("betas are steps along a second direction, but directions has one: give two, or no betas.")
    return None


def _steps(name: str, values: Sequence[float]) -> tuple[float, ...]:
    try:
        found = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        raise UsageError(f"{name} must be a list of numbers, got {values!r}: linspace(-1, 1, 21), say.") from None
    if not found:
        raise UsageError(f"{name} is empty: a grid needs at least one point each way.")
    for value in found:
        if not math.isfinite(value):
            raise UsageError(f"{name} must be finite numbers, got {value}.")
    return found


def _shaped(values: list[Any], betas: tuple[float, ...] | None) -> list[Any]:
    """The values of the grid, point by point, as they stand in a result."""
    if betas is None:
        return values
    return [values[first : first + len(betas)] for first in range(0, len(values), len(betas))]
