"""The regime adaptation of Hoffer et al.: as many updates with large batches as with small ones."""

import math
from collections.abc import Sequence
from typing import Any, TypeVar, overload

from bsgap.errors import UsageError
from bsgap.optim.decay import Decay

D = TypeVar("D", bound=Decay)


@overload
def adapt_regime(schedule: float, ratio: float) -> float: ...
@overload
def adapt_regime(schedule: Sequence[float], ratio: float) -> list[float]: ...
@overload
def adapt_regime(schedule: D, ratio: float) -> D: ...
def adapt_regime(schedule: Any, ratio: float) -> Any:
    """A schedule in which every number of epochs is `ratio` times what it was.

    An epoch at batch size B_L has B_S/B_L times the updates of one at B_S. With ratio B_L/B_S a training therefore
    takes as many updates as before, and each change of its rate comes after as many (Hoffer, Hubara, Soudry 2017,
    arXiv:1705.08741, section 5). Adapt all that counts epochs: the length of the training, the milestones, a warm-up.

    >>> from bsgap.optim import StepDecay
    >>> ratio = 4096 / 128
    >>> adapt_regime(StepDecay([81, 122, 164]), ratio).milestones
    (2592.0, 3904.0, 5248.0)
    >>> adapt_regime(200, ratio), adapt_regime([81, 122], ratio), adapt_regime(2.5, ratio)
    (6400, [2592, 3904], 80.0)

    Args:
        schedule: A number of epochs, several of them, or a decay. A whole number stays one where its multiple is whole,
            as `max_epochs` must be; where it is not, the authors' code rounds up.
        ratio: B_L/B_S, above 0.

    Raises:
        UsageError: `ratio` is not positive, or a number of epochs is negative.
    """
    if not 0 < ratio < math.inf:
        raise UsageError(f"ratio must be above 0, got {ratio}.")
    if isinstance(schedule, int | float):
        if schedule < 0:
            raise UsageError(f"a number of epochs must be 0 or more, got {schedule}.")
        epochs = schedule * ratio
        return int(epochs) if isinstance(schedule, int) and epochs == int(epochs) else epochs
    if isinstance(schedule, Sequence):
        return [adapt_regime(epochs, ratio) for epochs in schedule]
    return schedule.stretched(ratio)
