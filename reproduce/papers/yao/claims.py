"""What Yao et al. claim, and the rule by which each claim is judged. All declared before anything ran."""

import math

import numpy as np

from bsgap.analysis import Interval, slope_interval
from reproduce.arms import averaged, compared
from reproduce.claims import Claim
from reproduce.papers.yao.trials import attack_frame, by_seed, spectrum_frame, sweep
from reproduce.results import Results
from reproduce.study import Plan

GROWTH = 2.0
"""Factor by which the largest eigenvalue must grow from the smallest to the largest batch size."""
POWER = 0.1
"""Least power of the batch size with which it must grow; GROWTH over a factor of 64 in batch size is 1/6."""
SADDLE = 0.1
"""Share of the largest eigenvalue below which the most negative one counts as that of a minimum."""
RECALLED = "as recalled"
"""Source of the claims: the paper was not at hand."""
LESS = 2.0
"""Percentage points by which the small batch must keep more under attack."""


def every_claim(plan: Plan, results: Results) -> list[Claim]:
    """The ledger for the figures of the plan."""
    claims: list[Claim] = []
    for name in plan.networks:
        if "spectrum" in plan.artifacts:
            claims += [*_growth(plan, results, name), _power(plan, results, name), _saddle(plan, results, name)]
        if "robustness" in plan.artifacts:
            claims += _robustness(plan, results, name)
    return claims


def _growth(plan: Plan, results: Results, name: str) -> list[Claim]:
    """The largest eigenvalue at the largest over that at the smallest batch, at the end and at matched loss."""
    frame, chosen = spectrum_frame(plan, results), sweep(plan, name)
    frame = frame[(frame["network"] == name) & (frame["which"] == 1)]
    small, large = chosen.batches[0], chosen.batches[-1]
    found = []
    for moment, suffix, words in (("end", "", ""), ("matched", "-matched-loss", ", at matched training loss")):
        values = {
            batch: _positive(by_seed(frame, moment=moment, batch=batch)) for batch in (small, large)
        }  # fmt: skip
        found.append(Claim.judged(
            f"yao-eigenvalue-{name.lower()}{suffix}",
            f"{name}: the largest Hessian eigenvalue grows with the batch size{words}", RECALLED, None,
            compared(values[large], values[small], "ratio"),
            quantity=f"{chosen.problem.label}: λ1 of the training loss at batch {large} over that at {small}, "
            + ("at the end of training" if moment == "end" else "at the lowest declared loss that all sizes reached")
            + ", ratio on the log scale",
            minimal=GROWTH, scale=plan.scale,
        ))  # fmt: skip
    return found


def _positive(values: dict[int, float]) -> dict[int, float]:
    """Without a positive value there is no ratio: such a seed counts as lost."""
    return {seed: value if value > 0 else math.nan for seed, value in values.items()}


def _power(plan: Plan, results: Results, name: str) -> Claim:
    """The power of the batch size with which the largest eigenvalue grows, over all sizes."""
    frame, chosen = spectrum_frame(plan, results), sweep(plan, name)
    frame = frame[(frame["network"] == name) & (frame["which"] == 1) & (frame["moment"] == "end")]
    values = {batch: _positive(by_seed(frame, batch=batch)) for batch in chosen.batches}
    seeds = sorted(set.intersection(*(set(found) for found in values.values())))
    interval: Interval | None = None
    if seeds:
        rows = [[math.log(values[batch][seed]) for batch in chosen.batches] for seed in seeds]
        interval = slope_interval(np.log(chosen.batches).tolist(), rows)
    return Claim.judged(
        f"yao-power-{name.lower()}", f"{name}: over all batch sizes the eigenvalue follows a rising power of the batch",
        RECALLED, None, interval,
        quantity=f"{chosen.problem.label}: slope of ln λ1 over ln(batch size) at the end of training, one a seed",
        minimal=POWER, scale=plan.scale,
    )  # fmt: skip


def _saddle(plan: Plan, results: Results, name: str) -> Claim:
    """At the largest batch the most negative eigenvalue is small against the largest."""
    frame, chosen = spectrum_frame(plan, results), sweep(plan, name)
    batch = chosen.batches[-1]
    frame = frame[(frame["network"] == name) & (frame["moment"] == "end") & (frame["batch"] == batch)]
    top, low = _positive(by_seed(frame, which=1)), by_seed(frame, which=0)
    shares = {seed: max(0.0, -low[seed]) / top[seed] for seed in top if seed in low}
    return Claim.judged(
        f"yao-saddle-{name.lower()}", f"{name}: large-batch training does not end in a saddle point", RECALLED, None,
        averaged(shares),
        quantity=f"{chosen.problem.label}: size of the most negative eigenvalue over the largest one at batch {batch}, "
        "at the end of training",
        minimal=SADDLE, direction="less", scale=plan.scale,
    )  # fmt: skip


def _robustness(plan: Plan, results: Results, name: str) -> list[Claim]:
    """Under attack the large batch keeps less of its accuracy."""
    frame, chosen = attack_frame(plan, results), sweep(plan, name)
    frame = frame[(frame["network"] == name) & (frame["epsilon"] == chosen.attack)]
    small, large = chosen.batches[0], chosen.batches[-1]
    readings = (
        ("kept", "", "", "share of the accuracy without attack that is left"),
        ("accuracy", "-absolute", ", by the accuracy that is left", "test accuracy that is left"),
    )
    return [
        Claim.judged(
            f"yao-robust-{name.lower()}{suffix}",
            f"{name}: large-batch models are less robust to adversarial perturbation{words}", RECALLED, None,
            compared(by_seed(frame, column, batch=small), by_seed(frame, column, batch=large)),
            quantity=f"{chosen.problem.label}: {what} under FGSM at ε = {chosen.attack:g}, batch {small} minus batch "
            f"{large}, percentage points",
            minimal=LESS, scale=plan.scale,
        )
        for column, suffix, words, what in readings
    ]  # fmt: skip
