"""The figure of asam: the frame that it draws."""

import pandas as pd
from matplotlib.figure import Figure

from reproduce.papers.asam.problems import PROBLEMS, here
from reproduce.papers.asam.trials import METHODS, errors, keys
from reproduce.papers.sam.figures import against_radius
from reproduce.papers.sam.problems import radius
from reproduce.results import Results
from reproduce.study import Plan

Drawn = tuple[Figure, pd.DataFrame]


def radii(plan: Plan, results: Results) -> Drawn | None:
    """Test error against rho: SAM, ASAM, and SGD as a line across."""
    rows: list[dict[str, object]] = []
    for name in plan.networks:
        setting = here(plan, name)
        ends = (setting.radii[0], setting.adaptive[-1])
        for method in METHODS[::-1]:
            for key in keys(plan, name, method):
                for rho in (radius(key),) if method != "SGD" else ends:
                    place = {"panel": setting.problem.label, "problem": name, "arm": method, "key": key, "rho": rho}
                    found = errors(plan, results, name, key)
                    rows += [{**place, "seed": seed, "value": value} for seed, value in found.items()]
    return against_radius(plan, results, PROBLEMS, rows)
