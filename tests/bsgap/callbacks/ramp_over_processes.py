"""Trains with a growing batch on two processes; each writes what it saw. A script, as pytest's own process has threads."""

import json
import multiprocessing
import os
import sys
from dataclasses import asdict
from pathlib import Path

import pytorch_lightning as pl
from ramped import BASE, OwnData, Somebody, Stated, dataloader, train

from bsgap.callbacks import BatchSizeRamp

TWO = {"devices": 2, "strategy": "ddp"}
# The global batch is 8 at the start in all of them: Lightning's custom is to state that of one process.
CASES = {
    "own": (lambda: OwnData(BASE), {"milestones": [0.5, 2]}),
    "stated": (lambda: Stated(BASE // 2), {"every": 1}),
    "given": (lambda: dataloader(BASE // 2), {"every": 1}),
    "steps": (lambda: dataloader(BASE // 2), {"milestones": [12, 13], "unit": "steps"}),
    "parts": (lambda: Stated(BASE // 2), {"every": 1, "micro_batch": 4}),
    "metric": (lambda: Stated(BASE // 2), {"monitor": "loss", "min_delta": 1e6, "maximum": 32}),
    "validation": (
        lambda: Stated(BASE // 2, validation=True), {"monitor": "validation_loss", "min_delta": 1e6, "maximum": 32},
    ),
}  # fmt: skip


class Reads(pl.Callback):
    """Looks at the metrics in one process alone, as who prints them does."""

    def on_validation_end(self, trainer, module):
        if trainer.is_global_zero:
            float(trainer.callback_metrics["validation_loss"])


def run(name, **options):
    """Train one case; what came and what the ramp says of it."""
    data, ramp = CASES[name]
    module, callback = Somebody(), BatchSizeRamp(factor=2, **ramp)
    train(module, data(), callback, Reads(), **options)
    return {
        "seen": module.seen,
        "history": [asdict(stage) for stage in callback.history],
        "weights": [parameter.flatten().tolist() for parameter in module.parameters()],
    }


def rank(number, folder):
    """One of the two processes, started as a cluster would: Lightning starts none itself where it finds its rank."""
    os.environ["LOCAL_RANK"] = str(number)
    found = {name: run(name, **TWO) for name in CASES}
    Path(folder, f"{number}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    fork = multiprocessing.get_context("fork")  # so that torch is imported once
    processes = [fork.Process(target=rank, args=(number, sys.argv[1])) for number in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    sys.exit(any(process.exitcode for process in processes))
