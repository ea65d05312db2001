"""The tables of li: the test errors in the titles of Fig. 3, and how sharp each solution is by either picture."""

import math
from itertools import product

import numpy as np
import pandas as pd

from reproduce import arms, drawing
from reproduce.drawing.tables import ABSENT
from reproduce.latex import spread
from reproduce.papers.li import facts
from reproduce.papers.li.problems import DECAYS, REFERENCE, SIZES
from reproduce.papers.li.shape import width
from reproduce.papers.li.trials import Values, curve, drawn, filter_rises, final, raw_rises, run, setting
from reproduce.results import Results
from reproduce.study import Plan

Drawn = tuple[drawing.Table, pd.DataFrame]


def errors(plan: Plan, results: Results) -> Drawn | None:
    """Test error, training loss and norm of the weights by weight decay and batch size, with the reported error."""
    rows = []
    for name, decay, size in product(plan.networks, DECAYS, SIZES):
        found = final(plan, results, decay, size, "test_error", name)
        if not found:
            continue
        losses, norms = (final(plan, results, decay, size, metric, name) for metric in ("train_loss", "weight_norm"))
        reported = facts.TEST_ERROR[decay, size] if name == REFERENCE else None
        rows.append({
            "network": setting(plan, name).problem.label, "weight decay": f"{DECAYS[decay]:g}",
            "batch": setting(plan, name).batch(size), "test error (%)": arms.mean_and_spread(found.values()),
            "reported (N)": None if reported is None else str(reported), "training loss": several(losses),
            "‖w‖": several(norms),
        })  # fmt: skip
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    return drawing.plain_table(frame), frame


def sharpness(plan: Plan, results: Results) -> Drawn | None:
    """For every solution: what the raw interpolation and the filter-normalised curves say, beside its test error."""
    if not drawn(plan):
        return None
    rows = []
    for decay, size in product(DECAYS, SIZES):
        raw, filtered = raw_rises(plan, results, decay, size), filter_rises(plan, results, decay, size)
        if not raw and not filtered:
            continue
        rows.append({
            "weight decay": f"{DECAYS[decay]:g}", "batch": setting(plan).batch(size), "raw rise": several(raw),
            "filter-normalised rise": several(filtered), "width": several(widths(plan, results, decay, size)),
            "test error (%)": several(final(plan, results, decay, size, "test_error")),
        })  # fmt: skip
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    return drawing.plain_table(frame), frame


def widths(plan: Plan, results: Results, decay: str, size: str) -> Values:
    """Seed -> |α| at which the training loss has risen by 1 nat, mean over directions; infinite where it does not."""
    found: Values = {}
    for seed in range(plan.seeds[REFERENCE]):
        if results.diverged(run(plan, decay, size, seed)):
            continue
        lines = [results.measured(curve(plan, decay, size, seed, each)) for each in range(setting(plan).directions)]
        known = [width(line["alphas"], line["losses"]["train"]) for line in lines if line is not None]
        if known and len(known) == len(lines):
            found[seed] = float(np.mean(known))
    return found


def several(values: Values) -> str:
    """Mean and deviation over seeds; a dash where there is nothing, `above 1` where a width was not reached."""
    given = list(values.values())
    finite = [value for value in given if math.isfinite(value)]
    if any(math.isinf(value) for value in given):
        return "above 1"
    if not finite:
        return ABSENT if not given else "diverged"
    return spread(float(np.mean(finite)), float(np.std(finite, ddof=1)) if len(finite) > 1 else None)
