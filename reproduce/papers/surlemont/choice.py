"""How rate and rho of a cell are chosen: by the validation split, with one seed, first the rate, then rho.

All candidates train as the final runs do, with the whole budget, so the winner is the first of them. Its rule is
declared here and looks at no test example: the highest validation accuracy, the mean over the last evaluations, as at a
constant rate one differs from the next; of equals, the lower validation loss.
"""

import math
from collections.abc import Sequence

from reproduce.papers.surlemont.problems import Cell, Setting, cells, problem, run
from reproduce.results import Results
from reproduce.study import Plan, Trial

SEED = 0
"""The seed of the candidates."""
LAST = 5
"""Evaluations, one an epoch, over which accuracies are averaged."""


def grid(plan: Plan, cell: Cell) -> list[Setting]:
    """The rates to begin with, ascending, each with the method's first rho."""
    known = problem(plan, cell.network)
    return [Setting(rate, known.radii[cell.method][0]) for rate in known.rates]


def rates(plan: Plan, results: Results, cell: Cell) -> list[Setting]:
    """The candidates for the rate: the grid, and what follows beyond an end of it that does best, ascending."""
    found = grid(plan, cell)
    factor = found[1].rate / found[0].rate
    for _ in range(problem(plan, cell.network).further):
        first = best(plan, results, cell, found)
        if first == found[0]:
            found.insert(0, Setting(_rounded(first.rate / factor), first.rho))
        elif first == found[-1]:
            found.append(Setting(_rounded(first.rate * factor), first.rho))
        else:
            break
    return found


def _rounded(rate: float) -> float:
    return float(f"{rate:.6g}")


def radii(plan: Plan, cell: Cell, rate: float) -> list[Setting]:
    """The candidates for rho at a rate."""
    return [Setting(rate, rho) for rho in problem(plan, cell.network).radii[cell.method]]


def score(plan: Plan, results: Results, cell: Cell, setting: Setting) -> tuple[float, float] | None:
    """Validation accuracy and minus the validation loss of the last epochs, the higher the better; None where not run.

    A run that diverged has the worst there is.
    """
    trial = run(plan, cell, setting, SEED)
    curves = results.curves(trial)
    if curves is None:
        return None
    if results.diverged(trial):
        return -math.inf, -math.inf
    last = {name: rows["value"].iloc[-LAST:].mean() for name, rows in curves.groupby("metric")}
    return float(last["validation_accuracy"]), -float(last["validation_loss"])


def best(plan: Plan, results: Results, cell: Cell, candidates: list[Setting]) -> Setting | None:
    """The candidate of the highest score; None while one is missing."""
    scores = [score(plan, results, cell, setting) for setting in candidates]
    known = [(found, setting) for found, setting in zip(scores, candidates, strict=True) if found is not None]
    if len(known) < len(candidates):
        return None
    return max(known, key=lambda pair: pair[0])[1]


def chosen(plan: Plan, results: Results, cell: Cell) -> Setting | None:
    """Rate and rho of a cell; None while a candidate is missing."""
    first = best(plan, results, cell, rates(plan, results, cell))
    return None if first is None else best(plan, results, cell, radii(plan, cell, first.rate))


def candidates(plan: Plan, of: Sequence[Cell] | None = None) -> list[Trial]:
    """The candidates for the rate that are known from the start, of some cells or of all."""
    return [run(plan, cell, setting, SEED) for cell in of or cells(plan) for setting in grid(plan, cell)]


def further(plan: Plan, results: Results, of: Sequence[Cell] | None = None) -> list[Trial]:
    """The candidates for the rate, beyond the grid's, that the results so far ask for."""
    return [
        run(plan, cell, setting, SEED)
        for cell in of or cells(plan)
        for setting in rates(plan, results, cell)
        if setting not in grid(plan, cell)
    ]


def settling(plan: Plan, results: Results, of: Sequence[Cell] | None = None) -> list[Trial]:
    """The candidates for rate and rho that the results so far ask for."""
    found = further(plan, results, of)
    for cell in of or cells(plan):
        first = best(plan, results, cell, rates(plan, results, cell))
        if first is not None:
            found += [run(plan, cell, setting, SEED) for setting in radii(plan, cell, first.rate)]
    return found


def following(plan: Plan, results: Results) -> list[Trial]:
    """What the results so far decide: candidates for rate and rho, and the final runs of cells that are settled."""
    settings = {cell: chosen(plan, results, cell) for cell in cells(plan)}
    return settling(plan, results) + [
        trial for cell, setting in settings.items() if setting is not None for trial in finals(plan, cell, setting)
    ]


def finals(plan: Plan, cell: Cell, setting: Setting) -> list[Trial]:
    """The runs of a cell at its chosen setting, one a seed."""
    return [run(plan, cell, setting, seed) for seed in range(plan.seeds[cell.network])]
