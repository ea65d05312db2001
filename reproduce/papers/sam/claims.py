"""What the paper claims of SAM, and the rule by which each claim is judged. All declared before anything ran."""

from collections.abc import Iterator

from reproduce.arms import compared
from reproduce.claims import Claim
from reproduce.papers.sam import facts
from reproduce.papers.sam.problems import LONG, SGD, compares
from reproduce.papers.sam.trials import (
    chosen,
    curvature,
    curvatures,
    errors,
    normalised,
    setting,
    smaller_groups,
)
from reproduce.results import Results
from reproduce.study import Plan

AHEAD = 0.0
_CHOSEN = "at the rho of the best validation accuracy"


def every_claim(plan: Plan, results: Results) -> list[Claim]:
    """The ledger for the figures and tables of the plan."""
    claims: list[Claim] = []
    for name in compares(plan):
        if "methods" in plan.artifacts:
            claims += _ahead(plan, results, name)
        if {"radii", "grid"} & set(plan.artifacts) and setting(plan, name).groups:
            claims.append(_groups(plan, results, name))
    if {"spectra", "minima"} & set(plan.artifacts):
        claims += _flatter(plan, results)
    return claims


def _ahead(plan: Plan, results: Results, name: str) -> Iterator[Claim]:
    sam = errors(plan, results, name, chosen(plan, results, name))
    gain = facts.gain(name)
    reported = None if gain is None else f"{gain:.1f} points against the better of both budgets (D, from P)"
    for arm, key, words in (
        (SGD, "ahead", "SGD of as many epochs"), (LONG, "double", "SGD of twice the epochs, and so as many gradients"),
    ):  # fmt: skip
        yield Claim.judged(
            f"sam-{key}-{name.lower()}", f"{name}: SAM has a lower test error than {words}",
            "Table 1", reported, compared(errors(plan, results, name, arm), sam),
            quantity=f"{setting(plan, name).problem.label}: test error of {words} minus that of SAM {_CHOSEN}, "
            "percentage points",
            minimal=AHEAD, scale=plan.scale,
        )  # fmt: skip


def _groups(plan: Plan, results: Results, name: str) -> Claim:
    here = setting(plan, name)
    m, radii = here.groups[0], ", ".join(f"{rho:g}" for rho in here.group_radii)
    return Claim.judged(
        f"sam-m-{name.lower()}", f"{name}: with a smaller m SAM generalises better",
        "Fig. 3", "seen in the figure (P)",
        compared(smaller_groups(plan, results, name, None), smaller_groups(plan, results, name, m)),
        quantity=f"{here.problem.label}: test error with the perturbation of the whole batch of {here.batch} minus "
        f"that with m = {m}, mean over rho {radii}, percentage points",
        minimal=AHEAD, scale=plan.scale,
    )  # fmt: skip


def _flatter(plan: Plan, results: Results) -> Iterator[Claim]:
    found = curvature(plan, results)
    reported = {
        "top": f"{facts.TOP_EIGENVALUE['SAM']} against about {facts.TOP_EIGENVALUE['SGD']} of SGD (P)",
        "ratio": f"{facts.RATIO['SAM']:g} against {facts.RATIO['SGD']:g} of SGD (P)",
    }
    words = {"top": "the largest eigenvalue", "ratio": "the ratio of the largest eigenvalue to the fifth"}
    for name in plan.networks:
        for column, quantity in words.items():
            yield Claim.judged(
                f"sam-{column}-{name.lower()}", f"{name}: SAM ends where {quantity} of the Hessian is smaller",
                "Fig. 3", None if normalised(name) else reported[column],
                compared(curvatures(found, name, "SAM", column), curvatures(found, name, "SGD", column), "ratio"),
                quantity=f"{setting(plan, name).problem.label}: {quantity} at the end, SAM {_CHOSEN} over SGD, ratio "
                "on the log scale",
                minimal=1.0, direction="less", scale=plan.scale,
            )  # fmt: skip
