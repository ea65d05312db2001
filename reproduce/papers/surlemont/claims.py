"""What the study asks, and the rule by which each answer is judged; the notes name what was changed after a look."""

from dataclasses import replace

import pandas as pd

from bsgap.analysis import MIN_SEEDS, Interval
from reproduce.arms import compared
from reproduce.claims import Claim
from reproduce.papers.surlemont.control_claims import control_claims
from reproduce.papers.surlemont.judging import GAP, SOURCE, WORDS, by_every_measure, flatter_by, planned
from reproduce.papers.surlemont.problems import ASAM, METHODS, PLAIN, SAM, Cell, problem
from reproduce.papers.surlemont.relation import best_rates, power, powers
from reproduce.papers.surlemont.trials import at_equal_loss, ends, matched, values
from reproduce.results import Results
from reproduce.study import Plan


def every_claim(plan: Plan, results: Results) -> list[Claim]:
    """The ledger for the figures and tables of the plan."""
    found = ends(plan, results)
    claims: list[Claim] = []
    for name in plan.networks:
        if {"accuracy", "cells"} & set(plan.artifacts):
            claims += [*_gaps(plan, results, found, name), *_accuracies(plan, found, name)]
        if {"sharpness", "minima"} & set(plan.artifacts):
            claims += _flatter(plan, found, matched(plan, results), name)
        if {"relation", "settings"} & set(plan.artifacts):
            claims += _rates(plan, results, name)
    return claims + control_claims(plan, results, found)


def _gaps(plan: Plan, results: Results, found: pd.DataFrame, name: str) -> list[Claim]:
    """What a large batch loses in a budget of epochs, and whether it is generalisation that it loses."""
    known = problem(plan, name)
    small, large = (Cell(name, PLAIN, batch) for batch in (known.batches[0], known.batches[-1]))
    accuracy, ahead = (
        [values(found, name, PLAIN, cell.batch, column) for cell in (small, large)]
        for column in ("accuracy", "ahead_on_train")
    )
    equal = at_equal_loss(plan, results, small, large)
    sizes = f"plain {name} at batch {small.batch} minus that at {large.batch}, percentage points"
    readings: tuple[tuple[str, str, str, Interval | None], ...] = (
        (
            "gap", "has the lower test accuracy at equal epochs", f"test accuracy of {sizes}",
            compared(accuracy[0], accuracy[1]),
        ),
        (
            "overfit", "is further ahead on its training examples at equal epochs",
            f"training minus test accuracy of plain {name} at batch {large.batch} minus that at {small.batch}, "
            "percentage points", compared(ahead[1], ahead[0]),
        ),
        (
            "equal-loss", "has the lower test accuracy at equal training loss",
            "test accuracy, where the training loss first comes to the lowest value that both have reached, of "
            f"{sizes}",
            compared(equal[small], equal[large]),
        ),
    )  # fmt: skip
    return [
        Claim.judged(
            f"surlemont-{key}-{name.lower()}", f"{name}: a large batch {words}", SOURCE, None, interval,
            quantity=quantity, minimal=GAP, min_seeds=planned(plan, name), scale=plan.scale,
        )
        for key, words, quantity, interval in readings
    ]  # fmt: skip


def _accuracies(plan: Plan, found: pd.DataFrame, name: str) -> list[Claim]:
    known = problem(plan, name)
    small, large = known.batches[0], known.batches[-1]
    key = name.lower()

    def at(method: str, batch: int, column: str = "accuracy") -> dict[int, float]:
        return values(found, name, method, batch, column)

    claims: list[Claim] = []
    for method in (SAM, ASAM):
        word = METHODS[method]
        claims += [
            Claim.judged(
                f"surlemont-closes-{key}-{method}", f"{name}: with {word} the large batch comes within {GAP:g} point "
                "of the small one without",
                SOURCE, None, compared(at(PLAIN, small), at(method, large)),
                quantity=f"test accuracy of plain {name} at batch {small} minus that of {word} at {large}, "
                "percentage points",
                minimal=GAP, direction="less", min_seeds=planned(plan, name), scale=plan.scale,
            ),
            Claim.judged(
                f"surlemont-ahead-{key}-{method}", f"{name}: at the large batch {word} is ahead at equal epochs",
                SOURCE, None, compared(at(method, large), at(PLAIN, large)),
                quantity=f"test accuracy at batch {large} at equal epochs, {word} minus plain, percentage points",
                minimal=0.0, min_seeds=planned(plan, name), scale=plan.scale,
            ),
            Claim.judged(
                f"surlemont-worth-{key}-{method}",
                f"{name}: at the large batch {word} is ahead at equal gradient evaluations",
                SOURCE, None, compared(at(method, large, "equal_gradients"), at(PLAIN, large, "equal_gradients")),
                quantity=f"test accuracy at batch {large} at equal gradient evaluations, {word} minus plain, "
                "percentage points",
                minimal=0.0, min_seeds=planned(plan, name), scale=plan.scale,
            ),
        ]  # fmt: skip
    return claims


def _flatter(plan: Plan, found: pd.DataFrame, at_level: pd.DataFrame, name: str) -> list[Claim]:
    """At the largest batch by each measure, at the end and at one training loss; at the others by all together."""
    *smaller, large = problem(plan, name).batches
    claims = []
    for method in (SAM, ASAM):
        for batch in smaller:
            claims.append(by_every_measure(
                f"surlemont-at-{batch}-{name.lower()}-{method}",
                f"{name}: at batch {batch} {METHODS[method]} finds flatter minima",
                f"sharpness at batch {batch} at the end, {METHODS[method]} over plain",
                flatter_by(found, found, name, method, batch), planned(plan, name), plan.scale,
            ))  # fmt: skip
        claims += [
            Claim.judged(
                f"surlemont-flatter-{measure.replace(' ', '-')}-{name.lower()}-{method}{key}",
                f"{name}: at the large batch {METHODS[method]} finds flatter minima by {words}{moment}",
                SOURCE, None, flatter_by(frame, frame, name, method, large).get(measure),
                quantity=f"sharpness by {words} at batch {large}{moment or ' at the end'}{at}, {METHODS[method]} over "
                "plain, log scale",
                minimal=1.0, direction="less", min_seeds=planned(plan, name), scale=plan.scale,
            )
            for frame, key, moment, at in (
                (found, "", "", ""), (at_level, "-matched", ", at matched training loss", _losses(at_level, name)),
            )
            for measure, words in WORDS.items()
        ]  # fmt: skip
    return claims


def _losses(at_level: pd.DataFrame, name: str) -> str:
    """Between which training losses what is matched lies."""
    here = at_level[at_level["optimizer"] == name] if len(at_level) else at_level
    return f" of {here['low'].min():.2f} to {here['high'].max():.2f}" if len(here) else ""


def _rates(plan: Plan, results: Results, name: str) -> list[Claim]:
    """The power of the batch: its interval is over batch sizes, and with candidates of one seed it has no verdict."""
    found, best = powers(plan, results), best_rates(plan, results)
    claims = []
    for method, word in METHODS.items():
        here = found[(found["optimizer"] == name) & (found["method"] == method)]
        edges = best.loc[(best["optimizer"] == name) & (best["method"] == method), "edge"].astype(bool)
        left_out = f"; of {len(edges)}, {int(edges.sum())} left out as bounds" if edges.any() else ""
        inside = len(edges) - int(edges.sum())
        over = f"power over {inside} of {len(edges)} batch sizes" if len(here) else "too many best rates are bounds"
        claim = Claim.judged(
            f"surlemont-rate-{name.lower()}-{method}",
            f"{name}, {word}: the best learning rate grows with the batch" + f", {over}" * (len(edges) > 0),
            SOURCE, None, power(plan, results, name, method),
            quantity="p of the best rate ~ batch^p, by least squares over the batch sizes whose best rate lies within "
            f"the grid{left_out}",
            minimal=0.0, over="batch sizes", scale=plan.scale,
        )  # fmt: skip
        if len(here) or len(edges) == len(problem(plan, name).batches):
            rule = f"{claim.rule}; the candidates have one seed, and a verdict asks for at least {MIN_SEEDS} seeds"
            claim = replace(claim, verdict="inconclusive", n_seeds=1, rule=rule)
        claims.append(claim)
    return claims
