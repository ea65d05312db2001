"""Made-up runs of adabatch and smith, whose steps follow their schedules and whose losses and errors are given.

Training loss and test error are functions of what a run is, so that every effect is known in closed form. The noise
of a seed is the same in every arm: it cancels where arms are compared seed by seed, and does not where they are not.
"""

from collections import namedtuple
from types import SimpleNamespace

import numpy as np
import pandas as pd

from reproduce import planning
from reproduce.arms import present, trial
from reproduce.papers.adabatch import problems as adabatch
from reproduce.papers.smith import problems as smith
from reproduce.results import Results

What = namedtuple("What", "name key seed")
TIMES = {"forward": 1.0, "backward": 2.0}
"""Milliseconds a step costs whatever its size; an example costs a tenth of it."""


def plan(study, scale="demo", *figures, networks=(), seeds=3):
    """The plan of a command, with the same number of seeds for every network."""
    return planning.make_plan(study, scale, figures=figures, networks=networks, seeds=seeds)


def alike(what, epoch):
    """A training loss that halves every four epochs in every arm."""
    return 2.0 * 2 ** (-epoch / 4) * (1 + 0.01 * what.seed)


def of_phases(phases):
    """Batch sizes and rates epoch by epoch, from (epochs, batch size, rate) of each phase."""
    return [batch for epochs, batch, _ in phases for _ in range(epochs)], [
        rate for epochs, _, rate in phases for _ in range(epochs)
    ]


def of_adabatch(what, scale="demo"):
    """What a run of adabatch does, as its schedule says."""
    return of_phases(adabatch.schedule(scale, what.name).phases(what.key))


def of_smith(what, scale="demo"):
    """What a run of smith does, as its schedule says."""
    first = 0.1 * (5 if what.key in ("rate", "momentum") else 1)
    phases = smith.SCHEDULES[scale].phases(what.key)
    return of_phases([(phase.epochs, phase.batch, first * phase.rate) for phase in phases])


def tidy(sizes, rates, examples, loss, error, *, diverged=False):
    """`metrics.csv` of a run from its batch size and rate in each epoch; a diverged one ends after three epochs."""
    taken = np.array([examples // size for size in sizes])
    steps = np.concatenate([[0], np.cumsum(taken)])
    seen = np.concatenate([[0], np.cumsum(taken * np.array(sizes))])
    epochs = np.arange(len(sizes) + 1)
    columns = {
        "train_loss": [loss(epoch) for epoch in epochs],
        "test_accuracy": [1 - error(epoch) / 100 for epoch in epochs],
        "learning_rate": [*rates, rates[-1]],
    }
    if diverged:
        columns["train_loss"][2:] = [1e6] * (len(epochs) - 2)
    kept = slice(None, 3 if diverged else None)
    return pd.concat(
        [
            pd.DataFrame({
                "step": steps[kept], "epoch": epochs[kept], "examples": seen[kept], "metric": metric,
                "value": values[kept],
            })
            for metric, values in columns.items()
        ],
        ignore_index=True,
    )  # fmt: skip


class Synthetic(Results):
    """Results in memory.

    Args:
        plan: The plan.
        problems: The paper's.
        schedule: (what a run is) -> its batch sizes and its rates, one an epoch.
        loss: (what, epoch) -> training loss.
        error: what -> test error (%) at the end.
        diverged: what -> whether it did.
        done: what -> whether it has been run.
        overhead: Whether a step costs time whatever its size.
    """

    machine_class = "no machine"

    def __init__(
        self, plan, problems, schedule, *, loss=alike, error=lambda what: 10.0, diverged=lambda what: False,
        done=lambda what: True, overhead=True,
    ):  # fmt: skip
        super().__init__(SimpleNamespace(warnings=[]))
        self.plan, self.problems, self.schedule = plan, problems, schedule
        self.loss, self.error, self.lost, self.finished, self.overhead = loss, error, diverged, done, overhead
        self.what, self.tables = {}, {}
        for name, problem in present(plan, problems).items():
            for arm in problem.arms:
                for seed in range(plan.seeds[name]):
                    self.what[trial(plan, problem, arm, seed)] = What(name, arm.key, seed)

    def run(self, trial):
        what = self.what[trial]
        if not self.finished(what):
            return None
        return SimpleNamespace(status="diverged" if self.lost(what) else "finished", outcome={"kept": {"final": {}}})

    def curves(self, trial):
        what = self.what[trial]
        if self.finished(what) and trial not in self.tables:
            sizes, rates = self.schedule(what)
            problem, last = self.problems[self.plan.scale][what.name], len(sizes)
            self.tables[trial] = tidy(
                sizes, rates, problem.examples, lambda epoch: self.loss(what, epoch),
                lambda epoch: 90 + (self.error(what) + 0.5 * what.seed - 90) * epoch / last, diverged=self.lost(what),
            )  # fmt: skip
        return self.tables.get(trial)

    def measured(self, measure):
        what, options = self.what[measure.of[0][0]], dict(measure.options)
        if measure.kind != "timing" or not self.finished(what):
            return None
        batches = options["batches"]
        fixed = (1 + 0.1 * what.seed) * self.overhead  # a slower machine is slower in all it does
        return {"batches": list(batches)} | {
            f"{direction}_seconds": [time * (fixed + 0.1 * batch) * 1e-3 for batch in batches]
            for direction, time in TIMES.items()
        }


def judged(study, results):
    """Claims by id."""
    return {claim.id: claim for claim in study.claims(results.plan, results)}
