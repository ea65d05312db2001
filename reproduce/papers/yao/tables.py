"""The table of yao: what every batch size came to."""

import math

import numpy as np
import pandas as pd

from reproduce import arms, drawing
from reproduce.drawing.tables import ABSENT
from reproduce.latex import spread
from reproduce.papers.yao.trials import attack_frame, by_seed, run, spectrum_frame, sweep
from reproduce.results import Results
from reproduce.study import Plan

Drawn = tuple[drawing.Table, pd.DataFrame]


def sizes(plan: Plan, results: Results) -> Drawn | None:
    """Loss, accuracy, spectrum and robustness at the end of training, batch size by batch size."""
    spectra, attacks = spectrum_frame(plan, results), attack_frame(plan, results)
    rows = []
    for name in plan.networks:
        chosen = sweep(plan, name)
        for batch in chosen.batches:
            ends = [results.run(run(plan, name, batch, seed)) for seed in range(plan.seeds[name])]
            done = [end for end in ends if end is not None and end.status == "finished"]
            if not any(ends):
                continue
            here = spectra[(spectra["network"] == name) & (spectra["batch"] == batch) & (spectra["moment"] == "end")]
            hit = attacks[(attacks["network"] == name) & (attacks["batch"] == batch)]
            top, low = by_seed(here, which=1), by_seed(here, which=0)
            rows.append({
                "problem": chosen.problem.label, "batch": batch,
                "train loss": _several([end.outcome["last"]["train_loss"] for end in done]),
                "λ1": _several(top.values()), "λ3": _several(by_seed(here, which=3).values()),
                "λmin/λ1": _several([low[seed] / top[seed] for seed in low if top.get(seed)]),
                "test accuracy (%)": arms.mean_and_spread(by_seed(hit, "accuracy", epsilon=0.0).values()),
                **{
                    f"ε = {epsilon:g}": arms.mean_and_spread(by_seed(hit, "accuracy", epsilon=epsilon).values())
                    for epsilon in chosen.epsilons
                },
            })  # fmt: skip
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    return drawing.plain_table(frame), frame


def _several(values: object) -> str:
    """Mean and deviation over seeds, three digits."""
    finite = [value for value in values if math.isfinite(value)]  # type: ignore[attr-defined]
    if not finite:
        return ABSENT
    return spread(float(np.mean(finite)), float(np.std(finite, ddof=1)) if len(finite) > 1 else None)
