"""The claims of Smith et al. and the rules of their verdicts, declared before anything runs."""

from collections.abc import Callable, Iterator

from reproduce.arms import beside, compared
from reproduce.claims import Claim
from reproduce.papers.smith.facts import LOST, TABLE
from reproduce.papers.smith.problems import DECAY, GROW, HYBRID, LABELS, MAIN, MOMENTUM, RATE, SCHEDULES
from reproduce.papers.smith.trials import accuracies, loss_ratios, parting, updates
from reproduce.results import Results
from reproduce.study import Plan

ALIKE = 1.25  # ratio of training losses, averaged over the epochs after the first milestone
SAME = 1.0  # points of test accuracy
FEWER = {GROW: 0.5, RATE: 0.1, MOMENTUM: 0.05}  # updates over those of decaying the rate
CLOSE = 0.5  # half of what more momentum costs in the paper


def every_claim(plan: Plan, results: Results) -> list[Claim]:
    """Every claim that the plan's figures and tables bear on."""
    if MAIN not in plan.networks:
        return []
    return [claim for needed, make in CLAIMS if needed & set(plan.artifacts) for claim in make(plan, results)]


def _loss(plan: Plan, results: Results) -> Iterator[Claim]:
    """Growing the batch equals decaying the rate, epoch by epoch."""
    first = SCHEDULES[plan.scale].milestones[0]
    for key in (GROW, HYBRID):
        ratios = loss_ratios(plan, results, key, DECAY, first)
        claim = Claim.judged(
            f"smith-loss-{key}", f"{LABELS[key].capitalize()} follows the training loss of {LABELS[DECAY]} per epoch",
            "Fig. 2", None, compared(ratios, 1.0, "ratio"),
            quantity=f"training loss, {LABELS[key]} over {LABELS[DECAY]}, geometric mean over the epochs after the "
            f"first milestone ({first}), ratio on the log scale",
            minimal=ALIKE, direction="within", scale=plan.scale,
        )  # fmt: skip
        apart = parting(plan, results, key, DECAY, first)
        yield beside(claim, f"{apart[1]:.2f} after epoch {apart[0]:g}, where they part most" if apart else "")


def _accuracy(plan: Plan, results: Results) -> Iterator[Claim]:
    """At no cost of test accuracy, also where the rate is larger from the start."""
    base = accuracies(plan, results, DECAY)
    for key in (GROW, HYBRID, RATE):
        known = TABLE.get(key)
        yield Claim.judged(
            f"smith-accuracy-{key}", f"{LABELS[key].capitalize()} costs less than one point of test accuracy",
            "Fig. 3" if known is None else "Table of updates and accuracy",
            None if known is None else f"{known.accuracy} against {TABLE[DECAY].accuracy} % (N)",
            compared(accuracies(plan, results, key), base),
            quantity=f"test accuracy at the end, {LABELS[key]} minus {LABELS[DECAY]}, percentage points",
            minimal=-SAME, direction="greater", scale=plan.scale,
        )  # fmt: skip


def _updates(plan: Plan, results: Results) -> Iterator[Claim]:
    """With fewer updates: the schedules say so, and the runs must have followed them."""
    base = updates(plan, results, DECAY)
    for key, share in FEWER.items():
        yield Claim.judged(
            f"smith-updates-{key}",
            f"{LABELS[key].capitalize()}: as many epochs take less than 1/{1 / share:.0f} of the updates",
            "Table of updates and accuracy",
            f"{TABLE[key].updates} against {TABLE[DECAY].updates} (N)",
            compared(updates(plan, results, key), base, "ratio"),
            quantity=f"optimizer steps of the run, {LABELS[key]} over {LABELS[DECAY]}, ratio on the log scale; it "
            "follows from the schedule",
            minimal=share, direction="less", scale=plan.scale,
        )  # fmt: skip


def _momentum(plan: Plan, results: Results) -> Iterator[Claim]:
    """More momentum costs some accuracy."""
    yield Claim.judged(
        "smith-momentum-cost",
        f"A larger rate and more momentum together cost test accuracy against {LABELS[DECAY]}",
        "Table of updates and accuracy", f"{LOST:.1f} points, derived from reported numbers (N)",
        compared(accuracies(plan, results, DECAY), accuracies(plan, results, MOMENTUM)),
        quantity=f"test accuracy at the end, {LABELS[DECAY]} minus {LABELS[MOMENTUM]}, percentage points",
        minimal=CLOSE, direction="greater", scale=plan.scale,
    )  # fmt: skip


CLAIMS: tuple[tuple[frozenset[str], Callable[[Plan, Results], Iterator[Claim]]], ...] = (
    (frozenset({"fig2"}), _loss),
    (frozenset({"fig3", "updates"}), _accuracy),
    (frozenset({"updates"}), _updates),
    (frozenset({"updates", "fig5"}), _momentum),
)
"""The artifacts of which one is enough for a claim to be judged, and what judges it."""
