"""Results of the accompanying study in memory, whose answers are known."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
from rate_runs import plan, settings

from reproduce.papers.surlemont import STUDY
from reproduce.papers.surlemont.problems import ASAM, PASSES, PLAIN, PROBLEMS, SAM
from reproduce.results import Results

ARTIFACTS = {artifact.name: artifact for artifact in STUDY.artifacts}
FIGURES = [name for name, artifact in ARTIFACTS.items() if artifact.kind == "figure"]
PLAN = plan(STUDY)
LARGE = PROBLEMS["demo"]["SGD"].batches[-1]
BEST = {"SGD": 0.03, "Adam": 0.008}
RIGHT = {PLAIN: {16: 95.0, LARGE: 85.0}, SAM: {16: 95.5, LARGE: 94.5}, ASAM: {16: 95.0, LARGE: 88.0}}
SHARP = {PLAIN: 8.0, SAM: 2.0, ASAM: 8.0}
EPOCHS = 10


def place(trial):
    """Optimizer, method, batch size and rate of a trial."""
    found = settings(trial)
    name = "SGD" if trial.recipe.endswith("sgd") else "Adam"
    method = PLAIN if not found["rho"] else ASAM if found.get("adaptive") else SAM
    return name, method, found["batch_size"], found["lr"]


class Made(Results):
    """Results in memory: accuracy falls with the distance from the best rate; `lost` trials diverged, `absent` not run."""

    machine_class = "no machine"

    def __init__(self, *, absent=lambda trial: False, lost=lambda trial: False, right=RIGHT, levels=("0.5", "0.2")):
        super().__init__(SimpleNamespace(warnings=[]))
        self.absent, self.lost, self.right, self.levels = absent, lost, right, levels
        self._curves, self._last = {}, {}

    def id(self, trial):
        return trial.label

    def accuracy(self, trial):
        name, method, batch, rate = place(trial)
        return self.right[method][batch] - 5 * abs(math.log(rate / BEST[name])) + trial.seed + 0.01 * trial.seed**2

    def run(self, trial):
        if self.absent(trial):
            return None
        if trial not in self._last:
            self._last[trial] = {name: part["value"].iloc[-1] for name, part in self.curves(trial).groupby("metric")}
        last = self._last[trial]
        return SimpleNamespace(
            status="diverged" if self.lost(trial) else "finished",
            outcome={
                "kept": {f"loss-{level}": {} for level in self.levels}, "last": last, "epochs": EPOCHS,
                "steps": 10 * EPOCHS, "seconds": 3.0 * PASSES[place(trial)[1]], "stop_reason": "budget",
            },
        )  # fmt: skip

    def curves(self, trial):
        if self.absent(trial):
            return None
        if trial not in self._curves:
            self._curves[trial] = self._made(trial)
        return self._curves[trial]

    def _made(self, trial):
        epochs = np.arange(EPOCHS + 1.0)
        value = self.accuracy(trial) / 100 * epochs / EPOCHS  # a straight line: half of it at half of the budget
        return pd.concat([
            pd.DataFrame({"step": 10 * epochs, "epoch": epochs, "examples": 100 * epochs, "metric": name, "value": rows})
            for name, rows in {
                "test_accuracy": value, "train_accuracy": value, "validation_accuracy": value, "train_loss": 1 - value,
                "validation_loss": 1 - value,
            }.items()
        ])  # fmt: skip

    def measured(self, wanted):
        (trial, weights), *_ = wanted.of
        if wanted.kind == "steps":
            seconds = {method: 0.1 * passes for method, passes in PASSES.items()}
            return {"seconds": seconds, "ratios": {method: [1.0 * passes] for method, passes in PASSES.items()}}
        seed = 1 + 0.1 * trial.seed
        value = SHARP[place(trial)[1]] * seed * (1 if weights == "final" else 10)
        return {"value": value, "lambda_max": value}


class Slower(Made):
    """With SGD the plain optimizer does best above the rate of SAM, at which its minima are an eighth as sharp."""

    LOW = PROBLEMS["demo"]["SGD"].rates[0]
    assert BEST["SGD"] == LOW

    def accuracy(self, trial):
        _, method, _, rate = place(trial)
        return super().accuracy(trial) + (20 if method == PLAIN and rate != self.LOW and "sgd" in trial.recipe else 0)

    def measured(self, wanted):
        found = super().measured(wanted)
        (trial, _), *_ = wanted.of
        if wanted.kind == "steps" or place(trial)[1] != PLAIN or place(trial)[3] != self.LOW:
            return found
        return {name: value / 8 for name, value in found.items()}


def draw(name, results, chosen=PLAN):
    return ARTIFACTS[name].draw(chosen, results)
