"""What a worker process does with one job: train a trial, or measure kept weights."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl

from bsgap import cli
from bsgap.callbacks import Point
from bsgap.callbacks import resume as resume_point
from bsgap.callbacks.outcome import SUMMARY
from bsgap.errors import BadCheckpoint
from bsgap.errors import Interrupted as RunInterrupted
from reproduce.engines import pool
from reproduce.engines.jobs import Interrupted
from reproduce.entry import CONFIG, RESUME
from reproduce.measuring import measure
from reproduce.store import Store

Notify = Callable[[Mapping[str, Any]], None]


def execute(kind: str, payload: Mapping[str, Any], notify: Notify) -> dict[str, Any]:
    """Do one job and return what it found.

    Args:
        kind: `train`, or one of `reproduce.measuring.KINDS`.
        payload: For `train`: store `root`, run `id`, `config`, `fingerprint`, names of the `weights` it must keep, and
            the `wandb` options. For a measure: `config` of the first run, `weights` (files), and `options`.
        notify: Takes the progress of a training, in epochs.
    """
    if kind == "train":
        return train(payload, notify)
    started = time.perf_counter()
    return measure(kind, payload) | {"_seconds": time.perf_counter() - started}


class _Progress(pl.Callback):
    def __init__(self, notify: Notify):
        self.notify = notify

    def on_evaluation(self, trainer: pl.Trainer, pl_module: pl.LightningModule, point: Point) -> None:
        self.notify({"epoch": point.epoch, "of": trainer.max_epochs, "loss": point.values["train_loss"]})


def train(payload: Mapping[str, Any], notify: Notify) -> dict[str, Any]:
    """Train one trial into its folder of the store, exactly as `bsgap fit --config FOLDER/config.yaml` does.

    Where another process trains the same run, this waits for it.

    Returns:
        The run's `status`, and `warnings`: a line for each corrupt thing that was set aside.
    """
    store, key = Store(payload["root"]), payload["id"]
    with store.claim(key):
        if store.is_done(key, payload["weights"]):
            return {"status": store.status(key), "warnings": []}
        try:
            _fit(store, payload, notify)
        except BadCheckpoint as error:  # set aside with all that belongs to it; the run starts anew
            store.set_aside(key, f"{RESUME}: {error}")
            _fit(store, payload, notify)
        return {"status": store.status(key), "warnings": store.warnings}


def _fit(store: Store, payload: Mapping[str, Any], notify: Notify) -> None:
    key = payload["id"]
    folder = store.open(key, payload["config"], payload["fingerprint"], again=store.is_done(key))
    resume_point.should_stop = pool.should_stop
    arguments = ["fit", "--config", str(folder / CONFIG), f"--trainer.default_root_dir={folder}"]
    arguments += ["--trainer.enable_progress_bar=false"]
    for name, value in payload["wandb"].items():
        arguments.append(f"--wandb.{name}={value if isinstance(value, str) else json.dumps(value)}")
    try:
        cli.BsgapCLI(arguments, callbacks=[_Progress(notify)])
    except RunInterrupted as interruption:
        store.interrupt(key)
        raise Interrupted(str(interruption)) from None
    store.finish(key, json.loads((folder / SUMMARY).read_text())["status"])
