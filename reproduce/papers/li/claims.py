"""What the paper claims of small and large batches, and the rule by which each claim is judged (see the notes)."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

from bsgap.analysis import Interval
from reproduce.arms import averaged, compared
from reproduce.claims import Claim
from reproduce.papers.li import facts
from reproduce.papers.li.problems import DECAYS, REFERENCE, SIZES, decay_label
from reproduce.papers.li.shape import correlation
from reproduce.papers.li.trials import FAR, NEAR, REACH, TOP, Values, drawn, filter_rises, final, raw_rises, setting
from reproduce.results import Results
from reproduce.study import Plan

GAP = 1.0
"""Points of test error by which a large batch must be worse to count as worse."""
RISEN = 0.1
"""Nats by which one side of a raw interpolation must rise more than the other to count as sharper."""
SMALLER = 1.25
"""Factor between the norms of the weights that counts as a difference of scale."""
LINKED = 0.5
"""Correlation with the test error that counts as one."""
BETTER = 0.05
"""Difference of two such correlations that counts."""
FLOOR = 1e-3
"""Nats that a rise is at least, in ratios: a curve that does not rise has no logarithm."""

_MOST = 1 - 1e-9  # of a correlation: that of 1 has no Fisher's z
_RISE = f"mean rise of the training loss (up to {TOP:g} nats)"
_RAW = f"{_RISE} at {NEAR:g} to {FAR:g} from an end of the raw interpolation"
_FILTER = f"{_RISE} within |α| ≤ {REACH:g} along filter-normalised random directions"


def every_claim(plan: Plan, results: Results) -> list[Claim]:
    """The ledger for the figures and tables of the plan."""
    claims: list[Claim] = []
    if "errors" in plan.artifacts:
        claims += [claim for name in plan.networks for claim in _gap(plan, results, name)]
    if not drawn(plan):
        return claims
    if "norms" in plan.artifacts:
        claims += _norms(plan, results)
    if "fig2" in plan.artifacts:
        claims += _raw(plan, results)
    if "sharpness" in plan.artifacts:
        claims += [*_filtered(plan, results), _misleads(plan, results), *_correlations(plan, results)]
    return claims


def _gap(plan: Plan, results: Results, name: str) -> Iterator[Claim]:
    for decay in DECAYS:
        small, large = (final(plan, results, decay, size, "test_error", name) for size in SIZES)
        yield Claim.judged(
            f"li-gap-{decay}-{name.lower()}", f"{name}, {decay_label(decay)}: the large batch generalises worse",
            "Fig. 3", f"{facts.gap(decay):.2f} points (D, from N)" if name == REFERENCE else None,
            compared(large, small),
            quantity="test error at the end, LB minus SB, percentage points", minimal=GAP, scale=plan.scale,
        )  # fmt: skip


def _norms(plan: Plan, results: Results) -> Iterator[Claim]:
    """Which of the two has the smaller weights depends on the weight decay."""
    for decay, larger, smaller in (("plain", "SB", "LB"), ("decayed", "LB", "SB")):
        norms = {size: final(plan, results, decay, size, "weight_norm") for size in SIZES}
        yield Claim.judged(
            f"li-norm-{decay}",
            f"{_title(decay)}: the {_word(larger)} batch ends with the larger weights",
            "Fig. 2", None, compared(norms[larger], norms[smaller], "ratio"),
            quantity=f"norm of the weights at the end, {larger} over {smaller}, ratio on the log scale",
            minimal=SMALLER, scale=plan.scale,
        )  # fmt: skip


def _raw(plan: Plan, results: Results) -> Iterator[Claim]:
    """Without weight decay the large-batch side of the raw interpolation is the sharp one, with it the other."""
    for decay, sharper, flatter in (("plain", "LB", "SB"), ("decayed", "SB", "LB")):
        rises = {size: raw_rises(plan, results, decay, size) for size in SIZES}
        yield Claim.judged(
            f"li-raw-{decay}",
            f"{_title(decay)}: on the raw interpolation the {_word(sharper)}-batch side is the sharper one",
            "Fig. 2", "seen in the figure (N)", compared(rises[sharper], rises[flatter]),
            quantity=f"{_RAW}, {sharper} minus {flatter}, nats", minimal=RISEN, scale=plan.scale,
        )  # fmt: skip


def _filtered(plan: Plan, results: Results) -> Iterator[Claim]:
    for decay in DECAYS:
        small, large = (_floored(filter_rises(plan, results, decay, size)) for size in SIZES)
        yield Claim.judged(
            f"li-filter-{decay}",
            f"{_title(decay)}: filter-normalised, the large-batch solution is the sharper one",
            "Fig. 3", "seen in the figure (N)", compared(large, small, "ratio"),
            quantity=f"{_FILTER}, mean over {setting(plan).directions} directions, LB over SB, ratio on the log scale",
            minimal=1.0, scale=plan.scale,
        )  # fmt: skip


def _misleads(plan: Plan, results: Results) -> Claim:
    """Both halves at once: the smaller of the two ratios, so that a seed counts only where both are above 1."""
    raw, filtered = (
        {size: _floored(rises(plan, results, "decayed", size)) for size in SIZES}
        for rises in (raw_rises, filter_rises)
    )  # fmt: skip
    smaller = {
        seed: _least(raw["SB"][seed] / raw["LB"][seed], filtered["LB"][seed] / filtered["SB"][seed])
        for seed in raw["SB"]
        if seed in raw["LB"] and seed in filtered["SB"] and seed in filtered["LB"]
    }
    return Claim.judged(
        "li-misleads",
        "With weight decay the raw interpolation misleads, and the filter-normalised picture does not: the one shows "
        "the small batch, the other the large batch as the sharper",
        "Figs 2, 3", "seen in the figures (N)", compared(smaller, 1.0, "ratio"),
        quantity=f"with weight decay, the smaller of two ratios on the log scale: {_RAW}, SB over LB; {_FILTER}, LB "
        "over SB",
        minimal=1.0, scale=plan.scale,
    )  # fmt: skip


def _correlations(plan: Plan, results: Results) -> Iterator[Claim]:
    """Over the four solutions of a seed, how far a sharpness goes with the test error."""
    filtered, raw = (_with_error(plan, results, rises) for rises in (filter_rises, raw_rises))
    yield Claim.judged(
        "li-correlation", "The filter-normalised sharpness goes with the test error", "Fig. 3", None,
        _averaged(filtered),
        quantity=f"correlation over the four solutions of a seed of the test error with: {_FILTER}; averaged as "
        "Fisher's z",
        minimal=LINKED, scale=plan.scale,
    )  # fmt: skip
    yield Claim.judged(
        "li-better", "Filter-normalised sharpness goes with the test error better than that of the raw interpolation",
        "Figs 2, 3", None, compared(filtered, raw),
        quantity="correlation with the test error over the four solutions of a seed, of the filter-normalised rise "
        "minus that of the raw one",
        minimal=BETTER, scale=plan.scale,
    )  # fmt: skip


def _averaged(correlations: Values) -> Interval | None:
    """The interval of the mean correlation over seeds, taken of Fisher's z = artanh r, so that it stays within ±1."""
    found = averaged({seed: math.atanh(_MOST * r) for seed, r in correlations.items()})
    if found is None:
        return None
    estimate, low, high = (math.tanh(value) for value in (found.estimate, found.low, found.high))
    return replace(found, estimate=estimate, low=low, high=high)


def _with_error(plan: Plan, results: Results, rises: Callable[[Plan, Results, str, str], Values]) -> Values:
    places = [(decay, size) for decay in DECAYS for size in SIZES]
    sharp = [rises(plan, results, *place) for place in places]
    errors = [final(plan, results, *place, "test_error") for place in places]
    seeds = set.intersection(*(set(values) for values in (*sharp, *errors)))
    return {seed: correlation([v[seed] for v in sharp], [v[seed] for v in errors]) for seed in sorted(seeds)}


def _floored(values: Values) -> Values:
    return {seed: value if math.isnan(value) else max(value, FLOOR) for seed, value in values.items()}


def _least(first: float, second: float) -> float:
    return math.nan if math.isnan(first) or math.isnan(second) else min(first, second)


def _word(size: str) -> str:
    return "small" if size == "SB" else "large"


def _title(decay: str) -> str:
    return decay_label(decay).replace("w", "W", 1)
