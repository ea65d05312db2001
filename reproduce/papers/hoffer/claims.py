"""The claims of Hoffer et al. and the rules of their verdicts, declared before anything runs."""

from collections.abc import Callable, Iterator

from reproduce import arms
from reproduce.claims import Claim
from reproduce.papers.hoffer.facts import between
from reproduce.papers.hoffer.problems import GBN, LABELS, LB, LR, MAIN, MEMORY, PROBLEMS, RA, SB, SIZES
from reproduce.papers.hoffer.trials import (
    accuracies,
    adapted,
    after,
    averaged,
    before,
    error_slopes,
    exponents,
    slopes,
)
from reproduce.results import Results
from reproduce.study import Plan

GAP = 0.5  # points of test accuracy between small and large batch
STEP = 0.0  # points that each further change must gain: any, as the sign is what is claimed
BACK = 0.5  # points by which the adapted regime may miss the small batch
RISE = 0.25  # points of test error for each doubling of the batch
EXPLAINED = 0.99  # R² of a logarithm of time; over the steps of the laptop scale the root of time has 0.97
BETTER = 1.5  # what the best power law leaves unexplained, over what the logarithm does
WALK = 0.4  # exponent of the best power law; 0.5 is a random walk without a potential
SAME = 0.1  # exponent of the diffusion rate over batch sizes that counts as none
ALIKE = 1.25  # ratio of two diffusion rates

_FIT = f"over the steps at the initial rate, from {MEMORY} on"


def every_claim(plan: Plan, results: Results) -> list[Claim]:
    """Every claim that the plan's figures and tables bear on."""
    return [claim for needed, make in CLAIMS if needed & set(plan.artifacts) for claim in make(plan, results)]


def _stages(plan: Plan, results: Results) -> Iterator[Claim]:
    """The gap, and that it closes from stage to stage."""
    added = {
        LR: "the rate that grows with the root of the batch", GBN: "ghost BatchNorm",
        RA: "as many updates as the small batch has",
    }  # fmt: skip
    for name in plan.networks:
        label = PROBLEMS[plan.scale][name].label
        of = {key: accuracies(plan, results, name, key) for key in LABELS}

        def judged(
            id: str, statement: str, above: str, below: str, minimal: float, *,
            name: str = name, label: str = label, of: dict[str, dict[int, float]] = of,
        ) -> Claim:  # fmt: skip
            return Claim.judged(
                f"hoffer-{id}-{name.lower()}", f"{label}: {statement}", "Table 1", between(name, above, below),
                arms.compared(of[above], of[below]), minimal=minimal, direction="greater", scale=plan.scale,
                quantity=f"{label}: test accuracy at the end, “{LABELS[above]}” minus “{LABELS[below]}”, percentage "
                "points",
            )  # fmt: skip

        yield judged("gap", "with as many epochs a large batch generalises worse than a small one", SB, LB, GAP)
        for low, high in ((LB, LR), (LR, GBN), (GBN, RA)):
            yield judged(f"step-{high.lower()}", f"the gap shrinks with {added[high]}", high, low, STEP)
        yield judged(
            "closed", "with as many updates the large batch generalises as well as the small one", RA, SB, -BACK
        )


def _sizes(plan: Plan, results: Results) -> Iterator[Claim]:
    """The error rises with the batch size."""
    if MAIN not in plan.networks:
        return
    found, label = error_slopes(plan, results), PROBLEMS[plan.scale][MAIN].label
    yield Claim.judged(
        "hoffer-error-batch", f"{label}: without adaptation the error grows with the batch size", "Fig. 1",
        "larger batch, larger validation error (N)", arms.averaged(found), minimal=RISE, direction="greater",
        scale=plan.scale,
        quantity=f"{label}: least-squares slope of the test error at the end over the "
        f"logarithm of the batch size ({_listed(plan)}), percentage points a doubling",
    )  # fmt: skip


def _walk(plan: Plan, results: Results) -> Iterator[Claim]:
    """The distance from the start grows like the logarithm of time, and alike at every batch size once adapted."""
    if MAIN not in plan.networks:
        return
    scale, label = plan.scale, PROBLEMS[plan.scale][MAIN].label
    yield Claim.judged(
        "hoffer-log-time", f"{label}: the distance of the weights from their start grows like the logarithm of time",
        "Fig. 2", "~ log t (N)", arms.averaged(averaged(plan, results, "r_squared")), minimal=EXPLAINED,
        direction="greater", scale=scale,
        quantity=f"{label}: R² of a + s ln t {_FIT}, mean over the arms of the figure of distances",
    )  # fmt: skip
    yield Claim.judged(
        "hoffer-log-power", f"{label}: a logarithm of time describes the distance better than any power of it",
        "Fig. 2", "~ log t (N)", arms.compared(averaged(plan, results, "unexplained"), 1.0, "ratio"), minimal=BETTER,
        direction="greater", scale=scale,
        quantity=f"{label}: variance of the distance that c t^p leaves unexplained over what a + s ln t does (two "
        f"parameters each, least squares), {_FIT}, geometric mean over the arms of the figure of distances, ratio",
    )  # fmt: skip
    yield Claim.judged(
        "hoffer-slow", f"{label}: the weights move away slower than in a random walk without a potential", "Fig. 2",
        "~ log t (N)", arms.averaged(averaged(plan, results, "power")), minimal=WALK,
        direction="less", scale=scale,
        quantity=f"{label}: exponent p of c t^p {_FIT}, mean over the arms of the figure of distances; a "
        "random walk has 0.5",
    )  # fmt: skip
    rate = f"{label}: exponent b of s ~ m^b, s the slope of the distance over ln t {_FIT}, m the batch size "
    yield Claim.judged(
        "hoffer-rate-before", f"{label}: at one learning rate a larger batch moves away slower", "Fig. 2", None,
        arms.averaged(exponents(plan, results, before(scale))), minimal=-SAME, direction="less", scale=scale,
        quantity=f"{rate}({_listed(plan)})",
    )  # fmt: skip
    yield Claim.judged(
        "hoffer-rate-after", f"{label}: with the scaled rate and ghost batches all batch sizes move away alike",
        "Fig. 2", None, arms.averaged(exponents(plan, results, after(scale))), minimal=SAME, direction="within",
        scale=scale, quantity=f"{rate}({_listed(plan)})",
    )  # fmt: skip
    small, large = (slopes(plan, results, key) for key in adapted(scale).values())
    yield Claim.judged(
        "hoffer-rate-adapted", f"{label}: with as many updates, too, the large batch moves away like the small one",
        "Fig. 2", None, arms.compared(large, small, "ratio"), minimal=ALIKE, direction="within", scale=scale,
        quantity=f"{label}: slope of the distance over ln t {_FIT}, “{LABELS[RA]}” over “{LABELS[SB]}”, ratio on the "
        "log scale",
    )  # fmt: skip


def _listed(plan: Plan) -> str:
    return ", ".join(map(str, SIZES[plan.scale].all))


CLAIMS: tuple[tuple[frozenset[str], Callable[[Plan, Results], Iterator[Claim]]], ...] = (
    (frozenset({"fig1"}), _sizes),
    (frozenset({"fig2", "diffusion"}), _walk),
    (frozenset({"fig3", "table1"}), _stages),
)
"""The artifacts of which one is enough for a claim to be judged, and what judges it."""
