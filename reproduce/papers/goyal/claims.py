"""What Goyal et al. claim, and the rule by which each claim is judged. All declared before anything ran."""

import math
from collections.abc import Mapping
from typing import Any

from bsgap.analysis.statistics import Direction
from reproduce.arms import compared, with_sign
from reproduce.claims import Claim
from reproduce.papers.goyal import facts
from reproduce.papers.goyal.figures import errors, knee_of
from reproduce.papers.goyal.problems import LAST, PROBLEMS, TOLERANCE, Sizes, key, sizes_of
from reproduce.results import Results
from reproduce.study import Plan

AHEAD = 0.0
"""Points of error by which a warm-up or a rule must be ahead of another: any, as the sign is what is claimed."""
CLASSES = {"digits": 10, "cifar10": 10, "imagenet": 1000}


def every_claim(plan: Plan, results: Results) -> list[Claim]:
    """The ledger for the figures and tables of the plan."""
    claims: list[Claim] = []
    for name in plan.networks:
        sizes = sizes_of(plan.scale, name)
        for artifact, make in (("fig1", _flat), ("table1", _warm_up), ("table2", _rules)):
            if artifact in plan.artifacts:
                claims += make(plan, results, name, sizes)
    return claims


def _judged(
    plan: Plan, results: Results, name: str, id: str, statement: str, source: str, reported: float | None,
    arms: tuple[str, str], words: str, minimal: float, direction: Direction = "greater",
) -> Claim:  # fmt: skip
    """A claim on the difference in error between two arms, seed by seed."""
    a, b = (_counted(errors(plan, results, name, arm), PROBLEMS[plan.scale][name].source) for arm in arms)
    rule: dict[str, Any] = {"minimal": minimal, "direction": direction, "scale": plan.scale}
    label, last = PROBLEMS[plan.scale][name].label, LAST[plan.scale]
    return Claim.judged(
        f"goyal-{id}", statement, source,
        None if reported is None else f"{with_sign(reported)} on ImageNet, derived from reported numbers (P)",
        compared(a, b),
        quantity=f"{label}: test error {words}, each the median of the last {last} epochs, percentage points (a run "
        "whose loss exploded counts as one that answers at random)", **rule,
    )  # fmt: skip


def _counted(values: Mapping[int, float], source: str) -> dict[int, float]:
    """The errors with that of random answers for a run that diverged: that it did is what the claims are about."""
    chance = 100 * (1 - 1 / CLASSES[source])
    return {seed: value if math.isfinite(value) else chance for seed, value in values.items()}


def _flat(plan: Plan, results: Results, name: str, sizes: Sizes) -> list[Claim]:
    """The error stays what it is up to the knee, and rises beyond."""
    base, far = facts.FIGURE1[facts.BASE], max(facts.FIGURE1)
    return [
        _judged(
            plan, results, name, "flat",
            "With the linear rule and a gradual warm-up a larger batch leaves the error as it is", "Fig. 1",
            facts.difference(facts.FIGURE1[facts.LARGE], base), (key(sizes.flat), key(sizes.base)),
            f"at batch {sizes.flat} minus that at {sizes.base}", TOLERANCE[plan.scale], "less",
        ),
        _judged(
            plan, results, name, "beyond", "Beyond a certain batch size the error rises", "Fig. 1",
            facts.difference(facts.FIGURE1[far], base), (key(sizes.all[-1]), key(sizes.base)),
            f"at batch {sizes.all[-1]} minus that at {sizes.base}", TOLERANCE[plan.scale],
        ),
    ]  # fmt: skip


def _at_large(plan: Plan, results: Results, name: str, sizes: Sizes) -> tuple[str, str]:
    """Beginning of a statement, and where it is judged: the paper's large batch is at its knee, ours may lie beyond."""
    bend = knee_of(plan, results, name)
    beyond = bend is not None and any(step.batch == sizes.large and not step.level for step in bend.steps)
    if bend is None or not beyond:
        return "At a large batch", f"at batch {sizes.large}"
    untested = ", itself at the base, so that no scaled rate is tested up to it" if bend.batch == sizes.base else ""
    return "At a large batch, beyond the knee,", f"at batch {sizes.large}, which lies beyond the knee{untested}"


def _warm_up(plan: Plan, results: Results, name: str, sizes: Sizes) -> list[Claim]:
    """A gradual warm-up is better than none, and than a constant one."""
    words = {"none": "no warm-up", "constant": "a constant warm-up"}
    at, where = _at_large(plan, results, name, sizes)
    return [
        _judged(
            plan, results, name, f"warm-up-{way}", f"{at} a gradual warm-up is better than {words[way]}",
            "Table 1", facts.difference(facts.TABLE1[way], facts.TABLE1["gradual"]), (way, key(sizes.large)),
            f"with {words[way]} minus that with a gradual warm-up, {where}", AHEAD,
        )
        for way in words
    ]  # fmt: skip


def _rules(plan: Plan, results: Results, name: str, sizes: Sizes) -> list[Claim]:
    """The linear rule is better than the square-root rule and than no rule, at the large and at a moderate batch."""
    words: Mapping[str, str] = {"square-root": "the square-root rule", "fixed": "the base rate"}
    places = [(sizes.large, "", "", *_at_large(plan, results, name, sizes))]
    if sizes.flat != sizes.large:
        at = f"At {sizes.flat // sizes.base} times the base batch"
        places.append((sizes.flat, f"-{sizes.flat}", "-moderate", at, f"at batch {sizes.flat}"))
    return [
        _judged(
            plan, results, name, f"linear-{rule}{id}", f"{at} the linear rule is better than {words[rule]}",
            "Table 2a", None if arm else facts.difference(facts.TABLE2[rule][1], facts.TABLE2["linear"][1]),
            (f"{rule}{arm}", key(batch)), f"with {words[rule]} minus that with the linear rule, {where}", AHEAD,
        )
        for batch, arm, id, at, where in places
        for rule in words
    ]  # fmt: skip
