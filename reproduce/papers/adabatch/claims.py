"""The claims of AdaBatch and the rules of their verdicts, declared before anything runs."""

from collections.abc import Callable, Iterator

from reproduce.arms import compared
from reproduce.claims import Claim
from reproduce.papers.adabatch.facts import WITHIN, speedup_words
from reproduce.papers.adabatch.problems import ADAPTIVE, LARGE, PROBLEMS, SMALL
from reproduce.papers.adabatch.trials import DIRECTIONS, errors, speedups, updates
from reproduce.results import Results
from reproduce.study import Plan

AHEAD = 0.0  # points of test error: any lead counts
FASTER = 1.0  # speed-up: any gain counts
FEWER = 0.5  # updates: half of them; the schedule alone gives 0.39


def every_claim(plan: Plan, results: Results) -> list[Claim]:
    """Every claim that the plan's figures and tables bear on."""
    return [
        claim
        for needed, make in CLAIMS
        if needed & set(plan.artifacts)
        for name in plan.networks
        for claim in make(plan, results, name)
    ]


def _error(plan: Plan, results: Results, name: str) -> Iterator[Claim]:
    """The adaptive batch generalises about as well as the small one, and better than the large one."""
    label = PROBLEMS[plan.scale][name].label
    adaptive = errors(plan, results, name, ADAPTIVE)
    yield Claim.judged(
        f"adabatch-within-{name.lower()}",
        f"{label}: the adaptive batch costs less than one point of test error against the small one",
        "CIFAR experiments", "within 1 % (N)", compared(adaptive, errors(plan, results, name, SMALL)),
        quantity="test error at the end, adaptive minus small, fixed, percentage points",
        minimal=WITHIN, direction="less", scale=plan.scale,
    )  # fmt: skip
    yield Claim.judged(
        f"adabatch-ahead-{name.lower()}",
        f"{label}: the adaptive batch ends ahead of the large one, which has the size that it grows to, at the same "
        "start rate",
        "CIFAR experiments", None,
        compared(adaptive, errors(plan, results, name, LARGE)),
        quantity="test error at the end, adaptive minus large, fixed, percentage points",
        minimal=AHEAD, direction="less", scale=plan.scale,
    )  # fmt: skip


def _updates(plan: Plan, results: Results, name: str) -> Iterator[Claim]:
    """It takes fewer updates: the schedule says so, and the runs must have followed it."""
    yield Claim.judged(
        f"adabatch-updates-{name.lower()}",
        f"{PROBLEMS[plan.scale][name].label}: in as many epochs the adaptive batch takes less than half of the updates",
        "Schedule", None,
        compared(updates(plan, results, name, ADAPTIVE), updates(plan, results, name, SMALL), "ratio"),
        quantity="optimizer steps of the run, adaptive over small, fixed, ratio on the log scale; it follows from the "
        "schedule",
        minimal=FEWER, direction="less", scale=plan.scale,
    )  # fmt: skip


def _speed(plan: Plan, results: Results, name: str) -> Iterator[Claim]:
    """Larger batches use the machine better, forward and backward."""
    for direction in DIRECTIONS:
        yield Claim.judged(
            f"adabatch-{direction}-{name.lower()}",
            f"{PROBLEMS[plan.scale][name].label}: the {direction} passes of the adaptive batch take less time",
            "CIFAR-100 on one GPU", speedup_words(name),
            compared(speedups(plan, results, name, ADAPTIVE, direction), FASTER, "ratio"),
            quantity=f"time of the {direction} passes over as many examples, small, fixed over adaptive, from timed "
            "steps, ratio on the log scale",
            minimal=FASTER, direction="greater", scale=plan.scale,
        )  # fmt: skip


CLAIMS: tuple[tuple[frozenset[str], Callable[[Plan, Results, str], Iterator[Claim]]], ...] = (
    (frozenset({"error", "endings"}), _error),
    (frozenset({"updates", "endings"}), _updates),
    (frozenset({"speedup", "times"}), _speed),
)
"""The artifacts of which one is enough for a claim to be judged, and what judges it."""
