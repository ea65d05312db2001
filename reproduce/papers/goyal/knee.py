"""The knee of a curve of error against batch size, by a rule that is stated before anything runs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from bsgap.analysis import Interval
from reproduce.arms import compared


@dataclass(frozen=True)
class Step:
    """One batch size beside the base.

    Attributes:
        batch: The batch size.
        above: Seed-paired interval of its error minus the base's, in points; None without a common seed.
        level: Whether the mean difference is at most the tolerance, and so is that of all smaller ones from the base.
    """

    batch: int
    above: Interval | None
    level: bool


@dataclass(frozen=True)
class Knee:
    """Where the error leaves that of the base batch size.

    Attributes:
        batch: The largest batch size that is level by the mean; of a curve without a knee the largest that was run.
        found: Whether a larger one is not level.
        shown: The largest batch size up to which every interval lies below the tolerance: shown to be level.
        beyond: The smallest batch size whose interval lies above the tolerance: shown not to be; None where none does.
        steps: Every batch size from the base on, ascending.
        tolerance: Points of error that count as level.
    """

    batch: int
    found: bool
    shown: int
    beyond: int | None
    steps: tuple[Step, ...]
    tolerance: float

    def words(self) -> str:
        """The knee and what the intervals say of it."""
        points = f"{self.tolerance:g} point{'s' if self.tolerance != 1 else ''}"
        base, following = self.steps[0].batch, self.steps[1].batch
        if self.batch == base:
            text = f"knee: at the base, {base}, or below, as the mean error at {following} is not within {points} of it"
        elif self.found:
            text = f"knee: {self.batch}, the last batch size whose mean error stays within {points} of the base's"
        else:
            text = f"no knee up to {self.batch}: the mean error stays within {points} of the base's"
        shown = f"up to {self.shown}" if self.shown != base else f"nowhere beyond {base}"
        text += f"; by the intervals level {shown}"
        return text + (f", not level at {self.beyond}" if self.beyond else ", and nowhere shown not to be")


def knee(errors: Mapping[int, Mapping[int, float]], base: int, tolerance: float) -> Knee | None:
    """Find the knee.

    A batch size is level with the base where the mean over seeds of its error minus the base's is at most `tolerance`
    and every smaller one from the base on is level too. One of which a run diverged is not level. Means decide, as the
    intervals of three seeds are wide; what the intervals by themselves show stands beside.

    Args:
        errors: Batch size -> seed -> error in per cent, NaN where the run diverged. Sizes below the base are ignored.
        base: The base batch size.
        tolerance: Points of error.

    Returns:
        None where the base has not been run, or nothing beside it.
    """
    sizes = sorted(batch for batch, values in errors.items() if batch >= base and values)
    if base not in sizes or len(sizes) < 2:
        return None
    steps, level = [], True
    shown, still, beyond = base, True, None
    for batch in sizes:
        above = compared(errors[batch], errors[base])
        whole = all(math.isfinite(value) for value in errors[batch].values())
        level = level and whole and above is not None and above.n > 0 and above.estimate <= tolerance
        steps.append(Step(batch, above, level))
        if batch == base:
            continue
        bounded = above is not None and above.n > 1 and not above.excluded
        still = still and above is not None and bounded and above.high < tolerance
        shown = batch if still else shown
        if beyond is None and above is not None and bounded and above.low > tolerance:
            beyond = batch
    last = max(step.batch for step in steps if step.level)
    return Knee(last, last != sizes[-1], shown, beyond, tuple(steps), tolerance)
