"""What the controls are asked, and the rule by which each answer is judged."""

import pandas as pd

from reproduce.arms import compared
from reproduce.claims import Claim
from reproduce.papers.surlemont.controls import LONGER, differing, longer_ends, same_rate
from reproduce.papers.surlemont.judging import GAP, SOURCE, by_every_measure, flatter_by, planned
from reproduce.papers.surlemont.problems import ASAM, METHODS, PLAIN, SAM, Cell, problem
from reproduce.papers.surlemont.trials import values
from reproduce.results import Results
from reproduce.study import Plan

LATER = "after longer training"


def control_claims(plan: Plan, results: Results, found: pd.DataFrame) -> list[Claim]:
    """The ledger for the controls of the plan; `found` is what `trials.ends` gives."""
    claims = []
    if "same-rate" in plan.artifacts:
        plain = same_rate(plan, results)
        claims += [_at_one_rate(plan, found, cell, plain[cell]) for cell in differing(plan, results)]
    shown = {"longer", "longer-minima"} & set(plan.artifacts)
    longest = longer_ends(plan, results) if shown else found
    for name in plan.networks:
        if shown:
            claims += _longer(plan, longest, name)
        if "longer-minima" in shown:
            claims += _longer_flatter(plan, longest, name)
    return claims


def _at_one_rate(plan: Plan, found: pd.DataFrame, cell: Cell, plain: pd.DataFrame) -> Claim:
    """Where the rate that suits SAM or ASAM is not that which suits the plain optimizer."""
    name, word = cell.network, METHODS[cell.method]
    return by_every_measure(
        f"surlemont-same-rate-{cell.batch}-{name.lower()}-{cell.method}",
        f"{name}: at batch {cell.batch} and one rate {word} finds flatter minima",
        f"sharpness at batch {cell.batch} at the end, {word} over plain at its rate",
        flatter_by(found, plain, name, cell.method, cell.batch), planned(plan, name), plan.scale,
    )  # fmt: skip


def _until(plan: Plan, name: str) -> str:
    return f"where the loss ceased to fall or {LONGER * problem(plan, name).epochs} epochs were over"


def _longer(plan: Plan, found: pd.DataFrame, name: str) -> list[Claim]:
    """The gap after longer training, and whether it is closed."""
    known = problem(plan, name)
    small, large = known.batches[0], known.batches[-1]
    plain = values(found, name, PLAIN, small, "accuracy")
    claims = [Claim.judged(
        f"surlemont-longer-gap-{name.lower()}", f"{name}: {LATER} the large batch has the lower test accuracy",
        SOURCE, None, compared(plain, values(found, name, PLAIN, large, "accuracy")),
        quantity=f"test accuracy, {_until(plan, name)}, of plain {name} at batch {small} minus that at {large}, "
        "percentage points",
        minimal=GAP, min_seeds=planned(plan, name), scale=plan.scale,
    )]  # fmt: skip
    return claims + [
        Claim.judged(
            f"surlemont-longer-closes-{name.lower()}-{method}", f"{name}: {LATER} the large batch with "
            f"{METHODS[method]} comes within {GAP:g} point of the small one without",
            SOURCE, None, compared(plain, values(found, name, method, large, "accuracy")),
            quantity=f"test accuracy, {_until(plan, name)}, of plain {name} at batch {small} minus that of "
            f"{METHODS[method]} at {large}, percentage points",
            minimal=GAP, direction="less", min_seeds=planned(plan, name), scale=plan.scale,
        )
        for method in (SAM, ASAM)
    ]  # fmt: skip


def _longer_flatter(plan: Plan, found: pd.DataFrame, name: str) -> list[Claim]:
    """Which minima are flatter after longer training."""
    large = problem(plan, name).batches[-1]
    return [
        by_every_measure(
            f"surlemont-longer-flatter-{name.lower()}-{method}",
            f"{name}: {LATER} {METHODS[method]} finds flatter minima at the large batch",
            f"sharpness at batch {large} {_until(plan, name)}, {METHODS[method]} over plain",
            flatter_by(found, found, name, method, large), planned(plan, name), plan.scale,
        )
        for method in (SAM, ASAM)
    ]  # fmt: skip
