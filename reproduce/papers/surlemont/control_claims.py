"""What the controls are asked, and the rule by which each answer is judged: declared before any of their runs."""

import pandas as pd

from bsgap.analysis import MIN_SEEDS
from reproduce.arms import compared
from reproduce.claims import Claim
from reproduce.papers.surlemont.controls import LONGER, at_its_rate, longer_ends, same_rate, seeds
from reproduce.papers.surlemont.judging import GAP, SOURCE, by_every_measure, flatter_by, values
from reproduce.papers.surlemont.problems import ASAM, METHODS, PLAIN, SAM, problem
from reproduce.papers.surlemont.trials import ends
from reproduce.results import Results
from reproduce.study import Plan


def control_claims(plan: Plan, results: Results, name: str) -> list[Claim]:
    """The ledger of an optimizer for the controls of the plan."""
    claims = []
    if "same-rate" in plan.artifacts:
        claims += _at_one_rate(plan, results, name)
    if {"longer", "longer-minima"} & set(plan.artifacts):
        claims += _longer(plan, longer_ends(plan, results), name)
    return claims


def _least(plan: Plan, name: str) -> int:
    return max(MIN_SEEDS, seeds(plan, name))


def _at_one_rate(plan: Plan, results: Results, name: str) -> list[Claim]:
    """Wherever the rate that suits SAM or ASAM is not that which suits the plain optimizer."""
    found, claims = ends(plan, results), []
    for cell in at_its_rate(plan, results):
        if cell.network != name:
            continue
        plain = same_rate(plan, results, cell)
        claims.append(by_every_measure(
            f"surlemont-same-rate-{cell.batch}-{name.lower()}-{cell.method}",
            f"{name}: at batch {cell.batch} and one rate {METHODS[cell.method]} finds flatter minima",
            f"sharpness at batch {cell.batch} at the end, {METHODS[cell.method]} over plain at its rate",
            flatter_by(found, plain, name, cell.method, cell.batch), _least(plan, name), plan.scale,
        ))  # fmt: skip
    return claims


def _longer(plan: Plan, found: pd.DataFrame, name: str) -> list[Claim]:
    """The gap, whether it is closed, and flatness, after longer training."""
    known = problem(plan, name)
    small, large = known.batches[0], known.batches[-1]
    least, later = _least(plan, name), "after longer training"
    until = f"where the loss ceased to fall or {LONGER * known.epochs} epochs were over"
    accuracy = {
        (method, batch): values(found, name, method, batch, "accuracy")
        for method in METHODS
        for batch in (small, large)
    }
    claims = [Claim.judged(
        f"surlemont-longer-gap-{name.lower()}", f"{name}: {later} the large batch has the lower test accuracy",
        SOURCE, None, compared(accuracy[PLAIN, small], accuracy[PLAIN, large]),
        quantity=f"test accuracy, {until}, of plain {name} at batch {small} minus that at {large}, percentage points",
        minimal=GAP, min_seeds=least, scale=plan.scale,
    )]  # fmt: skip
    for method in (SAM, ASAM):
        word, key = METHODS[method], f"{name.lower()}-{method}"
        claims += [
            Claim.judged(
                f"surlemont-longer-closes-{key}", f"{name}: {later} the large batch with {word} comes within {GAP:g} "
                "point of the small one without",
                SOURCE, None, compared(accuracy[PLAIN, small], accuracy[method, large]),
                quantity=f"test accuracy, {until}, of plain {name} at batch {small} minus that of {word} at {large}, "
                "percentage points",
                minimal=GAP, direction="less", min_seeds=least, scale=plan.scale,
            ),
            by_every_measure(
                f"surlemont-longer-flatter-{key}", f"{name}: {later} {word} finds flatter minima at the large batch",
                f"sharpness at batch {large} {until}, {word} over plain",
                flatter_by(found, found, name, method, large), least, plan.scale,
            ),
        ]  # fmt: skip
    return claims
