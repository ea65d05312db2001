"""Which rho a method takes: that of the highest validation accuracy, over all seeds that the grid was trained with.

The whole grid is trained with every seed, as the figures show it, so the choice costs no run of its own. Its rule is
declared here and looks at no test example.
"""

import math
from collections.abc import Sequence

import numpy as np

from reproduce import arms
from reproduce.arms import Problem
from reproduce.results import Results
from reproduce.study import Plan


def score(plan: Plan, results: Results, problem: Problem, name: str, key: str) -> tuple[float, float] | None:
    """Mean validation accuracy and minus the mean validation loss at the end; None while a seed is missing.

    A run that diverged gives the worst there is.
    """
    arm = problem.arm(key)
    assert arm is not None
    found = []
    for seed in range(plan.seeds[name]):
        run = arms.trial(plan, problem, arm, seed)
        ends = [arms.final(results, run, metric) for metric in ("validation_accuracy", "validation_loss")]
        if None in ends:
            return None
        found.append(
            [-math.inf if value is None or math.isnan(value) else value for value in (ends[0], _minus(ends[1]))]
        )
    accuracy, loss = np.mean(found, axis=0).tolist()
    return accuracy, loss


def best(plan: Plan, results: Results, problem: Problem, name: str, keys: Sequence[str]) -> str | None:
    """The arm of the highest score; of equals the first. None while one is missing.

    Args:
        plan: Names the seeds.
        results: The runs.
        problem: The network's problem.
        name: The network.
        keys: The arms to choose from.
    """
    scores = [score(plan, results, problem, name, key) for key in keys]
    known = [(found, key) for found, key in zip(scores, keys, strict=True) if found is not None]
    if not known or len(known) < len(keys):
        return None
    return max(known, key=lambda pair: pair[0])[1]


def _minus(value: float | None) -> float | None:
    return None if value is None else -value
