"""What the paper claims of ASAM, and the rule by which each claim is judged. All declared before anything ran."""

from collections.abc import Iterator

from reproduce.arms import compared
from reproduce.claims import Claim
from reproduce.papers.asam.problems import here
from reproduce.papers.asam.trials import ADAPTIVE, NEAR, chosen, errors, minima, sharpness, widths
from reproduce.results import Results
from reproduce.study import Plan

LOSS = 0.5
"""Points of test error that ASAM may lose to SAM and still count as at least as good."""
_CHOSEN = "each at the rho of its best validation accuracy"


def every_claim(plan: Plan, results: Results) -> list[Claim]:
    """The ledger for the figures and tables of the plan."""
    claims: list[Claim] = []
    for name in plan.networks:
        if "methods" in plan.artifacts:
            claims += _errors(plan, results, name)
        if {"radii", "grid"} & set(plan.artifacts):
            claims.append(_range(plan, results, name))
        if "sharpness" in plan.artifacts:
            claims.append(_flatter(plan, results, name))
    return claims


def _errors(plan: Plan, results: Results, name: str) -> Iterator[Claim]:
    sgd, sam, asam = (errors(plan, results, name, chosen(plan, results, name, each)) for each in ("SGD", "SAM", "ASAM"))
    label = here(plan, name).problem.label
    yield Claim.judged(
        f"asam-best-{name.lower()}", f"{name}: ASAM at its best rho is at least as good as SAM at its own",
        "table of methods", None, compared(asam, sam),
        quantity=f"{label}: test error of ASAM minus that of SAM, {_CHOSEN}, percentage points",
        minimal=LOSS, direction="less", scale=plan.scale,
    )  # fmt: skip
    yield Claim.judged(
        f"asam-ahead-{name.lower()}", f"{name}: ASAM has a lower test error than SGD of as many epochs",
        "table of methods", None, compared(sgd, asam),
        quantity=f"{label}: test error of SGD minus that of ASAM at the rho of its best validation accuracy, "
        "percentage points",
        minimal=0.0, scale=plan.scale,
    )  # fmt: skip


def _range(plan: Plan, results: Results, name: str) -> Claim:
    return Claim.judged(
        f"asam-range-{name.lower()}", f"{name}: ASAM does well over a wider range of rho than SAM",
        "test error against rho", None,
        compared(widths(plan, results, name, "ASAM"), widths(plan, results, name, "SAM")),
        quantity=f"{here(plan, name).problem.label}: decades of rho around a method's best by the test error in "
        f"which that error is within {NEAR:g} point of it, ASAM minus SAM, over grids of the same span",
        minimal=0.0, scale=plan.scale,
    )  # fmt: skip


def _flatter(plan: Plan, results: Results, name: str) -> Claim:
    found = minima(plan, results)
    return Claim.judged(
        f"asam-flatter-{name.lower()}", f"{name}: ASAM ends where the adaptive sharpness is lower than where SGD ends",
        "definition of ASAM", None,
        compared(sharpness(found, name, "ASAM", ADAPTIVE), sharpness(found, name, "SGD", ADAPTIVE), "ratio"),
        quantity=f"{here(plan, name).problem.label}: rise of the loss in the adaptive ball at the end, ASAM at the rho "
        "of its best validation accuracy over SGD, ratio on the log scale",
        minimal=1.0, direction="less", scale=plan.scale,
    )  # fmt: skip
