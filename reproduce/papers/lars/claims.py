"""What the paper claims of LARS, and the rule by which each claim is judged. All declared before anything ran."""

from typing import Any

from reproduce.arms import beside, compared, mean_and_spread
from reproduce.claims import Claim
from reproduce.papers.lars import facts
from reproduce.papers.lars.problems import LARS, METHODS, SGD
from reproduce.papers.lars.trials import accuracies, norm_frame, pair
from reproduce.results import Results
from reproduce.study import Plan

FALL = 2.0
"""Points of accuracy that scaling without LARS must lose to count as failing, and that LARS must not lose."""
AHEAD = 0.0
SPREAD = 10.0
"""Factor between the largest and the smallest ratio of a network's layers that counts as wide."""
_DERIVED = "derived from reported numbers (N)"
_RANDOM = "percentage points (a run whose loss exploded counts as one that answers at random)"


def every_claim(plan: Plan, results: Results) -> list[Claim]:
    """The ledger for the figures and tables of the plan."""
    claims: list[Claim] = []
    for name in plan.networks:
        if "accuracy" in plan.artifacts:
            claims += _accuracy(plan, results, name)
        if "norms" in plan.artifacts:
            claims.append(_ratios(plan, results, name))
    return claims


def _accuracy(plan: Plan, results: Results, name: str) -> list[Claim]:
    chosen = pair(plan, name)
    base, largest = chosen.batches[0], chosen.batches[-1]

    def at(method: str, batch: int) -> dict[int, float]:
        return accuracies(plan, results, name, method, batch, chance=True)

    small, naive, scaled = at(SGD, base), at(SGD, largest), at(LARS, largest)
    label = chosen.plain.label
    drop = facts.ALEXNET[SGD][512] - facts.ALEXNET[SGD][8192]
    alexnet = name == "AlexNet"
    return [
        Claim.judged(
            f"lars-naive-{name.lower()}", f"{name}: linear scaling with warm-up loses accuracy at a large batch",
            "accuracy against batch", f"{drop:.1f} lost at 8192 of AlexNet with LRN, {_DERIVED}" if alexnet else None,
            compared(small, naive),
            quantity=f"{label}: test accuracy without LARS at batch {base} minus that at {largest}, {_RANDOM}",
            minimal=FALL, scale=plan.scale,
        ),
        Claim.judged(
            f"lars-holds-{name.lower()}", f"{name}: with LARS a large batch keeps the baseline's accuracy",
            "accuracy against batch",
            f"{facts.BASELINE - facts.ALEXNET[LARS][8192]:.1f} lost at 8192, "
            f"{facts.BASELINE - facts.ALEXNET[LARS][32_768]:.1f} at 32768, {_DERIVED}" if alexnet
            else f"{facts.RESNET50[SGD][256] - facts.RESNET50[LARS][32_768]:.1f} lost at 32768, {_DERIVED}",
            compared(small, scaled),
            quantity=f"{label}: test accuracy at batch {base} without LARS minus that at {largest} with it, {_RANDOM}",
            minimal=FALL, direction="less", scale=plan.scale,
        ),
        beside(
            Claim.judged(
                f"lars-ahead-{name.lower()}", f"{name}: at a large batch LARS is ahead of training without it",
                "accuracy against batch", None, compared(scaled, naive),
                quantity=f"{label}: test accuracy at batch {largest}, with LARS minus without, {_RANDOM}",
                minimal=AHEAD, scale=plan.scale,
            ),
            _below(plan, results, name),
        ),
    ]  # fmt: skip


def _below(plan: Plan, results: Results, name: str) -> str:
    """What both methods reach at the two largest batch sizes: at the largest both may have too few updates to learn."""
    chosen, rows = pair(plan, name), []
    for batch in chosen.batches[-2:]:
        found = {label: accuracies(plan, results, name, method, batch) for method, label in METHODS.items()}
        if not all(found.values()):
            return ""
        levels = " and ".join(f"{mean_and_spread(values.values())} {label}" for label, values in found.items())
        rows.append(f"at batch {batch} ({chosen.updates(batch)} updates) {levels}")
    return f"test accuracies in per cent are {'; '.join(rows)}"


def _ratios(plan: Plan, results: Results, name: str) -> Claim:
    """At the start the ratio of weight to gradient differs widely between layers."""
    frame = norm_frame(plan, results)
    rows = frame[frame["network"] == name]
    spread: dict[int, float] = {
        int(seed): float(part["ratio"].max() / part["ratio"].min()) for seed, part in rows.groupby("seed")
    }
    reported: Any = None
    if name == "AlexNet":
        reported = f"{facts.RATIOS['fc6'] / facts.RATIOS['conv1']:.0f}, of fc6 over conv1, {_DERIVED}"
    return Claim.judged(
        f"lars-ratios-{name.lower()}", f"{name}: the ratio of weight to gradient norm varies widely between layers",
        "norms at iteration 1", reported, compared(spread, 1.0, "ratio"),
        quantity=f"{pair(plan, name).plain.label}: largest over smallest ‖w‖/‖∇L‖ of the layers' weights before the "
        "first step, log scale",
        minimal=SPREAD, scale=plan.scale,
    )  # fmt: skip
