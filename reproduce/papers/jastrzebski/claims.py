"""What Jastrzebski et al. claim, and the rule by which each claim is judged. All declared before anything ran."""

import math
from collections.abc import Sequence

import pandas as pd

from bsgap.analysis import Interval, slope_interval
from reproduce.arms import averaged, compared
from reproduce.claims import Claim
from reproduce.papers.jastrzebski.problems import Pair, words
from reproduce.papers.jastrzebski.trials import at, frame, grid
from reproduce.results import Results
from reproduce.study import Plan

FALLS = -0.1
"""Power of the ratio with which the Hessian norm must fall."""
RISES = 0.2
"""Points of accuracy that a ratio ten times as large must bring."""
ALIKE = 1.5
"""Factor within which Hessian norms count as equal."""
POINTS = 0.5
"""Points within which accuracies count as equal."""
APART = 0.0
"""By how much the norms of unequal ratios must be wider spread than those of equal ratios: by any."""
READINGS = (("end", "", ""), ("matched", "-matched-loss", ", at matched training loss"))


def every_claim(plan: Plan, results: Results) -> list[Claim]:
    """The ledger for the figures of the plan."""
    claims: list[Claim] = []
    found = frame(plan, results) if {"fig1", "fig3"} & set(plan.artifacts) else None
    for name in plan.networks:
        if "fig1" in plan.artifacts and found is not None and name == "MLP":
            claims += _grid(plan, found, name)
        if "fig3" in plan.artifacts and found is not None and grid(plan, name).equal:
            claims += _equal(plan, found, name)
    return claims


def _slope(plan: Plan, found: pd.DataFrame, name: str, column: str) -> Interval | None:
    """Least-squares slope over ln(rate/batch), one a seed, of the logarithm of a norm or of an accuracy a decade."""
    pairs = grid(plan, name).pairs
    values = [at(found, name, pair, column) for pair in pairs]
    seeds = sorted(set.intersection(*(set(one) for one in values)))
    if not seeds:
        return None
    if column == "accuracy":
        rows = [[one[seed] for one in values] for seed in seeds]
        return slope_interval([math.log10(rate / batch) for rate, batch in pairs], rows)
    rows = [[_logarithm(one[seed]) for one in values] for seed in seeds]
    return slope_interval([math.log(rate / batch) for rate, batch in pairs], rows)


def _logarithm(value: float) -> float:
    return math.log(value) if value > 0 else math.nan


def _grid(plan: Plan, found: pd.DataFrame, name: str) -> list[Claim]:
    """Over all pairs the Hessian norm falls with the ratio, and the accuracy rises."""
    label, pairs = grid(plan, name).problem.label, grid(plan, name).pairs
    claims = [
        Claim.judged(
            f"jastrzebski-norm{suffix}", f"The Hessian norm falls with the ratio of rate to batch size{more}",
            "Fig. 1a", "falls (P, curve)", _slope(plan, found, name, moment),
            quantity=f"{label}: slope of ln λ1 over ln(η/S) over {len(pairs)} pairs"
            + (" at the end of training" if moment == "end" else " at the lowest declared loss that all reached")
            + ", one a seed",
            minimal=FALLS, direction="less", scale=plan.scale,
        )
        for moment, suffix, more in READINGS
    ]  # fmt: skip
    claims.append(Claim.judged(
        "jastrzebski-accuracy", "Accuracy on unseen data rises with the ratio of rate to batch size", "Fig. 1b",
        "validation accuracy rises (P, curve)", _slope(plan, found, name, "accuracy"),
        quantity=f"{label}: slope of the test accuracy over log10(η/S) over {len(pairs)} pairs, one a seed, percentage "
        "points a decade",
        minimal=RISES, scale=plan.scale,
    ))  # fmt: skip
    return claims


def _equal(plan: Plan, found: pd.DataFrame, name: str) -> list[Claim]:
    """At one ratio the Hessian norm and the accuracy are the same whatever the batch; at one rate they are not."""
    chosen = grid(plan, name)
    label, first, last, id = chosen.problem.label, chosen.equal[0], chosen.equal[-1], name.lower()
    ends = f"at ({words(last)}) and ({words(first)})"
    claims = []
    for moment, suffix, more in READINGS:
        when = "at the end of training" if moment == "end" else "at matched loss"
        small, large = (_positive(at(found, name, pair, moment)) for pair in (first, last))
        claims.append(Claim.judged(
            f"jastrzebski-equal-norm-{id}{suffix}",
            f"{name}: equal ratios of rate to batch size lead to minima of equal Hessian norm{more}", "Fig. 3",
            "similar minima (P)", compared(large, small, "ratio"),
            quantity=f"{label}: ratio of λ1 {ends}, {when}, log scale",
            minimal=ALIKE, direction="within", scale=plan.scale,
        ))  # fmt: skip
    claims.append(Claim.judged(
        f"jastrzebski-equal-accuracy-{id}", f"{name}: equal ratios of rate to batch size lead to equal accuracy",
        "Fig. 3", "similar minima (P)", compared(at(found, name, last, "accuracy"), at(found, name, first, "accuracy")),
        quantity=f"{label}: difference in test accuracy {ends}, percentage points",
        minimal=POINTS, direction="within", scale=plan.scale,
    ))  # fmt: skip
    within, across = (_spread(found, name, pairs) for pairs in (chosen.equal, chosen.unequal))
    wider = {seed: across[seed] - within[seed] for seed in across if seed in within}
    claims.append(Claim.judged(
        f"jastrzebski-apart-{id}", f"{name}: it is the ratio that sets the Hessian norm, not the batch size", "Fig. 3",
        None, averaged(wider),
        quantity=f"{label}: range of ln λ1 over batch {chosen.unequal[0][1]} to {chosen.unequal[-1][1]} at the rate "
        f"{chosen.unequal[0][0]:g} minus that over the pairs of one ratio from ({words(first)}) to ({words(last)}), at "
        "the end of training",
        minimal=APART, scale=plan.scale,
    ))  # fmt: skip
    return claims


def _positive(values: dict[int, float]) -> dict[int, float]:
    """Without a positive value there is no ratio: such a seed counts as lost."""
    return {seed: value if value > 0 else math.nan for seed, value in values.items()}


def _spread(found: pd.DataFrame, name: str, pairs: Sequence[Pair]) -> dict[int, float]:
    """Seed -> largest minus smallest ln λ1 over these pairs; NaN where one of them has none."""
    values = [at(found, name, pair, "end") for pair in pairs]
    seeds = set.intersection(*(set(one) for one in values)) if values else set()
    spreads = {}
    for seed in sorted(seeds):
        logs = [_logarithm(one[seed]) for one in values]
        spreads[seed] = math.nan if any(math.isnan(log) for log in logs) else max(logs) - min(logs)
    return spreads
