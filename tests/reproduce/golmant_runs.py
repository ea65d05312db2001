"""Made-up runs of golmant whose steps to any loss are known, so that every speed-up and verdict is.

The loss falls by a fixed amount with every doubling of the progress, step x speed: loss = TOP - FALL log2(step x
speed). That is straight between log-spaced evaluations, as `steps_to` takes it, so k(m) is proportional to 1/speed
exactly, and the speed-up of one batch size over another is the ratio of their speeds.
"""

from collections import namedtuple
from functools import cache
from types import SimpleNamespace

import numpy as np
import pandas as pd

from bsgap.callbacks.curves import on_log_grid
from reproduce import planning
from reproduce.papers import golmant
from reproduce.papers.golmant.problems import PROBLEMS, problem
from reproduce.papers.golmant.trials import batches, run
from reproduce.results import Results

TOP, FALL = 3.0, 0.25
What = namedtuple("What", "name rule batch seed fraction longer")


def plan(scale="demo", *figures, networks=(), seeds=3):
    """The plan of a command, with the same number of seeds for every problem."""
    return planning.make_plan(golmant.STUDY, scale, figures=figures, networks=networks, seeds=seeds)


def ladder(what, octaves=(1, 2, 2 * 2**0.5, 4, 4), scaled=(1, 2, 1.5 * 2 * 2**0.5, 6, 2), root=(1, 2, 3.3, 4.7, 3.2)):
    """Speed by batch size over the base: linear to twice it, a slope of 1/2 to eight times it, then flat.

    The linear rule is half as fast again at medium batches and half as fast at the largest one, the root rule alike
    but less so. VGG is flat from twice the base. Batches beyond 16 times the base are as fast as those.
    """
    if what.name == "VGG16":
        octaves = (1, 2, 2, 2, 2)
    speeds = {"linear": scaled, "square-root": root}.get(what.rule, octaves)
    base = PROBLEMS["demo"][what.name].batches[0] if what.name in PROBLEMS["demo"] else 64
    return speeds[min(int(np.log2(what.batch / base)), 4)]


def last_step(what, chosen):
    """Steps of a whole run; an epoch drops its last, smaller batch."""
    return chosen.epochs * what.longer * (round(chosen.examples * what.fraction) // what.batch)


@cache
def evaluated(last, per_doubling=2):
    """The log-spaced steps after which `bsgap.callbacks.Curves` evaluates a run."""
    return np.array([step for step in range(1, last + 1) if step == last or on_log_grid(step, per_doubling)])


def tidy(what, chosen, speed, *, diverged=False):
    """`metrics.csv` of a run; a diverged one explodes at its third evaluation and ends there."""
    steps = evaluated(last_step(what, chosen))
    losses = TOP - FALL * np.log2(steps * speed)
    steps, losses = np.array([0, *steps]), np.array([losses[0] + 1, *losses])
    if diverged:
        steps, losses = steps[:3], np.array([*losses[:2], 1e6])
    return pd.DataFrame({
        "step": np.tile(steps, 2), "epoch": 0.0, "examples": np.tile(steps * what.batch, 2),
        "metric": np.repeat(["train_loss", "test_loss"], len(steps)), "value": np.concatenate([losses, losses + 0.1]),
    })  # fmt: skip


def every_run(plan):
    """Trial -> what it is, for every run that a figure of the plan can ask for."""
    found = {}
    for name in plan.networks:
        chosen = problem(plan, name)
        for seed in range(plan.seeds[name]):
            for rule in ("linear", "square-root", "base"):  # the base batch size is the base rate's
                for batch in chosen.batches:
                    for longer in (1, *chosen.longer):
                        trial = run(plan, name, batch, rule, seed, longer=longer)
                        found[trial] = What(name, rule, batch, seed, 1.0, longer)
            for fraction in chosen.fractions:
                for batch in batches(chosen, fraction):
                    trial = run(plan, name, batch, "base", seed, fraction=fraction)
                    found[trial] = What(name, "base", batch, seed, fraction, 1)
    return found


def accuracy(what):
    """Test accuracy of a run: two points lost with each decade of the linear-approximation error."""
    return 0.9 - 0.02 * np.log10(error(what))


def error(what):
    """Linear-approximation error of a run: 0.001 at the base batch size, and above 1 from 16 times it on."""
    return 1e-3 * (what.batch / 16) ** 3


class Synthetic(Results):
    """Results in memory. `speed`, `diverged`, `done`, `right` and `wrong` take what a run is and say how it went."""

    machine_class = "no machine"

    def __init__(
        self, plan, speed=ladder, *, diverged=lambda _: False, done=lambda _: True, right=accuracy, wrong=error
    ):
        super().__init__(SimpleNamespace(warnings=[]))
        self.plan, self.speed, self.lost, self.finished = plan, speed, diverged, done
        self.right, self.wrong = right, wrong
        self.what, self.tables = every_run(plan), {}

    def run(self, trial):
        what = self.what[trial]
        if not self.finished(what):
            return None
        return SimpleNamespace(status="diverged" if self.lost(what) else "finished", outcome={"kept": {"final": {}}})

    def curves(self, trial):
        what = self.what[trial]
        if self.finished(what) and trial not in self.tables:
            chosen = problem(self.plan, what.name)
            self.tables[trial] = tidy(what, chosen, self.speed(what), diverged=self.lost(what))
        return self.tables.get(trial)

    def measured(self, measure):
        what = self.what[measure.of[0][0]]
        return measured(what, measure, self.right, self.wrong) if self.finished(what) else None


def measured(what, measure, right=accuracy, wrong=error):
    """The result of a measure on a made-up run."""
    if measure.kind == "evaluation":
        return {"test_accuracy": right(what), "test_loss": 1.0, "test_examples": 100, "statistics": "batch"}
    return {"error": wrong(what), "same_batch_error": wrong(what) / 3}


def judged(plan, results):
    """Claims by id."""
    return {claim.id: claim for claim in golmant.STUDY.claims(plan, results)}


def put(store, plan, results):
    """Store the made-up runs of a plan, and their measurements, as if they had been trained."""
    view = Results(store)
    for trial in planning.trials(golmant.STUDY, plan, view):
        key, config = view.id(trial), view.config(trial)
        with store.claim(key):
            folder = store.open(key, config, view.fingerprint(config["data"]["init_args"]["source"]))
            results.curves(trial).to_csv(folder / "metrics.csv", index=False)
            status = results.run(trial).status
            outcome = {"status": status, "stop_reason": "budget", "epochs": 1, "seconds": 1.0, "kept": {"final": {}}}
            store.finish(key, status, outcome)
    for artifact in planning.artifacts(golmant.STUDY, plan):
        for measure in artifact.measures(plan, view):
            ids = tuple(view.id(trial) for trial, _ in measure.of)
            if not view.diverged(measure.of[0][0]):
                store.put_measurement(ids, measure.specification(), results.measured(measure), 1.0)
