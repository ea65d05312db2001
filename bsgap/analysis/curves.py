"""Loss curves and the step at which they reach a level, k_ε: the fewest steps to a training loss of ε or less.

Between two evaluations the loss is taken as linear in the logarithm of the step, which is how a loss curve bends, so
curves that were evaluated at log-spaced steps and at every step give nearly the same k_ε. Only the stretch that starts
before the first step (step 0) is linear in the step itself.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bsgap.errors import UsageError


@dataclass(frozen=True, init=False, eq=False)
class Curve:
    """The loss of one run at the steps where it was evaluated.

    Args:
        steps: Optimizer steps, whole, not negative and increasing, shape `(n,)`; 0 is before the first step.
        losses: Losses at `steps`, in nats, shape `(n,)`. From the first one that is not finite on, the run has
            diverged, whatever follows.
        diverged: Whether the run was ended as diverged although its last loss is still a number, as a loss that
            explodes is.

    Attributes:
        steps: The steps.
        losses: The losses.
        diverged: Whether the run diverged.

    Raises:
        UsageError: No point, unequal lengths, or steps that are not as above.

    >>> Curve([0, 1, 2], [2.3, 1.9, float("nan")]).diverged
    True
    """

    steps: NDArray[np.int64]
    losses: NDArray[np.float64]
    diverged: bool

    def __init__(self, steps: ArrayLike, losses: ArrayLike, *, diverged: bool = False):
        at, values = np.array(steps, dtype=np.float64), np.array(losses, dtype=np.float64)
        if at.ndim != 1 or at.shape != values.shape or not at.size:
            raise UsageError(f"a curve needs one loss for each step, got shapes {at.shape} and {values.shape}.")
        if not np.isfinite(at).all() or (at < 0).any() or (at != np.floor(at)).any():
            raise UsageError("steps of a curve must be whole numbers of optimizer steps, 0 or more.")
        if (falls := np.flatnonzero(np.diff(at) <= 0)).size:
            raise UsageError(
                f"steps of a curve must increase, got {at[falls[0]]:g} and then {at[falls[0] + 1]:g}."
                " Give the rows of one run and one metric, in order."
            )
        whole = at.astype(np.int64)
        whole.flags.writeable = values.flags.writeable = False
        object.__setattr__(self, "steps", whole)
        object.__setattr__(self, "losses", values)
        object.__setattr__(self, "diverged", bool(diverged or not np.isfinite(values).all()))

    @property
    def finite(self) -> int:
        """Number of evaluations before the first one that is not finite."""
        broken = np.flatnonzero(~np.isfinite(self.losses))
        return int(broken[0]) if broken.size else len(self.losses)


@dataclass(frozen=True)
class Crossing:
    """Where a curve first reached a threshold, or that it did not.

    Attributes:
        step: Steps to the threshold, k_ε, interpolated; None when the curve stayed above it.
        last_step: Step of the last finite evaluation. A run that never reached the threshold is censored there:
            k_ε > last_step, or no k_ε at all if it diverged.
        threshold: The level ε, in nats.
        diverged: Whether the run diverged, before or after.
    """

    step: float | None
    last_step: int
    threshold: float
    diverged: bool = False

    @property
    def reached(self) -> bool:
        """Whether the threshold was reached."""
        return self.step is not None


def smooth(curve: Curve, window: int = 3) -> Curve:
    """Running median of the losses over `window` evaluations, centred; at both ends the window shrinks evenly.

    What comes after divergence stays as it is. A median keeps a falling curve where it is, and drops a single spike.

    Args:
        curve: The curve.
        window: Evaluations in the window, odd; 1 leaves the curve as it is.

    Raises:
        UsageError: The window is even or below 1.

    >>> smooth(Curve([1, 2, 3, 4], [4.0, 1.0, 3.0, 2.0])).losses.tolist()
    [4.0, 3.0, 2.0, 2.0]
    """
    if window < 1 or window % 2 == 0:
        raise UsageError(f"window must be an odd number of evaluations, 1 or more, got {window}.")
    losses, end = curve.losses.copy(), curve.finite
    for i in range(end):
        half = min(window // 2, i, end - 1 - i)
        losses[i] = np.median(curve.losses[i - half : i + half + 1])
    return Curve(curve.steps, losses, diverged=curve.diverged)


def steps_to(curve: Curve, threshold: float, *, window: int = 1) -> Crossing:
    """Steps to the first loss at or below a threshold, k_ε, by linear interpolation of the loss in log step.

    A curve that begins at or below the threshold has reached it by its first evaluation, and that step is given.

    Args:
        curve: The curve of one run.
        threshold: The level ε, in nats.
        window: Evaluations of the running median taken first; 1 takes the curve as it is.

    Raises:
        UsageError: The threshold is not finite, or the window is even or below 1.

    >>> steps_to(Curve([0, 1, 4], [3.0, 2.0, 1.0]), 1.5).step
    2.0
    """
    if not math.isfinite(threshold):
        raise UsageError(f"threshold must be a finite loss, got {threshold}.")
    losses = smooth(curve, window).losses[: curve.finite]
    last = int(curve.steps[len(losses) - 1]) if len(losses) else 0
    below = np.flatnonzero(losses <= threshold)
    if not below.size:
        return Crossing(None, last, float(threshold), curve.diverged)
    at = int(below[0])
    step = float(curve.steps[at])
    if at > 0:
        before = float(curve.steps[at - 1])
        share = float((losses[at - 1] - threshold) / (losses[at - 1] - losses[at]))
        step = before ** (1 - share) * step**share if before > 0 else share * step
    return Crossing(step, last, float(threshold), curve.diverged)


def every_step(curve: Curve) -> NDArray[np.float64]:
    """The loss at every step from the first evaluated one (1 at the earliest) to the last, interpolated as k_ε is.

    Args:
        curve: A curve that did not diverge, shape `(n,)`.

    Returns:
        Losses, shape `(last - first + 1,)`.

    Raises:
        UsageError: The curve diverged, or has no evaluation after the first step.
    """
    if curve.diverged:
        raise UsageError("a curve that diverged has no loss at every step: give the curves of the other runs.")
    last = int(curve.steps[-1])
    if last < 1:
        raise UsageError("a curve needs an evaluation at step 1 or later, got one at step 0 alone.")
    from_zero = curve.steps[0] == 0
    at = np.arange(1 if from_zero else curve.steps[0], last + 1)
    steps, losses = curve.steps[int(from_zero) :], curve.losses[int(from_zero) :]
    found = np.interp(np.log(at), np.log(steps), losses)
    if from_zero:
        early = at < steps[0]
        found[early] = np.interp(at[early], [0, steps[0]], [curve.losses[0], losses[0]])
    return found
