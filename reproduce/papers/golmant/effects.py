"""Effects over seeds when some runs never reached the threshold: a bound may only speak for its own direction."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from bsgap.analysis import Interval, paired_interval
from reproduce.claims import Claim

Bound = Literal["upper", "lower"]
"""What a bounded effect is: the true one is at most, or at least, that."""

_SAYS_NOTHING = {
    ("upper", "less"): "not reproduced",
    ("upper", "greater"): "reproduced",
    ("lower", "greater"): "not reproduced",
    ("lower", "less"): "reproduced",
}


@dataclass(frozen=True)
class Values:
    """One number a seed.

    Attributes:
        of: Seed -> value; NaN where the run diverged.
        bounded: Seeds whose value is a bound, as the run ended above the threshold.
    """

    of: Mapping[int, float]
    bounded: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Effect:
    """An effect over seeds.

    Attributes:
        interval: None when there are no numbers.
        bounded: Seeds in it whose effect is a bound.
        dropped: Seeds left out because the run that they are compared with never reached the threshold.
        problem: Why there is no number although runs are there.
    """

    interval: Interval | None
    bounded: int = 0
    dropped: int = 0
    problem: str = ""


def at(rows: pd.DataFrame, batch: int, column: str) -> Values:
    """The values of a column of `bsgap.analysis.speedup` at a batch size; its bound where there is no value."""
    found, bounded = {}, set()
    for row in rows[rows["batch"] == batch].to_dict("records"):
        seed, value = int(row["seed"]), row[column]
        if not row["reached"]:
            value = math.nan if row["diverged"] else row[f"{column}_bound"]
            bounded |= set() if row["diverged"] else {seed}
        found[seed] = float(value)
    return Values(found, frozenset(bounded))


def geometric_mean(rows: pd.DataFrame, batches: list[int], column: str) -> Values:
    """Geometric mean of a column over several batch sizes, for the seeds that have all of them."""
    parts = [at(rows, batch, column) for batch in batches]
    seeds = set.intersection(*(set(part.of) for part in parts)) if parts else set()
    means = {seed: float(np.exp(np.mean([np.log(part.of[seed]) for part in parts]))) for seed in sorted(seeds)}
    return Values(means, frozenset(seed for part in parts for seed in part.bounded if seed in seeds))


def ratio(a: Values, b: Values | float) -> Effect:
    """The seed-paired ratio of a over b on the log scale. A bound in b bounds nothing: that seed is dropped."""
    other = Values(dict.fromkeys(a.of, b)) if isinstance(b, float) else b
    return _paired(a, other, "ratio")


def difference(a: Values, b: Values) -> Effect:
    """The seed-paired difference of a minus b."""
    return _paired(a, b, "difference")


def _paired(a: Values, b: Values, effect: Literal["ratio", "difference"]) -> Effect:
    kept = {seed: value for seed, value in b.of.items() if seed not in b.bounded}
    both = {seed: value for seed, value in a.of.items() if seed in kept}
    dropped = len(b.bounded & set(a.of))
    if not both:
        problem = "the runs compared with never reached the threshold" if dropped else ""
        return Effect(None, dropped=dropped, problem=problem)
    interval = paired_interval(both, {seed: kept[seed] for seed in both}, effect)
    counted = {seed for seed, value in both.items() if math.isfinite(value)}
    return Effect(interval, len(a.bounded & counted), dropped)


def judged(
    id: str, statement: str, source: str, reported: str, effect: Effect, *, bound: Bound = "upper", **rule: Any
) -> Claim:
    """The line of the ledger for an effect, see `Claim.judged`.

    Where the effect rests on bounds, a verdict that the bounds cannot carry becomes inconclusive. Where runs are there
    and no number can be taken, the verdict is inconclusive too, with the reason.

    Args:
        id: As there.
        statement: As there.
        source: As there.
        reported: As there.
        effect: The effect.
        bound: What its bounded values are.
        rule: As there: quantity, minimal, direction, min_seeds, scale.
    """
    claim = Claim.judged(id, statement, source, reported, effect.interval, **rule)
    notes = ""
    if effect.bounded:
        notes += f"; {effect.bounded} of the {claim.n_seeds} are {bound} bounds, as a run never reached the threshold: "
        notes += "the interval is that of the bounds and may be too narrow"
        direction = rule.get("direction", "greater")
        if direction == "within" or claim.verdict == _SAYS_NOTHING[bound, direction]:
            claim = replace(claim, verdict="inconclusive")
    if effect.dropped:
        notes += f"; {effect.dropped} left out, as the run compared with never reached the threshold"
    if effect.problem:
        notes += f"; {effect.problem}"
        claim = replace(claim, verdict="inconclusive")
    return replace(claim, rule=claim.rule + notes) if notes else claim
