"""Made-up runs of hoffer, whose accuracies and distances from the start are given, so that every effect is known.

The noise of a seed is the same in every arm: it cancels where arms are compared seed by seed, and does not where they
are not.
"""

from collections import namedtuple
from types import SimpleNamespace

import numpy as np
import pandas as pd

from bsgap.callbacks.curves import on_log_grid
from reproduce import planning
from reproduce.arms import present, trial
from reproduce.papers import hoffer
from reproduce.papers.hoffer.problems import PROBLEMS, SB
from reproduce.results import Results

What = namedtuple("What", "name key batch seed")
ACCURACY = {"SB": 92.0, "LB": 86.0, "LR": 89.0, "GBN": 90.5, "RA": 92.2}


def plan(scale="demo", *figures, networks=(), seeds=3):
    """The plan of a command, with the same number of seeds for every network."""
    return planning.make_plan(hoffer.STUDY, scale, figures=figures, networks=networks, seeds=seeds)


def of_stage(what):
    """Test accuracy (%) of a stage; between them, one point less for each doubling of the batch."""
    return ACCURACY.get(what.key, 92.0 - np.log2(what.batch / 16)) - 0.2 * what.seed


def log_time(what):
    """Slope and law: ln t, at a rate that falls with the root of the batch without adaptation and not with it."""
    slope = (what.batch / 16) ** (0.0 if what.key in (SB, "GBN", "RA") or what.key.endswith("+") else -0.5)
    return lambda t: 0.5 + (1 + 0.01 * what.seed) * slope * np.log(t)


def tidy(problem, arm, right, distance, *, diverged=False):
    """`metrics.csv` of a run: accuracies that climb to their end, and distances on a logarithmic grid."""
    per_epoch = problem.examples // arm.batch
    epochs = np.arange(round(problem.epochs * arm.longer) + 1)
    steps = np.array([step for step in range(1, int(epochs[-1]) * per_epoch + 1) if on_log_grid(step, 4)])
    values = distance(steps.astype(float))
    if diverged:
        epochs, steps, values = epochs[:3], steps[:9], values[:9]
    share = 0.1 + (right / 100 - 0.1) * epochs / epochs[-1]
    parts = [
        pd.DataFrame({"step": epochs * per_epoch, "epoch": epochs * 1.0, "metric": name, "value": share + more})
        for name, more in (("test_accuracy", 0.0), ("train_accuracy", 0.02))
    ]
    parts.append(pd.DataFrame({"step": steps, "epoch": steps / per_epoch, "metric": "distance", "value": values}))
    found = pd.concat(parts, ignore_index=True)
    return found.assign(examples=found["step"] * arm.batch)


class Synthetic(Results):
    """Results in memory.

    Args:
        plan: The plan.
        right: what a run is -> test accuracy (%) at the end.
        distance: what -> (steps -> distances).
        diverged: what -> whether it did.
        done: what -> whether it has been run.
    """

    machine_class = "no machine"

    def __init__(self, plan, *, right=of_stage, distance=log_time, diverged=lambda what: False, done=lambda what: True):
        super().__init__(SimpleNamespace(warnings=[]))
        self.plan, self.right, self.distance, self.lost, self.finished = plan, right, distance, diverged, done
        self.what, self.arms, self.tables = {}, {}, {}
        for name, problem in present(plan, PROBLEMS).items():
            for arm in problem.arms:
                for seed in range(plan.seeds[name]):
                    run = trial(plan, problem, arm, seed)
                    self.what[run], self.arms[run] = What(name, arm.key, arm.batch, seed), (problem, arm)

    def run(self, trial):
        what = self.what[trial]
        if not self.finished(what):
            return None
        return SimpleNamespace(status="diverged" if self.lost(what) else "finished", outcome={"kept": {}})

    def curves(self, trial):
        what = self.what[trial]
        if self.finished(what) and trial not in self.tables:
            self.tables[trial] = tidy(
                *self.arms[trial], self.right(what), self.distance(what), diverged=self.lost(what)
            )
        return self.tables.get(trial)


def judged(results):
    """Claims by id, without the paper's name."""
    return {claim.id.removeprefix("hoffer-"): claim for claim in hoffer.STUDY.claims(results.plan, results)}
