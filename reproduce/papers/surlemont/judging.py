"""What the claims of the study share: what counts, and by how much minima are flatter."""

import pandas as pd

from bsgap.analysis import MIN_SEEDS, Interval
from reproduce.arms import compared
from reproduce.claims import Claim
from reproduce.papers.surlemont.problems import PLAIN
from reproduce.papers.surlemont.trials import ADAPTIVE, BALL, BOX, TOP, values
from reproduce.study import Plan

SOURCE = "the study's plan"
"""Where the questions come from."""
GAP = 1.0
"""Points of test accuracy that a large batch must lose to count as behind, and SAM must not lose."""
WORDS = {
    BOX: "Keskar's box", BALL: "the ball", ADAPTIVE: "the adaptive ball", TOP: "the top Hessian eigenvalue",
}  # fmt: skip


def planned(plan: Plan, name: str) -> int:
    """Seeds without which nothing is decided: all that are planned, so that no look on the way decides."""
    return max(MIN_SEEDS, plan.seeds[name])


def flatter_by(sharp: pd.DataFrame, plain: pd.DataFrame, name: str, method: str, batch: int) -> dict[str, Interval]:
    """Measure -> how much sharper the minima of a method are than the plain ones of the same seed, below 1 if flatter.

    Args:
        sharp: Where the method's are, as `trials.outcomes` gives them.
        plain: Where the plain ones are.
        name: The optimizer.
        method: `sam` or `asam`.
        batch: The batch size.
    """
    found = {
        measure: compared(
            values(sharp, name, method, batch, measure), values(plain, name, PLAIN, batch, measure), "ratio"
        )
        for measure in WORDS
    }
    return {measure: ratio for measure, ratio in found.items() if ratio is not None}


def by_every_measure(
    key: str, words: str, quantity: str, ratios: dict[str, Interval], min_seeds: int, scale: str
) -> Claim:
    """Flatter by all measures, or sharper by one: judged by the measure that speaks most against; not run before all.

    That is one that lies wholly above 1 with all its seeds, of several the highest; else one that lacks seeds; else the
    one whose interval reaches highest.
    """

    def against(name: str) -> tuple[bool, bool, float]:
        ratio = ratios[name]
        complete = ratio.n >= min_seeds and not ratio.excluded
        refutes = complete and ratio.low > 1
        return refutes, not complete, ratio.low if refutes else ratio.high

    worst = max(ratios, key=against) if len(ratios) == len(WORDS) else None
    return Claim.judged(
        key, f"{words} by every measure", SOURCE, None, None if worst is None else ratios[worst],
        quantity=f"{quantity}, log scale, by the measure that speaks most against it"
        f"{f' ({WORDS[worst]})' if worst else ''}",
        minimal=1.0, direction="less", min_seeds=min_seeds, scale=scale,
    )  # fmt: skip
