"""Two controls: plain training at the rate of SAM or ASAM, and training until the loss ceases to fall.

At the rate that suits each method best, what SAM does to sharpness is mixed with what the rate does. And in the budget
a large batch has so few updates that its gap may be one of time.
"""

from collections.abc import Mapping

import pandas as pd

from reproduce.papers.surlemont.choice import candidates, chosen, finals, following, settling
from reproduce.papers.surlemont.problems import METHODS, PLAIN, Cell, Setting, cells, problem, run
from reproduce.papers.surlemont.trials import MEASURES, ends, measure, outcomes, settled, values
from reproduce.results import Results
from reproduce.study import Measure, Plan, Trial

LONGER = 5
"""Longest training of the control until the loss ceases to fall, in budgets of the final runs."""

Runs = Mapping[Cell, list[Trial]]


# At one rate ----------------------------------------------------------------------------------------------------------
def at_its_rate(plan: Plan, results: Results) -> dict[Cell, list[Trial]]:
    """Cell of SAM or ASAM -> plain runs at its rate, one a seed: the final ones, where that is the plain one's rate."""
    return {
        cell: finals(plan, Cell(cell.network, PLAIN, cell.batch), plain)
        if own.rate == plain.rate
        else [
            run(plan, Cell(cell.network, PLAIN, cell.batch), Setting(own.rate, 0.0), seed)
            for seed in range(plan.seeds[cell.network])
        ]
        for cell, (own, plain) in _settings(plan, results).items()
    }


def _settings(plan: Plan, results: Results) -> dict[Cell, tuple[Setting, Setting]]:
    """Cell of SAM or ASAM -> its setting, and that of the plain optimizer, where both have been chosen."""
    found = {cell: chosen(plan, results, cell) for cell in cells(plan)}
    return {
        cell: (own, plain)
        for cell, own in found.items()
        for plain in [found[Cell(cell.network, PLAIN, cell.batch)]]
        if cell.method != PLAIN and own is not None and plain is not None
    }


def differing(plan: Plan, results: Results) -> list[Cell]:
    """The cells of SAM and ASAM whose rate is not that of the plain optimizer."""
    return [cell for cell, (own, plain) in _settings(plan, results).items() if own.rate != plain.rate]


def same_rate(plan: Plan, results: Results) -> dict[Cell, pd.DataFrame]:
    """Cell of SAM or ASAM -> the `outcomes` of the plain runs at its rate."""
    return {
        cell: outcomes(plan, results, {Cell(cell.network, PLAIN, cell.batch): trials})
        for cell, trials in at_its_rate(plan, results).items()
    }


def same_rate_runs(plan: Plan, results: Results) -> list[Trial]:
    """What the comparison at one rate needs: the final runs, and the plain ones at the other's rate."""
    return following(plan, results) + _of(at_its_rate(plan, results))


def same_rate_measures(plan: Plan, results: Results) -> list[Measure]:
    """The sharpness of the plain runs at the other's rate, and of the runs that they stand beside."""
    runs, own = at_its_rate(plan, results), settled(plan, results)
    return _measures(plan, runs) + _measures(plan, {cell: own[cell] for cell in runs})


def ratios(plan: Plan, results: Results, name: str) -> pd.DataFrame:
    """One measure of SAM and ASAM over that of plain training of the same seed, at its best rate and at their rate.

    Columns optimizer, rates ("best" or "one"), method, batch, seed, value; NaN where a run diverged.
    """
    found, beside = ends(plan, results), same_rate(plan, results)
    rows = []
    for cell in beside:
        plain = found[found["method"] == PLAIN] if len(found) else found
        for rates, other in (("best", plain), ("one", beside[cell])):
            own = values(found, cell.network, cell.method, cell.batch, name)
            under = values(other, cell.network, PLAIN, cell.batch, name)
            place = {"optimizer": cell.network, "rates": rates, "method": cell.method, "batch": cell.batch}
            rows += [{**place, "seed": seed, "value": own[seed] / under[seed]} for seed in own if seed in under]
    return pd.DataFrame(rows, columns=["optimizer", "rates", "method", "batch", "seed", "value"])


def ratio_measures(plan: Plan, results: Results, name: str) -> list[Measure]:
    """What `ratios` needs."""
    every = [*settled(plan, results).items(), *at_its_rate(plan, results).items()]
    return [measure(plan, cell, trial, name) for cell, trials in every for trial in trials]


# Until the loss ceases to fall ----------------------------------------------------------------------------------------
def longer_cells(plan: Plan) -> list[Cell]:
    """The plain optimizer at the smallest and the largest batch, SAM and ASAM at the largest."""
    found = []
    for network in plan.networks:
        small, large = problem(plan, network).batches[0], problem(plan, network).batches[-1]
        found += [Cell(network, PLAIN, small), *(Cell(network, method, large) for method in METHODS)]
    return found


def longer(plan: Plan, results: Results) -> dict[Cell, list[Trial]]:
    """Cell -> its runs until the loss ceases to fall, one a seed, at the setting that was chosen in the budget."""
    found = {}
    for cell in longer_cells(plan):
        setting = chosen(plan, results, cell)
        if setting is not None:
            found[cell] = [
                run(plan, cell, setting, seed, times=LONGER) for seed in range(plan.seeds[cell.network])
            ]  # fmt: skip
    return found


def longer_ends(plan: Plan, results: Results) -> pd.DataFrame:
    """The `outcomes` of these runs."""
    return outcomes(plan, results, longer(plan, results))


def longer_candidates(plan: Plan) -> list[Trial]:
    """The candidates for the rate of these cells."""
    return candidates(plan, longer_cells(plan))


def longer_runs(plan: Plan, results: Results) -> list[Trial]:
    """What follows from them: further candidates, and the runs."""
    return settling(plan, results, longer_cells(plan)) + _of(longer(plan, results))


def longer_measures(plan: Plan, results: Results) -> list[Measure]:
    """The sharpness of the minima of these runs."""
    return _measures(plan, longer(plan, results))


def _of(runs: Runs) -> list[Trial]:
    return [trial for trials in runs.values() for trial in trials]


def _measures(plan: Plan, runs: Runs) -> list[Measure]:
    return [
        measure(plan, cell, trial, name) for cell, trials in runs.items() for trial in trials for name in MEASURES
    ]  # fmt: skip
