"""The figures and tables of Keskar et al.: what each needs, and the frame that it draws."""

import json
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from reproduce import drawing
from reproduce.papers.keskar.trials import (
    EPSILONS,
    METHODS,
    READINGS,
    SETTINGS,
    SUBSPACE,
    evaluation,
    main,
    matched,
    measured_seeds,
    pairs,
    path,
    reading,
    readings,
    seeds,
    setting,
    sharpness,
    sweep,
    travelled,
    warm,
    warm_starts,
)
from reproduce.results import Results
from reproduce.study import Artifact, Measure, Plan, Trial

FACTS = Path(__file__).parent.parent / "facts"
SWEEP_READINGS = {"(a) L-BFGS-B": "lbfgsb", "(b) sign ascent": "sign"}
NAN = float("nan")


@cache
def reported(name: str) -> dict[str, Any]:
    """The paper's numbers: `table2`, `table3`, `table4`; tag P."""
    facts: dict[str, Any] = json.loads((FACTS / "keskar_tables.json").read_text())
    return facts[name]


def _reported_frame(name: str, plan: Plan, groups: bool) -> pd.DataFrame:
    rows = []
    for network, cells in reported(name)["rows"].items():
        for column, (mean, std) in zip(reported(name)["columns"], cells, strict=True):
            group, method = column.split(" ")
            place = {"group": _epsilon(float(group)), "column": method} if groups else {"column": column}
            rows.append({"row": network, "mean": mean, "std": std, "source": "P", **place})
    frame = pd.DataFrame(rows)
    return frame[frame["row"].isin([*plan.networks, *plan.not_run])]


def _epsilon(value: float) -> str:
    return f"ε = {value:g}".replace("0.001", "1e-3").replace("0.0005", "5e-4")


def _footer(plan: Plan, networks: list[str], results: Results, statistics: bool = True, **more: Any) -> drawing.Footer:
    data = "; ".join(setting(plan, network).data for network in networks)
    counts = {plan.seeds[network] for network in networks}
    notes = [] if len(counts) == 1 else [", ".join(f"{net}: {plan.seeds[net]} seeds" for net in networks)]
    samples = {setting(plan, network).examples for network in networks} - {None}
    if statistics and samples:
        notes += [f"training loss over {max(s for s in samples if s):,} examples at most"]
    return drawing.Footer(
        plan.scale, data, max(counts), "batch" if statistics else "", results.machine_class, sorted(plan.not_run),
        [*notes, *more.get("notes", [])],
    )  # fmt: skip


def _networks(plan: Plan, field: str) -> list[str]:
    return [network for network in plan.networks if getattr(setting(plan, network), field)]


def _each(plan: Plan) -> Iterator[tuple[str, int, str, Trial]]:
    for network in plan.networks:
        for seed, method in product(seeds(plan, network), METHODS):
            yield network, seed, method, main(plan, network, method, seed)


def _no_measures(plan: Plan, results: Results) -> list[Measure]:
    return []


# Table 2 -------------------------------------------------------------------------------------------------------------
def _table2_measures(plan: Plan, results: Results) -> list[Measure]:
    return [evaluation(plan, network, trial) for network, _, _, trial in _each(plan)]


def _table2(plan: Plan, results: Results) -> tuple[drawing.Table, pd.DataFrame] | None:
    rows = []
    for network, seed, method, trial in _each(plan):
        found = results.measured(evaluation(plan, network, trial))
        if found is not None:
            rows += [
                {"row": network, "column": f"{split} {method}", "seed": seed, "value": 100 * found[f"{split}_accuracy"]}
                for split in ("train", "test")
            ]
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    return drawing.beside(frame, _reported_frame("table2", plan, False), decimals=2), frame


# Tables 3 and 4 ------------------------------------------------------------------------------------------------------
def _table3(plan: Plan, results: Results) -> tuple[drawing.Table, pd.DataFrame] | None:
    rows = []
    for (network, seed, method, _), name, epsilon in product(_each(plan), READINGS, EPSILONS):
        measure = reading(plan, results, network, method, seed, name, epsilon)
        found = results.measured(measure) if measure else None
        if found is not None:
            place = {"row": network, "reading": name, "group": _epsilon(epsilon), "column": method, "seed": seed}
            rows.append({**place, "value": found["value"]})
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    return drawing.stacked(frame, _reported_frame("table3", plan, True)), frame


def _table4_measures(plan: Plan, results: Results) -> list[Measure]:
    return [
        sharpness(plan, network, trial, "final", "lbfgsb", epsilon, SUBSPACE)
        for (network, seed, _, trial), epsilon in product(_each(plan), EPSILONS)
        if seed in measured_seeds(plan, network)
    ]


def _table4(plan: Plan, results: Results) -> tuple[drawing.Table, pd.DataFrame] | None:
    rows = []
    for (network, seed, method, trial), epsilon in product(_each(plan), EPSILONS):
        found = results.measured(sharpness(plan, network, trial, "final", "lbfgsb", epsilon, SUBSPACE))
        if found is not None:
            place = {"row": network, "reading": "(a) end", "group": _epsilon(epsilon), "column": method, "seed": seed}
            rows.append({**place, "value": found["value"], "scaling": found["scaling"]})
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    return drawing.stacked(frame, _reported_frame("table4", plan, True)), frame


# Fig. 2 --------------------------------------------------------------------------------------------------------------
def _fig2(plan: Plan, results: Results) -> tuple[Figure, pd.DataFrame] | None:
    parts = []
    for network, seed, method, trial in _each(plan):
        curves = results.curves(trial)
        if curves is None:
            continue
        ends = curves[curves["metric"].str.endswith("_accuracy") & (curves["epoch"] % 1 == 0)]
        split = ends["metric"].str.removesuffix("_accuracy")
        rows = pd.DataFrame({"epoch": ends["epoch"], "split": split, "accuracy": 100 * ends["value"]})
        parts.append(rows.assign(network=network, method=method, seed=seed))
    if not parts:
        return None
    frame = pd.concat(parts, ignore_index=True)
    labels = {"SB": "small batch", "LB": "large batch"}
    footer = _footer(plan, list(plan.networks), results, notes=["train: fixed sample of training examples"])
    titles = _titles(plan)
    return drawing.epoch_curves(frame, footer, labels=labels, titles=titles), frame


def _titles(plan: Plan) -> dict[str, str]:
    return {
        network: f"{network} (SB {setting(plan, network).small}, LB {setting(plan, network).large})"
        for network in plan.networks
    }


# Figs 3 and 7 --------------------------------------------------------------------------------------------------------
def _paths(plan: Plan, results: Results, shape: str) -> tuple[Figure, pd.DataFrame] | None:
    rows = []
    for network in plan.networks:
        found = results.measured(path(plan, network, 0, shape))
        if found is None:
            continue
        for split, losses in found["losses"].items():
            rows += [
                {"network": network, "seed": 0, "alpha": alpha, "split": split, "loss": loss, "accuracy": 100 * right}
                for alpha, loss, right in zip(found["alphas"], losses, found["accuracies"][split], strict=True)
            ]
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    shown = list(frame["network"].unique())
    footer = _footer(plan, shown, results, notes=["one pair of runs (seed 0), as in the paper"])
    authors = _authors(plan, shown) if shape == "linear" else None
    return drawing.path_figure(frame, footer, kind=shape, authors=authors, titles=_titles(plan)), frame  # type: ignore[arg-type]


def _authors(plan: Plan, networks: list[str]) -> pd.DataFrame | None:
    """The authors' own curves, where network and data are theirs."""
    known = json.loads((FACTS / "keskar_fig3.json").read_text())["networks"]
    rows = []
    for network in networks:
        if network not in known or "analogue" in setting(plan, network).data:
            continue
        curves = known[network]
        for split, index in product(("train", "test"), range(len(curves["alpha"]))):
            rows.append(
                {
                    "network": network, "alpha": curves["alpha"][index], "split": split,
                    "loss": curves[f"loss_{split}"][index], "accuracy": curves[f"acc_{split}"][index],
                }
            )  # fmt: skip
    return pd.DataFrame(rows) if rows else None


# Fig. 4 --------------------------------------------------------------------------------------------------------------
def _fig4_each(plan: Plan) -> Iterator[tuple[str, int, int, Trial]]:
    for network in _networks(plan, "sweep"):
        for batch, seed in product(setting(plan, network).sweep, seeds(plan, network)[:3]):
            yield network, batch, seed, sweep(plan, network, batch, seed)


def _fig4_measures(plan: Plan, results: Results) -> list[Measure]:
    found: list[Measure] = []
    for network, _, _, trial in _fig4_each(plan):
        found.append(evaluation(plan, network, trial))
        found += [sharpness(plan, network, trial, "final", name, EPSILONS[0]) for name in SWEEP_READINGS.values()]
    return found


def _fig4(plan: Plan, results: Results) -> tuple[Figure, pd.DataFrame] | None:
    rows = []
    for network, batch, seed, trial in _fig4_each(plan):
        accuracy = results.measured(evaluation(plan, network, trial))
        for word, maximiser in SWEEP_READINGS.items():
            found = results.measured(sharpness(plan, network, trial, "final", maximiser, EPSILONS[0]))
            if accuracy is not None and found is not None:
                place = {"network": network, "batch_size": batch, "seed": seed, "reading": word}
                rows.append({**place, "test_accuracy": 100 * accuracy["test_accuracy"], "sharpness": found["value"]})
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    footer = _footer(plan, list(frame["network"].unique()), results, notes=["ε = 1e-3, at the end of training"])
    return drawing.against_batch(frame, footer), frame


# Fig. 5 --------------------------------------------------------------------------------------------------------------
def _fig5_each(plan: Plan, results: Results | None) -> Iterator[tuple[str, int, int]]:
    for network in _networks(plan, "starts"):
        for seed in seeds(plan, network)[:3]:
            known = setting(plan, network).starts if results is None else warm_starts(plan, results, network, seed)
            for epoch in known:
                yield network, seed, epoch


def _fig5_trials(plan: Plan) -> list[Trial]:
    found = [main(plan, net, method, seed) for net, seed, _ in _fig5_each(plan, None) for method in METHODS]
    return found + [warm(plan, network, epoch, seed) for network, seed, epoch in _fig5_each(plan, None)]


def _fig5_measures(plan: Plan, results: Results) -> list[Measure]:
    found: list[Measure] = []
    for network, seed, epoch in _fig5_each(plan, results):
        trial = warm(plan, network, epoch, seed)
        found.append(evaluation(plan, network, main(plan, network, "SB", seed), f"epoch-{epoch}"))
        found.append(evaluation(plan, network, trial))
        found.append(sharpness(plan, network, trial, "final", "sign", EPSILONS[0]))
        large = main(plan, network, "LB", seed)
        found.append(evaluation(plan, network, large))
        found.append(sharpness(plan, network, large, "final", "sign", EPSILONS[0]))
    return found


def _fig5(plan: Plan, results: Results) -> tuple[Figure, pd.DataFrame] | None:
    rows = []
    for network, seed, epoch in _fig5_each(plan, results):
        trial = warm(plan, network, epoch, seed)
        small = results.measured(evaluation(plan, network, main(plan, network, "SB", seed), f"epoch-{epoch}"))
        large = results.measured(evaluation(plan, network, trial))
        found = results.measured(sharpness(plan, network, trial, "final", "sign", EPSILONS[0]))
        if small and large and found:
            rows.append(
                {
                    "network": network, "seed": seed, "sb_epoch": epoch, "reading": "(b) sign ascent",
                    "sb_accuracy": 100 * small["test_accuracy"], "lb_accuracy": 100 * large["test_accuracy"],
                    "sharpness": found["value"],
                }
            )  # fmt: skip
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    shown = list(frame["network"].unique())
    epochs = "; ".join(f"{net}: {setting(plan, net).warm_epochs} large-batch epochs from each start" for net in shown)
    footer = _footer(plan, shown, results, notes=[epochs, "ε = 1e-3"])
    return drawing.warm_start(frame, footer), frame


# Fig. 6 --------------------------------------------------------------------------------------------------------------
def _fig6_each(plan: Plan, results: Results) -> Iterator[tuple[str, int, str, Trial, str, dict[str, float]]]:
    for network, seed, method, trial in _each(plan):
        if seed < setting(plan, network).followed:
            for name, moment in results.kept(trial).items():
                if name.startswith("loss-"):
                    yield network, seed, method, trial, name, moment


def _fig6_measures(plan: Plan, results: Results) -> list[Measure]:
    return [
        sharpness(plan, network, trial, name, "sign", EPSILONS[0])
        for network, _, _, trial, name, _ in _fig6_each(plan, results)
    ]


def _fig6(plan: Plan, results: Results) -> tuple[Figure, pd.DataFrame] | None:
    rows = []
    for network, seed, method, trial, name, moment in _fig6_each(plan, results):
        found = results.measured(sharpness(plan, network, trial, name, "sign", EPSILONS[0]))
        if found is not None:
            place = {"network": network, "method": method, "seed": seed, "epoch": moment["epoch"]}
            place |= {"reading": "(b) sign ascent", "loss": found["start_loss"]}
            rows.append({**place, "sharpness": found["value"]})
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    footer = _footer(plan, list(frame["network"].unique()), results, notes=["ε = 1e-3, at declared loss levels"])
    return drawing.scatter_path(frame, footer), frame


# The distance ratio --------------------------------------------------------------------------------------------------
def distance_ratios(plan: Plan, results: Results, network: str) -> dict[int, float]:
    """Seed -> distance that the small-batch run travelled over that of the large-batch run."""
    found = {}
    for seed in seeds(plan, network):
        ends = [results.measured(travelled(plan, network, method, seed)) for method in METHODS]
        if ends[0] and ends[1]:
            found[seed] = ends[0]["distance"] / ends[1]["distance"]
    return found


def _distance_measures(plan: Plan, results: Results) -> list[Measure]:
    return [travelled(plan, network, method, seed) for network, seed, method, _ in _each(plan)]


def _distance(plan: Plan, results: Results) -> tuple[Figure, pd.DataFrame] | None:
    rows = [
        {"network": network, "seed": seed, "ratio": ratio}
        for network in plan.networks
        for seed, ratio in distance_ratios(plan, results, network).items()
    ]
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    shown = list(frame["network"].unique())
    ranges = pd.DataFrame([{"network": network, "low": 3.0, "high": 10.0} for network in shown])
    figure = drawing.points(
        frame, _footer(plan, shown, results, False), value="ratio", y_label="distance travelled, SB / LB",
        reported=ranges, reported_label="reported: 3 to 10 [P]",
    )  # fmt: skip
    return figure, frame


_METRIC = (
    "Metric 2.1: the largest relative increase (per cent) of the training loss in a box of half-width ε(|x_i|+1) around "
    "the solution, by (a) the metric to the letter, ten iterations of L-BFGS-B, and (b) projected sign-gradient ascent. "
    "Matched loss: the lowest declared level of training loss that both runs of a seed reached."
)
_SUBSPACE = (
    "As Table 3, reading (a), in the span of 100 random directions. The paper leaves their distribution open, and the "
    "numbers depend on its scale by orders of magnitude: compare the ratio of LB to SB. Here the rows of A⁺ are normal "
    "and scaled to unit length; both runs of a seed share the subspace."
)
_SHORT = "Sharpness is Metric 2.1 in the full space at ε = 1e-3"

ARTIFACTS = (
    Artifact(
        "table2", "Accuracy of small-batch and large-batch solutions",
        "Training and test accuracy in per cent at the end of training, mean ± standard deviation (number of seeds).",
        "table", pairs, _table2_measures, _table2,
    ),
    Artifact(
        "table3", "Sharpness in the full space",
        _METRIC, "table", pairs, readings, _table3,
    ),
    Artifact(
        "table4", "Sharpness in a random 100-dimensional subspace",
        _SUBSPACE, "table", pairs, _table4_measures, _table4,
    ),
    Artifact(
        "fig2", "Train and test accuracy by epoch",
        "No curve of test accuracy rises to a peak and then decays: the gap is not over-fitting in that sense.",
        "figure", pairs, _no_measures, _fig2,
    ),
    Artifact(
        "fig3", "Loss and accuracy on the line between the two solutions",
        "α = 0 is the small-batch solution, α = 1 the large-batch one, trained from the same start. BatchNorm "
        "statistics are taken from each evaluation batch, as in the authors' code.",
        "figure", lambda plan: [t for t in pairs(plan) if t.seed == 0],
        lambda plan, results: [path(plan, network, 0, "linear") for network in plan.networks],
        lambda plan, results: _paths(plan, results, "linear"),
    ),
    Artifact(
        "fig4", "Test accuracy and sharpness against batch size",
        _SHORT + ", at the end of training: (a) by L-BFGS-B, (b) by sign ascent on the same box.", "figure",
        lambda plan: [trial for *_, trial in _fig4_each(plan)], _fig4_measures, _fig4,
    ),
    Artifact(
        "fig5", "Large-batch training from small-batch iterates",
        "Upper: test accuracy of the small-batch iterate and of large-batch training started from it. Lower: "
        "sharpness of what that training finds. " + _SHORT + ", by sign ascent.", "figure", _fig5_trials, _fig5_measures, _fig5,
    ),
    Artifact(
        "fig6", "Sharpness against training loss along a run",
        "At the moments at which the loss first fell below declared levels. " + _SHORT + ", by sign ascent.", "figure",
        pairs, _fig6_measures, _fig6,
    ),
    Artifact(
        "fig7", "Loss and accuracy on the curvilinear path",
        "The path is sin(απ/2) x_LB + cos(απ/2) x_SB; α = 0 is the small-batch solution, α = 1 the large-batch one.",
        "figure", lambda plan: [t for t in pairs(plan) if t.seed == 0],
        lambda plan, results: [path(plan, network, 0, "curvilinear") for network in plan.networks],
        lambda plan, results: _paths(plan, results, "curvilinear"),
    ),
    Artifact(
        "distance", "Distance from the start, small batch over large batch",
        "Ratio of the Euclidean distances between the initial and the final parameters of the two runs of a seed.",
        "figure", pairs, _distance_measures, _distance,
    ),
)  # fmt: skip

__all__ = ["ARTIFACTS", "SETTINGS", "distance_ratios", "matched", "reported"]
