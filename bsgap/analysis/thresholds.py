"""The loss level that counts as reached: the lower quartile of the losses that the largest batch went through.

Golmant et al. 2018, Fig. 3: "the lower quartile of loss values achieved by the largest batch size", which favours the
large batch, since lower levels are reached by small batches only. The paper does not say how often the loss was taken;
here it is that of every step from 1 to the last, so that log-spaced evaluation gives early steps no extra weight.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bsgap.analysis.curves import Curve, every_step, smooth
from bsgap.errors import UsageError

LOWER_QUARTILE = 0.25


@dataclass(frozen=True)
class Threshold:
    """A loss level and where it comes from.

    Attributes:
        value: The level ε, in nats.
        batch: Batch size whose losses it was taken from.
        rule: How it was taken, in words for a caption.
        fallback: Whether every run of a larger batch diverged, so that a smaller one had to serve.
    """

    value: float
    batch: int
    rule: str
    fallback: bool = False


def lower_quartile(curve: Curve) -> float:
    """The 25th percentile of the losses at steps 1, 2, ..., last.

    A loss that only falls reaches it after three quarters of the steps.

    Raises:
        UsageError: The curve diverged, or has no evaluation after the first step.

    >>> lower_quartile(Curve([1, 5], [3.0, 3.0]))
    3.0
    """
    return float(np.quantile(every_step(curve), LOWER_QUARTILE))


def threshold(curves: Mapping[int, Sequence[Curve]], *, quantile: float = LOWER_QUARTILE, window: int = 1) -> Threshold:
    """The level of a panel: a quantile of the losses of the largest batch, pooled over its runs that did not diverge.

    Where every run of the largest batch diverged, the next smaller batch serves, and the rule says so. To compare
    learning-rate rules at one level, give the curves of all of them at each batch size.

    Args:
        curves: Batch size -> curves of its runs: seeds, and learning-rate rules that share the level.
        quantile: Share of the losses that lie below the level, in (0, 1).
        window: Evaluations of the running median taken first; give `steps_to` the same.

    Raises:
        UsageError: No run is there or all diverged, or an option is out of range.

    >>> threshold({64: [Curve([1, 2], [1.0, 0.5])], 128: [Curve([1, 5], [3.0, 3.0])]}).value
    3.0
    """
    if not 0 < quantile < 1:
        raise UsageError(f"quantile must be between 0 and 1, got {quantile}. The lower quartile is 0.25.")
    lost: list[int] = []
    for batch in sorted(curves, reverse=True):
        kept = [smooth(curve, window) for curve in curves[batch] if not curve.diverged]
        if kept:
            pooled = np.concatenate([every_step(curve) for curve in kept])
            rule = _rule(quantile, batch, len(kept), len(curves[batch]) - len(kept), lost, window)
            return Threshold(float(np.quantile(pooled, quantile)), int(batch), rule, bool(lost))
        lost += [batch] if curves[batch] else []
    if lost:
        raise UsageError(
            f"no threshold: every run diverged, at batch sizes {', '.join(map(str, lost))}. Give runs at a lower rate."
        )
    raise UsageError("no threshold: no run was given.")


def _rule(quantile: float, batch: int, runs: int, diverged: int, lost: list[int], window: int) -> str:
    name = "lower quartile" if quantile == LOWER_QUARTILE else f"{100 * quantile:g} % quantile"
    pieces = [f"{name} of the losses at every step of batch {batch} ({runs} run{'s' if runs > 1 else ''}"]
    pieces += [f", {diverged} diverged left out"] if diverged else []
    pieces += [f", running median of {window} evaluations"] if window > 1 else []
    pieces += [")"]
    pieces += [f"; every run of batch {', '.join(map(str, lost))} diverged"] if lost else []
    return "".join(pieces)
