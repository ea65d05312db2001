"""The figures of li: the frame that each draws."""

from itertools import product

import pandas as pd
from matplotlib.figure import Figure

from reproduce import arms, drawing
from reproduce.papers.li.problems import DECAYS, REFERENCE, SIZES, decay_label
from reproduce.papers.li.trials import FAR, NEAR, SHOWN, TOP, curve, drawn, each, grid, histogram, path, run, setting
from reproduce.results import Results
from reproduce.study import Plan

Drawn = tuple[Figure, pd.DataFrame]


def interpolations(plan: Plan, results: Results) -> Drawn | None:
    """Fig. 2 (a), (d): loss and accuracy between the solutions of the first seed, without weight decay and with it."""
    rows = []
    for decay in DECAYS if drawn(plan) else ():
        found = results.measured(path(plan, decay, 0))
        if found is None:
            continue
        for split, losses in found["losses"].items():
            rows += [
                {
                    "network": decay_label(decay), "decay": DECAYS[decay], "seed": 0, "alpha": alpha, "split": split,
                    "loss": loss, "accuracy": 100 * right,
                }
                for alpha, loss, right in zip(found["alphas"], losses, found["accuracies"][split], strict=True)
            ]  # fmt: skip
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    rule = f"the claims take the rise at {NEAR:g} to {FAR:g} from each end, over all seeds"
    footer = _footer(plan, results, *_over(plan), "one pair of runs (seed 0), as in the paper", rule)
    return drawing.path_figure(frame, footer, loss_scale="linear", top=TOP), frame


def norms(plan: Plan, results: Results) -> Drawn | None:
    """Fig. 2 (b), (e): norm of the weights against the epoch."""
    parts = []
    for decay, size, seed in each(plan):
        trial = run(plan, decay, size, seed)
        found = arms.curve(results, trial, "weight_norm")
        if found is not None and len(found):
            place = {"panel": decay_label(decay), "decay": DECAYS[decay], "arm": _batch(plan, size), "seed": seed}
            parts.append(found.assign(**place, diverged=results.diverged(trial)))
    if not parts:
        return None
    frame = pd.concat(parts, ignore_index=True)
    footer = _footer(plan, results, "weights of all layers, without biases and BatchNorm", seeds=plan.seeds[REFERENCE])
    return drawing.arm_curves(frame, footer, y_label="Norm of the weights"), frame


def histograms(plan: Plan, results: Results) -> Drawn | None:
    """Fig. 2 (c), (f): how the weights of the solutions of the first seed are distributed."""
    rows, beyond = [], []
    for decay, size, _ in each(plan, 1):
        found = results.measured(histogram(plan, decay, size))
        if found is None:
            continue
        place = {"panel": decay_label(decay), "decay": DECAYS[decay], "arm": _batch(plan, size)}
        bins = zip(found["edges"], found["edges"][1:], found["counts"], strict=False)
        rows += [{**place, "low": low, "high": high, "share": count / found["weights"]} for low, high, count in bins]
        beyond.append(found["outside"] / found["weights"])
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    outside = f"up to {100 * max(beyond):.2g} % of the weights lie outside" if max(beyond) else ""
    footer = _footer(plan, results, "seed 0", "weights of all layers, without biases and BatchNorm", outside)
    return drawing.histograms(frame, footer), frame


def _batch(plan: Plan, size: str) -> str:
    return f"batch {setting(plan).batch(size)}"


def _over(plan: Plan, *, test: bool = True) -> list[str]:
    """What the losses are taken over, where it is a part of the data."""
    chosen = setting(plan)
    parts = {"training": chosen.examples, "test": chosen.test_examples if test else None}
    words = [f"{count:,} {split}" for split, count in parts.items() if count]
    return [f"losses over {' and '.join(words)} examples, without augmentation"] if words else []


KEY = ("seed 0", "above: weight decay, batch size m, test error")
"""What the titles of Fig. 3 say, for its footer."""


def _title(plan: Plan, results: Results, decay: str, size: str) -> str:
    """Weight decay, batch size and test error of the first seed, as above each panel of Fig. 3."""
    error = arms.final(results, run(plan, decay, size, 0), "test_error")
    first = f"{decay_label(decay).replace('weight decay', 'wd')}, m {setting(plan).batch(size)}"
    return first + (f", {error:.1f} %" if error is not None else "")


def _footer(plan: Plan, results: Results, *notes: str, seeds: int = 1) -> drawing.Footer:
    chosen = setting(plan).problem
    written = [note for note in notes if note]
    return drawing.Footer(
        plan.scale, chosen.data, seeds, chosen.statistics, results.machine_class, list(plan.not_run), written
    )


def curves(plan: Plan, results: Results) -> Drawn | None:
    """Fig. 3, upper row: loss and accuracy along a filter-normalised direction around the four solutions."""
    rows = []
    for decay, size, _ in each(plan, 1):
        found = results.measured(curve(plan, decay, size, 0, 0))
        if found is None:
            continue
        for split, losses in found["losses"].items():
            place = {"panel": _title(plan, results, decay, size), "decay": DECAYS[decay], "batch": _batch(plan, size)}
            rows += [
                {**place, "split": split, "alpha": alpha, "loss": loss, "accuracy": 100 * right}
                for alpha, loss, right in zip(found["alphas"], losses, found["accuracies"][split], strict=True)
            ]
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    return drawing.landscape_curves(frame, _footer(plan, results, *_over(plan), *KEY), top=TOP), frame


def contours(plan: Plan, results: Results) -> Drawn | None:
    """Fig. 3, lower row: the training loss over two filter-normalised directions around the four solutions."""
    frame = _grids(plan, results, list(product(DECAYS, SIZES)))
    if frame is None:
        return None
    return drawing.landscape_contours(frame, _footer(plan, results, *_over(plan, test=False), *KEY)), frame


def surface(plan: Plan, results: Results) -> Drawn | None:
    """One of these surfaces in perspective."""
    frame = _grids(plan, results, [SHOWN])
    if frame is None:
        return None
    return drawing.landscape_surface(frame, _footer(plan, results, *_over(plan, test=False), *KEY)), frame


def _grids(plan: Plan, results: Results, places: list[tuple[str, str]]) -> pd.DataFrame | None:
    rows = []
    for decay, size in places if drawn(plan) else ():
        found = results.measured(grid(plan, decay, size))
        if found is not None:
            place = {"panel": _title(plan, results, decay, size), "decay": DECAYS[decay], "batch": _batch(plan, size)}
            lines = zip(found["alphas"], found["losses"]["train"], found["accuracies"]["train"], strict=True)
            rows += [
                {**place, "alpha": alpha, "beta": beta, "loss": loss, "accuracy": 100 * right}
                for alpha, losses, accuracies in lines
                for beta, loss, right in zip(found["betas"], losses, accuracies, strict=True)
            ]
    return pd.DataFrame(rows) if rows else None
