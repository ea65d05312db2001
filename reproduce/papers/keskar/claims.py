"""The claims of Keskar et al. and the rules of their verdicts, declared before anything runs."""

import math
from collections.abc import Callable, Iterator

import pandas as pd

from bsgap.analysis.statistics import Interval, mean_interval, paired_interval
from reproduce.claims import Claim
from reproduce.papers.keskar.facts import reported_gap, reported_ratio
from reproduce.papers.keskar.trials import (
    EPSILONS,
    METHODS,
    distance_ratios,
    evaluation,
    few_seeds,
    main,
    measured_seeds,
    reading,
    seeds,
    setting,
    sharpness,
    warm,
    warm_starts,
)
from reproduce.results import Results
from reproduce.study import Plan

# Minimal sizes that count. Sharpness: twice; the paper's smallest ratio in Table 3 at 1e-3 is 8.7. Accuracy: half the
# gap that the paper reports for the network; half a point where it reports none (the demo's convolutional network).
SHARPER = 2.0
GAP_SHARE, GAP_DEFAULT = 0.5, 0.5
GAP_SEEDS = 5
PEAK = 1.0  # points of test accuracy lost after the peak that would count as over-fitting
DISTANCE = 1.5
FLOOR = 1e-9  # a sharpness of exactly zero has no logarithm

READING_CLAIMS = {
    "(b) matched loss": "",
    "(a) end": ", by the metric to the letter at the end of training",
    "(b) end": ", by the stronger maximiser at the end of training",
    "(a) matched loss": ", by the metric to the letter at matched loss",
}


def every_claim(plan: Plan, results: Results) -> list[Claim]:
    """Every claim that the plan's figures and tables bear on."""
    found: list[Claim] = []
    for needed, make in CLAIMS:
        if needed in plan.artifacts:
            for network in plan.networks:
                found += make(plan, results, network)
    return found


def _sharper(plan: Plan, results: Results, network: str) -> Iterator[Claim]:
    """Large-batch minima are sharper; the verdict is on the stronger maximiser at matched training loss."""
    ratio = reported_ratio(network)
    for name, words in READING_CLAIMS.items():
        values: dict[str, dict[int, float]] = {method: {} for method in METHODS}
        for seed in measured_seeds(plan, network):
            diverged = any(results.diverged(main(plan, network, method, seed)) for method in METHODS)
            for method in METHODS:
                value = results.value(reading(plan, results, network, method, seed, name, EPSILONS[0]), "value")
                if value is None and diverged:
                    value = math.nan  # one of the pair ended before they had a common level of loss
                if value is not None:
                    values[method][seed] = _floored(value)
        suffix = "" if not words else "-" + name.replace("(", "").replace(")", "").replace(" ", "-")
        yield Claim.judged(
            f"keskar-sharper-{network.lower()}{suffix}",
            f"{network}: large-batch minima are sharper{words}",
            "Table 3",
            f"{ratio:.3g} (D, from P)" if ratio is not None else None,
            _paired(values["LB"], values["SB"], "ratio"),
            quantity=f"sharpness LB over SB in the full space, ε = 1e-3, reading {name}, ratio on the log scale",
            minimal=SHARPER,
            scale=plan.scale,
        )


def _gap(plan: Plan, results: Results, network: str) -> Iterator[Claim]:
    accuracies: dict[str, dict[int, float]] = {method: {} for method in METHODS}
    for seed in seeds(plan, network):
        for method in METHODS:
            value = results.value(evaluation(plan, network, main(plan, network, method, seed)), "test_accuracy")
            if value is not None:
                accuracies[method][seed] = 100 * value
    gap = reported_gap(network)
    yield Claim.judged(
        f"keskar-gap-{network.lower()}",
        f"{network}: the small batch generalises better",
        "Table 2",
        f"{gap:.2f} points (D, from P)" if gap is not None else None,
        _paired(accuracies["SB"], accuracies["LB"], "difference"),
        quantity="test accuracy SB minus LB at the end of training, percentage points",
        minimal=_minimal_gap(network),
        min_seeds=GAP_SEEDS,
        scale=plan.scale,
    )


def _minimal_gap(network: str) -> float:
    gap = reported_gap(network)
    return GAP_DEFAULT if gap is None else round(GAP_SHARE * gap, 3)


def peak_loss(curves: pd.DataFrame) -> float:
    """Points of test accuracy between the best and the last running median of five evaluations at ends of epochs."""
    test = curves[(curves["metric"] == "test_accuracy") & (curves["epoch"] > 0)].sort_values("epoch")
    smooth = 100 * test["value"].rolling(5, min_periods=1).median()
    return float(smooth.max() - smooth.iloc[-1]) if len(smooth) else math.nan


def _no_peak(plan: Plan, results: Results, network: str) -> Iterator[Claim]:
    losses = {}
    for seed in seeds(plan, network):
        trial = main(plan, network, "LB", seed)
        curves = results.curves(trial)
        if curves is not None:
            losses[seed] = math.nan if results.diverged(trial) else peak_loss(curves)
    yield Claim.judged(
        f"keskar-no-peak-{network.lower()}",
        f"{network}: large-batch test accuracy does not peak and then decay",
        "Fig. 2",
        "no such peak (P)",
        mean_interval(losses) if losses else None,
        quantity="LB test accuracy, best running median of five evaluations minus the last one, points",
        minimal=PEAK,
        direction="less",
        scale=plan.scale,
    )


def _closer(plan: Plan, results: Results, network: str) -> Iterator[Claim]:
    ratios = distance_ratios(plan, results, network)
    yield Claim.judged(
        f"keskar-closer-{network.lower()}",
        f"{network}: the large-batch solution lies closer to the start",
        "Sect. 2.3",
        "ratio 3 to 10 (P)",
        _paired(ratios, dict.fromkeys(ratios, 1.0), "ratio") if ratios else None,
        quantity="distance from the start, SB over LB, ratio on the log scale",
        minimal=DISTANCE,
        scale=plan.scale,
    )


def _warm(plan: Plan, results: Results, network: str) -> Iterator[Claim]:
    """Warm start helps: against large-batch training from the random start, at the latest start that was reached."""
    if not setting(plan, network).starts:
        return
    accuracy: dict[str, dict[int, float]] = {"warm": {}, "cold": {}}
    sharp: dict[str, dict[int, float]] = {"warm": {}, "cold": {}}
    for seed in few_seeds(plan, network):
        starts = warm_starts(plan, results, network, seed)
        if not starts:
            continue
        runs = {"warm": warm(plan, network, max(starts), seed), "cold": main(plan, network, "LB", seed)}
        for name, trial in runs.items():
            right = results.value(evaluation(plan, network, trial), "test_accuracy")
            found = results.value(sharpness(plan, network, trial, "final", "sign", EPSILONS[0]), "value")
            if right is not None and found is not None:
                accuracy[name][seed] = 100 * right
                sharp[name][seed] = _floored(found)
    yield Claim.judged(
        f"keskar-warm-accuracy-{network.lower()}",
        f"{network}: large-batch training from a small-batch iterate generalises better than from the random start",
        "Fig. 5",
        "rises to the small batch's (P, curve)",
        _paired(accuracy["warm"], accuracy["cold"], "difference"),
        quantity="test accuracy, latest warm start minus random start, percentage points",
        minimal=_minimal_gap(network),
        scale=plan.scale,
    )
    yield Claim.judged(
        f"keskar-warm-sharpness-{network.lower()}",
        f"{network}: large-batch training from a small-batch iterate ends in a flatter minimum",
        "Fig. 5",
        "falls with the start's epoch (P, curve)",
        _paired(sharp["cold"], sharp["warm"], "ratio"),
        quantity="sharpness at the end, random start over latest warm start, ε = 1e-3, reading (b), log-scale ratio",
        minimal=SHARPER,
        scale=plan.scale,
    )


def _floored(sharpness: float) -> float:
    return sharpness if math.isnan(sharpness) else max(sharpness, FLOOR)


def _paired(a: dict[int, float], b: dict[int, float], effect: str) -> Interval | None:
    return paired_interval(a, b, effect) if a and b else None  # type: ignore[arg-type]


CLAIMS: tuple[tuple[str, Callable[[Plan, Results, str], Iterator[Claim]]], ...] = (
    ("table3", _sharper),
    ("table2", _gap),
    ("fig2", _no_peak),
    ("distance", _closer),
    ("fig5", _warm),
)
