"""Sharpness in a ball around the weights: how far the loss rises at worst, or on average.

The worst case is what SAM minimises (Foret et al., arXiv:2010.01412), its adaptive variant what ASAM does (Kwon et al.,
arXiv:2102.11600); Andriushchenko et al. (arXiv:2302.07011) compare them with the average case.
"""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bsgap.errors import NotFinite, UsageError
from bsgap.measures.batches import Loss
from bsgap.measures.evaluation import evaluate_as_is
from bsgap.measures.modes import Statistics, measuring
from bsgap.measures.vectors import MeanLoss
from bsgap.seeding import generator

Norm = Literal["l2", "linf"]
"""Shape of the ball: ‖δ‖₂ <= ρ, or the box |δ_i| <= ρ."""

Kind = Literal["worst", "average"]
"""The largest rise of the loss in the ball, or its mean over random points.

- `worst`: max over ‖δ‖ <= ρ of L(w + Tδ) - L(w).
- `average`: E L(w + Tδ) - L(w), for `l2` with δ ~ N(0, σ²I), σ = ρ/√n, so that E‖δ‖² = ρ²; for `linf` with δ uniform in
  the box. For small ρ the first is σ²/2·tr(H), the second ρ²/6·tr(H) (both with T = I).
"""


LONGEST = 16.0  # stride in units of ρ; a longer step ends, back in the ball, next to where this one does


@dataclass(frozen=True)
class BallSharpness:
    """What `ball_sharpness` found, and how.

    Attributes:
        value: The rise of the loss, found_loss - start_loss, in units of the loss (nats for cross-entropy).
        start_loss: L(w), the mean loss over all examples.
        found_loss: The largest loss seen in the ball, a lower bound of the maximum; the mean over the samples for the
            average case.
        standard_error: Of the mean over the samples; None in the worst case.
        reach: ‖δ‖ where the largest loss was seen; None in the average case.
        rho: ρ, the radius of the ball.
        sigma: σ = ρ/√n of the Gaussian samples; None elsewhere.
        norm: `l2` or `linf`.
        kind: `worst` or `average`.
        adaptive: Whether T = |w| + η; else T = 1.
        eta: η.
        steps: Ascent steps; None in the average case.
        samples: Random points; None in the worst case.
        passes: Passes over the data, the one at the start included: with gradient in the worst case, without in the
            average case.
        seed: Seed of what is random.
        parameters: n, the number of trainable parameters.
        statistics: Source of the BatchNorm statistics.
        examples: Number of examples.
        seconds: Wall-clock time.
    """

    value: float
    start_loss: float
    found_loss: float
    standard_error: float | None
    reach: float | None
    rho: float
    sigma: float | None
    norm: str
    kind: str
    adaptive: bool
    eta: float
    steps: int | None
    samples: int | None
    passes: int
    seed: int
    parameters: int
    statistics: str
    examples: int
    seconds: float


def ball_sharpness(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    rho: float,
    norm: Norm = "l2",
    adaptive: bool = False,
    eta: float = 0.0,
    kind: Kind = "worst",
    steps: int = 20,
    samples: int = 20,
    loss: Loss = cross_entropy,
    statistics: Statistics = "running",
    seed: int = 0,
) -> BallSharpness:
    """By how much the mean loss L over `batches` rises in the ball {w + Tδ : ‖δ‖ <= ρ} around the weights.

    In the worst case δ climbs by projected gradient ascent. The first step is SAM's: δ = ρ·Tg/‖Tg‖₂, in the box
    ρ·sign(g), with g the gradient at w, so `steps=1` gives what SAM sees of the whole data as one batch. Each further
    step goes from the best point along the gradient there, normalised to ρ (its sign in the box), and back into the
    ball. The second is so long that it ends close to where a tangent would have its maximum; a step that does not climb
    is taken back, and the next is a quarter as long. The largest loss seen counts, δ = 0 included, so more steps never
    give less. Ten are mostly enough; as every ascent this one may end at a local maximum.

    T = 1, or with `adaptive` T = |w| + η elementwise: for η = 0 the measure does not change when the weights of one
    layer are scaled up and those of another down to the same network. A weight of 0 then stays; ASAM's own η is 0.01.

    The loss is the mean over all examples, whatever the batches; float32 or better, no autocast, dropout off. The model
    and the random state are afterwards as they were, also after an error. With `recomputed`, the BatchNorm statistics
    are those at w, over the whole ball. Memory: about 8 vectors of the size of the model.

    Example:
        >>> model = nn.Linear(2, 1, bias=False)
        >>> _ = model.weight.data.copy_(torch.tensor([[3.0, 4.0]]))
        >>> data = torch.ones(1, 2), torch.zeros(1, 1)  # a loss that is linear in w: L = 3 + 4
        >>> found = ball_sharpness(model, [data], rho=0.1, loss=lambda outputs, _: outputs.mean())
        >>> round(found.value, 6), round(0.1 * 2**0.5, 6)  # ρ‖g‖
        (0.141421, 0.141421)

    Args:
        model: Any module; parameters with `requires_grad=False` stay, tied ones move together.
        batches: Pairs `(inputs, targets)`, examples along the first dimension. A list fixes what is measured; a
            DataLoader is read once, and its random augmentation becomes part of the data.
        rho: ρ, the radius of the ball.
        norm: `l2`, or `linf` for a box.
        adaptive: Let the ball follow the size of the weights, T = |w| + η.
        eta: η, for `adaptive` only.
        kind: `worst` or `average`, see `bsgap.measures.ball.Kind`.
        steps: Ascent steps of the worst case, each a pass with gradient.
        samples: Random points of the average case, each a pass without gradient; at least 2.
        loss: Mean loss of a batch from `(outputs, targets)`.
        statistics: Source of the BatchNorm statistics, see `bsgap.measures.Statistics`.
        seed: Seed of the samples, and of the direction in which an ascent starts where the gradient is 0.

    Raises:
        UsageError: An option is out of range, the batches are empty or no pairs, the model has no trainable parameter,
            or the loss is not finite or not deterministic at w.
    """
    started = time.perf_counter()
    _check_options(rho, norm, adaptive, eta, kind, steps, samples)
    worst = kind == "worst"
    with measuring(model, batches, statistics) as fixed:
        mean = MeanLoss(model, fixed, loss)
        mean.check_deterministic()
        ball = _Ball(mean.flat.vector, rho, norm, adaptive, eta)
        if worst:
            start, found, reach = _ascend(mean, ball, steps, generator(seed, "ascent"))
            error = None
        else:
            losses = _sampled(lambda: evaluate_as_is(model, fixed, loss).loss, ball, samples, generator(seed, "ball"))
            start, *others = losses
            rises = torch.tensor(others, dtype=torch.float64) - start
            found, reach = start + rises.mean().item(), None
            error = (rises.std() / math.sqrt(samples)).item()
    return BallSharpness(
        value=found - start,
        start_loss=start,
        found_loss=found,
        standard_error=error,
        reach=reach,
        rho=rho,
        sigma=None if worst or norm == "linf" else ball.sigma,
        norm=norm,
        kind=kind,
        adaptive=adaptive,
        eta=eta,
        steps=steps if worst else None,
        samples=None if worst else samples,
        passes=mean.passes if worst else len(losses),
        seed=seed,
        parameters=mean.flat.vector.numel(),
        statistics=statistics,
        examples=mean.examples,
        seconds=time.perf_counter() - started,
    )


class _Ball:
    """The ball in coordinates δ, in which it is round (or a cube): w + Tδ with ‖δ‖ <= ρ."""

    def __init__(self, vector: Tensor, rho: float, norm: str, adaptive: bool, eta: float) -> None:
        self.vector, self.center = vector, vector.clone()
        self.rho, self.norm = rho, norm
        self.scale = vector.abs() + eta if adaptive else None
        self.sigma = rho / math.sqrt(vector.numel())

    def place(self, point: Tensor) -> None:
        """Move the parameters to w + T·`point`."""
        torch.add(self.center, point if self.scale is None else self.scale * point, out=self.vector)

    def pull(self, gradient: Tensor) -> Tensor:
        """The gradient with respect to δ, a new tensor."""
        return gradient.clone() if self.scale is None else gradient * self.scale

    def length(self, point: Tensor) -> float:
        """‖point‖ in the norm of the ball."""
        return torch.linalg.vector_norm(point, ord=2 if self.norm == "l2" else math.inf).item()

    def uphill(self, gradient: Tensor) -> Tensor:
        """The δ of length ρ that climbs most along `gradient`; 0 where that is 0."""
        if self.norm == "linf":
            return self.rho * gradient.sign()
        return gradient * (self.rho / max(self.length(gradient), torch.finfo(gradient.dtype).tiny))

    def projected(self, point: Tensor) -> Tensor:
        """The nearest point of the ball."""
        if self.norm == "linf":
            return point.clamp(-self.rho, self.rho)
        return point * min(1.0, self.rho / max(self.length(point), torch.finfo(point.dtype).tiny))

    def sample(self, draws: torch.Generator) -> Tensor:
        """A random δ, the same on every device."""
        if self.norm == "linf":
            drawn = (2 * torch.rand(self.vector.numel(), generator=draws) - 1) * self.rho
        else:
            drawn = torch.randn(self.vector.numel(), generator=draws) * self.sigma
        return drawn.to(self.vector)


def _ascend(mean: MeanLoss, ball: _Ball, steps: int, draws: torch.Generator) -> tuple[float, float, float]:
    """Loss at the start, the largest one seen, and the length of δ there."""
    start = found = mean()
    if not math.isfinite(start):
        raise NotFinite(f"the loss is {start} at the start: sharpness needs a model with a finite loss.")
    best, gradient = torch.zeros_like(ball.center), ball.pull(mean.gradient)
    stationary = not gradient.any()
    stride = 1.0  # in units of ρ
    for _ in range(steps):
        if stationary:  # without a gradient to follow, one direction after another is tried
            gradient, stride = ball.sample(draws), 1.0
        point = ball.projected(best + stride * ball.uphill(gradient))
        ball.place(point)
        value = mean()
        if value > found and math.isfinite(value):
            best, found, gradient, stationary = point, value, ball.pull(mean.gradient), False
            stride = min(LONGEST * stride, LONGEST)
        else:
            stride /= 4
    return start, found, ball.length(best)


def _sampled(evaluate: Callable[[], float], ball: _Ball, samples: int, draws: torch.Generator) -> list[float]:
    """Loss at the start and at each of the samples."""
    losses = [evaluate()]
    if not math.isfinite(losses[0]):
        raise NotFinite(f"the loss is {losses[0]} at the start: sharpness needs a model with a finite loss.")
    for _ in range(samples):
        ball.place(ball.sample(draws))
        losses.append(evaluate())
    return losses


def _check_options(rho: float, norm: str, adaptive: bool, eta: float, kind: str, steps: int, samples: int) -> None:
    if not (rho > 0 and math.isfinite(rho)):
        raise UsageError(f"rho must be positive and finite, got {rho}.")
    if norm not in get_args(Norm):
        raise UsageError(f"norm must be one of {', '.join(get_args(Norm))}, got {norm!r}.")
    if kind not in get_args(Kind):
        raise UsageError(f"kind must be one of {', '.join(get_args(Kind))}, got {kind!r}.")
    if not (eta >= 0 and math.isfinite(eta)):
        raise UsageError(f"eta must be 0 or positive, got {eta}.")
    if eta and not adaptive:
        raise UsageError(f"eta belongs to adaptive: expected 0 without it, got {eta}.")
    if steps < 1:
        raise UsageError(f"steps must be at least 1, got {steps}.")
    if samples < 2:
        raise UsageError(f"samples must be at least 2, for a standard error, got {samples}.")
