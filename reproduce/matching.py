"""At which training loss runs are compared that end at different ones: one of those below which they kept weights."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from reproduce.results import Results
from reproduce.study import Trial

_PREFIX = "loss-"


@dataclass(frozen=True)
class Match:
    """Where several runs have nearly one training loss.

    Attributes:
        weights: Name of the weights that each run kept when its loss first fell below the level, `loss-0.5`.
        level: That level, in nats.
        low: The lowest loss that one of them really had there: it is looked at a few times an epoch.
        high: The highest.
    """

    weights: str
    level: float
    low: float
    high: float


def match(results: Results, groups: Sequence[Sequence[Trial]]) -> Match | None:
    """Of the levels that all runs have passed, that at which their losses lie closest; None without a common one.

    Closest is the least ratio of the highest loss to the lowest; of equals it is the lowest level. A run that learns
    much between two looks is far below a level when it is first seen there, so the lowest common level can compare
    quite unequal losses.

    Args:
        results: What has been run.
        groups: The runs that are compared, a group a seed; groups of which a run is missing do not count yet.
    """
    whole = [group for group in groups if all(results.run(run) is not None for run in group)]
    kept = [results.kept(run) for group in whole for run in group]
    if not kept:
        return None
    found = []
    for name in set.intersection(*(set(names) for names in kept)):
        if name.startswith(_PREFIX):
            level = float(name.removeprefix(_PREFIX))
            losses = [float(names[name].get("loss", level)) for names in kept]
            found.append(Match(name, level, min(losses), max(losses)))
    return min(found, key=lambda each: (_apart(each), each.level), default=None)


def words(matches: Sequence[Match]) -> str:
    """For a footer: the losses that are compared, of one network or several.

    >>> words([Match("loss-1.0", 1.0, 0.912, 0.99), Match("loss-0.5", 0.5, 0.42, 0.5)])
    'matched loss: 0.91 to 0.99 and 0.42 to 0.50 nats'
    """
    ranges = dict.fromkeys(_range(f"{each.low:.2f}", f"{each.high:.2f}") for each in matches)
    return f"matched loss: {' and '.join(ranges)} nats"


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"


def _apart(found: Match) -> float:
    return found.high / found.low if found.low > 0 else math.inf
