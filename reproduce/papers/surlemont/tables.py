"""The tables of surlemont."""

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd

from bsgap.analysis import Interval
from reproduce import arms, drawing
from reproduce.drawing.tables import ABSENT
from reproduce.latex import number, spread
from reproduce.papers.surlemont.choice import chosen
from reproduce.papers.surlemont.controls import longer_ends, same_rate
from reproduce.papers.surlemont.problems import ASAM, METHODS, PLAIN, SAM, cells
from reproduce.papers.surlemont.relation import best_rates, powers
from reproduce.papers.surlemont.trials import MATCHED, MEASURES, ends, matched, steps
from reproduce.results import Results
from reproduce.study import Plan

Drawn = tuple[drawing.Table, pd.DataFrame]


def accuracy(plan: Plan, results: Results) -> Drawn | None:
    """Test accuracy of every cell, and what SAM and ASAM gain, at the end and at equal budgets."""
    found = ends(plan, results)
    if found.empty:
        return None
    rows = []
    for (optimizer, batch), here in found.groupby(["optimizer", "batch"], sort=False):
        by = {method: here[here["method"] == method].set_index("seed") for method in METHODS}
        row = {"optimizer": optimizer, "batch": batch}
        row |= {
            METHODS[method]: arms.mean_and_spread(part["accuracy"], plan.seeds[str(optimizer)])
            for method, part in by.items()
        }
        for method in (SAM, ASAM):
            for column, word in (("accuracy", ""), ("equal_gradients", ", equal gradients")):
                gain = arms.compared(dict(by[method][column]), dict(by[PLAIN][column]))
                row[f"{METHODS[method]} − plain{word}"] = arms.signed(gain)
        rows.append(row)
    frame = pd.DataFrame(rows)
    return drawing.plain_table(frame), frame


def sharpness(plan: Plan, results: Results) -> Drawn | None:
    """Every measure of every cell, beside the training loss at which it was taken."""
    found = ends(plan, results)
    if found.empty or not found[list(MEASURES)].notna().any(axis=None):
        return None
    rows = []
    for (optimizer, batch, method), here in found.groupby(["optimizer", "batch", "method"], sort=False):
        rows.append({
            "optimizer": optimizer, "batch": batch,
            "method": _so_far(plan.seeds[str(optimizer)], METHODS[str(method)], len(here)),
            "train loss": _several(here["train_loss"]), "train accuracy (%)": _several(here["train_accuracy"]),
            **{title: _several(here[name]) for name, title in MEASURES.items()},
        })  # fmt: skip
    frame = pd.DataFrame(rows)
    return drawing.plain_table(frame), frame


def flatness(plan: Plan, results: Results) -> Drawn | None:
    """How much sharper or flatter the minima of SAM and ASAM are than the plain ones, at every batch size."""
    found = ends(plan, results)
    if found.empty or not found[list(MEASURES)].notna().any(axis=None):
        return None
    rows = []
    for (optimizer, batch), here in found.groupby(["optimizer", "batch"], sort=False):
        by = {str(method): part.set_index("seed") for method, part in here.groupby("method")}
        for method in (method for method in (SAM, ASAM) if method in by and PLAIN in by):
            row = {"optimizer": optimizer, "batch": batch, "method": METHODS[method]}
            for name, title in MEASURES.items():
                row[f"{title} / plain"] = _ratio(arms.compared(dict(by[method][name]), dict(by[PLAIN][name]), "ratio"))
            rows.append(row)
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    return drawing.plain_table(frame), frame


def at_one_rate(plan: Plan, results: Results) -> Drawn | None:
    """How much flatter SAM and ASAM are than the plain optimizer at their rate."""
    found, rows = ends(plan, results), []
    for cell, plain in same_rate(plan, results).items():
        setting = chosen(plan, results, cell)
        if setting is None or plain.empty or not plain[list(MEASURES)].notna().any(axis=None):
            continue
        there = found[["optimizer", "method", "batch"]].eq([cell.network, cell.method, cell.batch]).all(axis=1)
        other = found[there & found["seed"].isin(plain["seed"])].set_index("seed")
        row = {
            "optimizer": cell.network, "batch": cell.batch,
            "method": _so_far(plan.seeds[cell.network], METHODS[cell.method], len(plain)), "rate": f"{setting.rate:g}",
            "train loss": _several(other["train_loss"]), "train loss, plain": _several(plain["train_loss"]),
        }  # fmt: skip
        plain = plain.set_index("seed")
        for name, title in MEASURES.items():
            row[f"{title} / plain"] = _ratio(arms.compared(dict(other[name]), dict(plain[name]), "ratio"))
        rows.append(row)
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    return drawing.plain_table(frame), frame


def longer(plan: Plan, results: Results) -> Drawn | None:
    """What runs reached whose loss ceased to fall, or whose longer budget ended, and how sharp their minima are."""
    found = longer_ends(plan, results)
    if found.empty:
        return None
    rows = []
    for (optimizer, batch, method), here in found.groupby(["optimizer", "batch", "method"], sort=False):
        rows.append({
            "optimizer": optimizer, "batch": batch,
            "method": _so_far(plan.seeds[str(optimizer)], METHODS[str(method)], len(here)),
            "epochs": _several(here["epochs"]), "ended by the budget": _by_budget(here),
            "train loss": _several(here["train_loss"]), "train accuracy (%)": _several(here["train_accuracy"]),
            "test accuracy (%)": _several(here["accuracy"]),
            **{title: _several(here[name]) for name, title in MEASURES.items()},
        })  # fmt: skip
    frame = pd.DataFrame(rows)
    return drawing.plain_table(frame), frame


def _by_budget(here: pd.DataFrame) -> str:
    return f"{int((here['stopped'] == 'budget').sum())} of {len(here)}"


def _ratio(found: Interval | None) -> str:
    """`0.42 [0.31, 0.57]`, without bounds for one seed; a dash where there is nothing."""
    if found is None or not found.n or not math.isfinite(found.estimate):
        return ABSENT
    return f"{found.estimate:.2f}" + (f" [{found.low:.2f}, {found.high:.2f}]" if found.n > 1 else "")


def at_matched_loss(plan: Plan, results: Results) -> Drawn | None:
    """The measures at the largest batch where every method has the same training loss, and how much flatter it is."""
    found = matched(plan, results)
    if found.empty or not found[list(MATCHED)].notna().any(axis=None):
        return None
    rows = []
    for (optimizer, batch, method), here in found.groupby(["optimizer", "batch", "method"], sort=False):
        row = {
            "optimizer": optimizer, "batch": batch, "method": METHODS[str(method)],
            "train losses": f"{here['low'].min():.2f} to {here['high'].max():.2f}",
        }  # fmt: skip
        plain = found[(found["optimizer"] == optimizer) & (found["method"] == PLAIN)].set_index("seed")
        for name in MATCHED:
            row[MEASURES[name]] = _several(here[name])
            ratio = arms.compared(dict(here.set_index("seed")[name]), dict(plain[name]), "ratio")
            row[f"{MEASURES[name]} / plain"] = ABSENT if method == PLAIN else _ratio(ratio)
        rows.append(row)
    frame = pd.DataFrame(rows)
    return drawing.plain_table(frame), frame


def runtime(plan: Plan, results: Results) -> Drawn | None:
    """What a run took: epochs, updates, passes over the data with gradient, and time."""
    found = ends(plan, results)
    if found.empty:
        return None
    timed = steps(plan, results)
    rows = []
    for (optimizer, batch, method), here in found.groupby(["optimizer", "batch", "method"], sort=False):
        row = {
            "optimizer": optimizer, "batch": batch,
            "method": _so_far(plan.seeds[str(optimizer)], METHODS[str(method)], len(here)),
            "epochs": _several(here["epochs"]),
            "updates": _several(here["updates"]), "passes with gradient": _several(here["gradients"]),
            "ended by the budget": _by_budget(here),
            "ms a step": ABSENT, "step / plain": ABSENT, "training (s)": ABSENT,
        }  # fmt: skip
        times = timed.get((str(optimizer), int(batch)))
        if times is not None:
            seconds, ratios = times["seconds"][method], times["ratios"][method]
            row |= {
                "ms a step": f"{1e3 * seconds:.3g}" if seconds < 0.9995 else f"{1e3 * seconds:.0f}",
                "step / plain": ABSENT if method == PLAIN else f"{np.median(ratios):.2f}",
                "training (s)": _several(seconds * here["updates"]),
            }
        rows.append(row)
    frame = pd.DataFrame(rows)
    return drawing.plain_table(frame), frame


def settings(plan: Plan, results: Results) -> Drawn | None:
    """The rate and rho chosen for every cell, and the power of the batch with which the best rate grows."""
    best = best_rates(plan, results).set_index(["optimizer", "method", "batch"])
    fitted = {
        (row.optimizer, row.method): f"{row.power:.2f}{_bounds(row.low, row.high)}".replace("-", "−")
        for row in powers(plan, results).itertuples()
    }
    rows: list[dict[str, object]] = []
    shown: set[tuple[str, str]] = set()
    for cell in cells(plan):
        setting = chosen(plan, results, cell)
        place = (cell.network, cell.method, cell.batch)
        if setting is None or place not in best.index:
            continue
        edge = bool(best.loc[place, "edge"])
        place_of = (cell.network, cell.method)
        rows.append({
            "optimizer": cell.network, "method": METHODS[cell.method], "batch": cell.batch,
            "rate": f"{setting.rate:g}" + " (end of the grid)" * edge,
            "best rate, parabola": number(float(best.loc[place, "rate"])),
            "rho": f"{setting.rho:g}" if setting.rho else ABSENT,
            "power of the batch": "" if place_of in shown else fitted.get(place_of, ABSENT),
        })  # fmt: skip
        shown.add(place_of)
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    return drawing.plain_table(frame), frame


def _bounds(low: float, high: float) -> str:
    return f" [{low:.2f}, {high:.2f}]" if math.isfinite(high - low) else ""


def _several(values: Iterable[float]) -> str:
    """Mean and deviation over seeds; a dash where nothing is finite."""
    finite = [float(value) for value in values if math.isfinite(value)]
    if not finite:
        return ABSENT
    return spread(float(np.mean(finite)), float(np.std(finite, ddof=1)) if len(finite) > 1 else None)


def _so_far(planned: int, text: str, seeds: int) -> str:
    """`text` of a cell, with the number of its seeds where it is not that which is planned."""
    return text if seeds in (0, planned) else f"{text} (n = {seeds})"
