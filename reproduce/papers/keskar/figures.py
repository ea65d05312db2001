"""The figures of Keskar et al.: what each needs, and the frame that it draws."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from reproduce import drawing
from reproduce.papers.keskar.facts import authors_curves
from reproduce.papers.keskar.trials import (
    EPSILONS,
    distance_ratios,
    each,
    evaluation,
    few_seeds,
    iterates,
    main,
    path,
    setting,
    sharpness,
    sweep,
    travelled,
    warm,
    warm_starts,
)
from reproduce.results import Results
from reproduce.study import Measure, Plan, Trial

Drawn = tuple[Figure, pd.DataFrame]
SWEEP_READINGS = {"(a) L-BFGS-B": "lbfgsb", "(b) sign ascent": "sign"}
LABELS = {"SB": "small batch", "LB": "large batch"}


def _footer(
    plan: Plan, frame: pd.DataFrame, results: Results, *notes: str, statistics: bool = True, sampled: bool = True
) -> drawing.Footer:
    """Where the numbers of `frame` come from; the seeds are those that it holds."""
    counts = {
        str(network): int(seeds) for network, seeds in frame.groupby("network", sort=False)["seed"].nunique().items()
    }
    samples = {network: setting(plan, network).examples for network in counts}
    over = [f"{count:,} examples ({network})" for network, count in samples.items() if count]
    if statistics and sampled and over:
        notes = (f"training loss over {', '.join(over)}", *notes)
    data = "; ".join(setting(plan, network).data for network in counts)
    return drawing.Footer(
        plan.scale, data, _seeds_text(counts), "batch" if statistics else "", results.machine_class,
        sorted(plan.not_run), notes,
    )  # fmt: skip


def _seeds_text(counts: dict[str, int]) -> int | str:
    """The number of seeds, or `F1: 5 seeds, C1: 3 seeds` where it is not one number."""
    if len(set(counts.values())) == 1:
        return next(iter(counts.values()))
    return ", ".join(f"{network}: {count} seeds" for network, count in counts.items())


def _frame(rows: list[dict[str, Any]], needed: str) -> pd.DataFrame | None:
    """The rows of networks that have at least one positive number to draw; None where there is none."""
    frame = pd.DataFrame(rows, columns=list(rows[0]) if rows else ["network", needed])
    drawn = set(frame["network"][frame[needed] > 0])
    return frame[frame["network"].isin(drawn)] if drawn else None


def _titles(plan: Plan) -> dict[str, str]:
    return {
        network: f"{network} (SB {setting(plan, network).small}, LB {setting(plan, network).large})"
        for network in plan.networks
    }


def curves(plan: Plan, results: Results) -> Drawn | None:
    """Fig. 2."""
    parts = []
    for network, seed, method, trial in each(plan):
        found = results.curves(trial)
        if found is None:
            continue
        ends = found[found["metric"].str.endswith("_accuracy") & (found["epoch"] % 1 == 0)]
        split = ends["metric"].str.removesuffix("_accuracy")
        rows = pd.DataFrame({"epoch": ends["epoch"], "split": split, "accuracy": 100 * ends["value"]})
        parts.append(rows.assign(network=network, method=method, seed=seed))
    if not parts:
        return None
    frame = pd.concat(parts, ignore_index=True)
    # Beyond the first stop a mean over seeds would be one over those that happened to go on.
    ends = frame.groupby(["network", "method", "seed"])["epoch"].max().groupby(["network", "method"]).min()
    frame = frame[frame["epoch"] <= frame.set_index(["network", "method"]).index.map(ends)]
    notes = ("train: fixed sample of training examples", "a curve ends where the first of its runs stopped")
    footer = _footer(plan, frame, results, *notes, sampled=False)
    return drawing.epoch_curves(frame, footer, labels=LABELS, titles=_titles(plan)), frame


def path_trials(plan: Plan) -> list[Trial]:
    """The pair of runs of seed 0, of every network."""
    return [trial for trial in (trial for *_, trial in each(plan)) if trial.seed == 0]


def path_measures(plan: Plan, shape: str) -> list[Measure]:
    """The path between the solutions of that pair."""
    return [path(plan, network, 0, shape) for network in plan.networks]


def paths(plan: Plan, results: Results, shape: str) -> Drawn | None:
    """Fig. 3 (`linear`) or Fig. 7 (`curvilinear`)."""
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
    footer = _footer(plan, frame, results, "one pair of runs (seed 0), as in the paper")
    authors = authors_curves(plan, list(frame["network"].unique())) if shape == "linear" else None
    return drawing.path_figure(frame, footer, kind=shape, authors=authors, titles=_titles(plan)), frame  # type: ignore[arg-type]


def _sweeps(plan: Plan) -> Iterator[tuple[str, int, int, Trial]]:
    for network in plan.networks:
        for batch, seed in product(setting(plan, network).sweep, few_seeds(plan, network)):
            yield network, batch, seed, sweep(plan, network, batch, seed)


def sweep_trials(plan: Plan) -> list[Trial]:
    """Runs of every batch size of Fig. 4."""
    return [trial for *_, trial in _sweeps(plan)]


def sweep_measures(plan: Plan, results: Results) -> list[Measure]:
    """Accuracy and sharpness of these runs."""
    found: list[Measure] = []
    for network, _, _, trial in _sweeps(plan):
        found.append(evaluation(plan, network, trial))
        found += [sharpness(plan, network, trial, "final", name, EPSILONS[0]) for name in SWEEP_READINGS.values()]
    return found


def against_batch(plan: Plan, results: Results) -> Drawn | None:
    """Fig. 4."""
    rows = []
    for network, batch, seed, trial in _sweeps(plan):
        accuracy = results.value(evaluation(plan, network, trial), "test_accuracy")
        for word, maximiser in SWEEP_READINGS.items():
            value = results.value(sharpness(plan, network, trial, "final", maximiser, EPSILONS[0]), "value")
            if accuracy is not None and value is not None:
                place = {"network": network, "batch_size": batch, "seed": seed, "reading": word}
                rows.append({**place, "test_accuracy": 100 * accuracy, "sharpness": value})
    frame = _frame(rows, "sharpness")
    if frame is None:
        return None
    return drawing.against_batch(frame, _footer(plan, frame, results, "ε = 1e-3, at the end of training")), frame


def warm_trials(plan: Plan) -> list[Trial]:
    """Large-batch runs from every start of Fig. 5, and from the random one."""
    found: list[Trial] = []
    for network in plan.networks:
        for seed, epoch in product(few_seeds(plan, network), setting(plan, network).starts):
            found += [warm(plan, network, epoch, seed), main(plan, network, "LB", seed)]
    return found


def _warm_pairs(plan: Plan, results: Results) -> Iterator[tuple[str, int, int]]:
    for network in plan.networks:
        for seed in few_seeds(plan, network):
            for epoch in warm_starts(plan, results, network, seed):
                yield network, seed, epoch


def warm_measures(plan: Plan, results: Results) -> list[Measure]:
    """Accuracy of the iterates, and accuracy and sharpness of what large-batch training finds from them."""
    found: list[Measure] = []
    for network, seed, epoch in _warm_pairs(plan, results):
        found.append(evaluation(plan, network, iterates(plan, network, seed), f"epoch-{epoch}"))
        for trial in (warm(plan, network, epoch, seed), main(plan, network, "LB", seed)):
            found.append(evaluation(plan, network, trial))
            found.append(sharpness(plan, network, trial, "final", "sign", EPSILONS[0]))
    return found


def warm_start(plan: Plan, results: Results) -> Drawn | None:
    """Fig. 5."""
    rows = []
    for network, seed, epoch in _warm_pairs(plan, results):
        trial = warm(plan, network, epoch, seed)
        iterate = evaluation(plan, network, iterates(plan, network, seed), f"epoch-{epoch}")
        small = results.value(iterate, "test_accuracy")
        large = results.value(evaluation(plan, network, trial), "test_accuracy")
        value = results.value(sharpness(plan, network, trial, "final", "sign", EPSILONS[0]), "value")
        if small is not None and large is not None and value is not None:
            place = {"network": network, "seed": seed, "sb_epoch": epoch, "reading": "(b) sign ascent"}
            rows.append({**place, "sb_accuracy": 100 * small, "lb_accuracy": 100 * large, "sharpness": value})
    frame = _frame(rows, "sharpness")
    if frame is None:
        return None
    epochs = [
        f"{network}: {setting(plan, network).warm_epochs} large-batch epochs from each start"
        for network in frame["network"].unique()
    ]
    return drawing.warm_start(frame, _footer(plan, frame, results, *epochs, "ε = 1e-3")), frame


def _levels(plan: Plan, results: Results) -> Iterator[tuple[str, int, str, float, Measure]]:
    for network, seed, method, trial in each(plan):
        if seed < setting(plan, network).followed:
            kept = results.kept(trial)
            levels = [name for name in kept if name.startswith("loss-")]
            for name in sorted(levels, key=lambda name: -float(name.removeprefix("loss-"))):
                measure = sharpness(plan, network, trial, name, "sign", EPSILONS[0])
                yield network, seed, method, kept[name]["epoch"], measure


def level_measures(plan: Plan, results: Results) -> list[Measure]:
    """Sharpness at every declared loss level that a followed run reached."""
    return [measure for *_, measure in _levels(plan, results)]


def against_loss(plan: Plan, results: Results) -> Drawn | None:
    """Fig. 6."""
    rows = []
    for network, seed, method, epoch, measure in _levels(plan, results):
        found = results.measured(measure)
        if found is not None:
            place = {"network": network, "method": method, "seed": seed, "epoch": epoch, "reading": "(b) sign ascent"}
            rows.append({**place, "loss": found["start_loss"], "sharpness": found["value"]})
    frame = _frame(rows, "sharpness")
    if frame is None:
        return None
    return drawing.scatter_path(frame, _footer(plan, frame, results, "ε = 1e-3, at declared loss levels")), frame


def distance_measures(plan: Plan, results: Results) -> list[Measure]:
    """How far every run travelled."""
    return [travelled(plan, network, method, seed) for network, seed, method, _ in each(plan)]


def distances(plan: Plan, results: Results) -> Drawn | None:
    """Ratio of the distances that the two runs of a seed travelled."""
    rows = [
        {"network": network, "seed": seed, "ratio": ratio}
        for network in plan.networks
        for seed, ratio in distance_ratios(plan, results, network).items()
    ]
    frame = _frame(rows, "ratio")
    if frame is None:
        return None
    ranges = pd.DataFrame([{"network": name, "low": 3.0, "high": 10.0} for name in frame["network"].unique()])
    figure = drawing.points(
        frame, _footer(plan, frame, results, statistics=False), value="ratio",
        y_label="distance travelled, SB / LB", reported=ranges, reported_label="reported: 3 to 10 [P]",
    )  # fmt: skip
    return figure, frame
