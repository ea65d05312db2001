"""The tables of Hoffer et al.: accuracies at every stage beside the reported ones, and how the weights move away."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from reproduce import arms, drawing
from reproduce.drawing.tables import ABSENT
from reproduce.papers.hoffer.facts import DATA, TABLE1
from reproduce.papers.hoffer.figures import fitted
from reproduce.papers.hoffer.problems import (
    GBN,
    LB,
    MAIN,
    MEMORY,
    PROBLEMS,
    RA,
    SB,
    SIZES,
    STAGES,
    second_epoch,
    steps_an_epoch,
)
from reproduce.papers.hoffer.trials import accuracies, share_closed, shared_steps, slopes, walks
from reproduce.results import Results
from reproduce.study import Plan

Drawn = tuple[drawing.Table, pd.DataFrame]
HEADS = {SB: "SB", LB: "LB", "LR": "+LR", GBN: "+GBN", RA: "+RA"}


def accuracy(plan: Plan, results: Results) -> Drawn | None:
    """Table 1: test accuracy of every stage, and below it the paper's where it is known."""
    rows, some = [], False
    for name, problem in arms.present(plan, PROBLEMS).items():
        found = {key: accuracies(plan, results, name, key) for key in STAGES}
        if not any(found.values()):
            continue
        some = True
        ours = {HEADS[key]: arms.mean_and_spread(values.values()) for key, values in found.items()}
        rows.append({"network": f"{problem.label}, ours"} | ours)
        if name in TABLE1:
            cells = {HEADS[key]: f"{TABLE1[name][key]:.2f}" if key in TABLE1[name] else ABSENT for key in STAGES}
            rows.append({"network": f"{DATA[name]}, reported [N]"} | cells)
    if not some:
        return None
    frame = pd.DataFrame(rows)
    return drawing.plain_table(frame), frame


def stages(plan: Plan, results: Results) -> Drawn | None:
    """What each stage is and does: updates, training error, and how much of the gap it closes."""
    rows = []
    sizes = SIZES[plan.scale]
    for name, problem in arms.present(plan, PROBLEMS).items():
        large = accuracies(plan, results, name, LB)
        for key in STAGES:
            arm, found = problem.arm(key), accuracies(plan, results, name, key)
            if not found:
                continue
            assert arm is not None
            assert arm.batch is not None
            scaled, ghosts = key not in (SB, LB), key in (GBN, RA)
            share = None if key in (SB, LB) else share_closed(plan, results, name, key)
            rows.append({
                "network": problem.label, "stage": HEADS[key], "batch": arm.batch,
                "rate ×": f"{math.sqrt(sizes.ratio) if scaled else 1:.3g}",
                "BatchNorm over": sizes.small if ghosts else arm.batch, "epochs": round(problem.epochs * arm.longer),
                "updates": round(problem.epochs * arm.longer) * steps_an_epoch(plan.scale, name, key),
                "training error (%)": arms.mean_and_spread(
                    arms.finals(plan, results, PROBLEMS, name, key, "train_error").values()
                ),
                "over LB": ABSENT if key == LB else arms.signed(arms.compared(found, large)),
                "of the gap": ABSENT if share is None else f"{100 * share:.0f} %",
            })  # fmt: skip
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    return drawing.plain_table(frame), frame


def diffusion(plan: Plan, results: Results) -> Drawn | None:
    """The fits of Fig. 2 in numbers: means over seeds."""
    found = fitted(plan, results)
    if found.empty:
        return None
    shared = shared_steps(plan.scale)
    whole, late = f"from step {MEMORY}", "from the second epoch"
    rows: list[Mapping[tuple[str, str], object]] = []
    for (panel, batch, key), fits in found.groupby(["panel", "batch", "key"], sort=False):
        start = second_epoch(plan.scale, MAIN, str(key))
        later = [fit for _, fit in walks(plan, results, str(key), low=start) if fit is not None]
        rows.append({
            ("", "panel"): panel, ("", "batch"): int(batch),
            (f"to step {shared}", "s"): arms.mean_and_spread(slopes(plan, results, str(key), high=shared).values()),
            (whole, "s"): arms.mean_and_spread(fits["slope"]), **_laws(whole, list(fits.itertuples())),
            **_laws(late, later), (late, "steps"): f"{start} to {fits['high'].max():.0f}",
        })  # fmt: skip
    frame = pd.DataFrame(rows)
    frame.columns = pd.MultiIndex.from_tuples(frame.columns)
    return drawing.plain_table(frame), frame


def _laws(group: str, fits: Sequence[Any]) -> dict[tuple[str, str], str]:
    """R² of the logarithm and of the power law, and its exponent: means over seeds."""
    shown = (("R², ln t", "r_squared", 4), ("R², power", "power_r_squared", 4), ("p", "power", 2))
    return {
        (group, head): f"{np.mean([getattr(fit, name) for fit in fits]):.{digits}f}" for head, name, digits in shown
    }
