"""What a worker process does with one job: train a trial, or measure kept weights."""

import json
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import pytorch_lightning as pl
import torch

from bsgap import cli
from bsgap.callbacks import Point
from bsgap.callbacks import resume as resume_point
from bsgap.callbacks.outcome import SUMMARY
from bsgap.data import Batches, ImageData
from bsgap.errors import BadCheckpoint, UsageError
from bsgap.errors import Interrupted as RunInterrupted
from bsgap.measures import distance, keskar_sharpness, state_path
from bsgap.tasks import ImageClassification
from reproduce.engines import pool
from reproduce.engines.jobs import Interrupted
from reproduce.entry import CONFIG, RESUME
from reproduce.store import Store

Notify = Callable[[Mapping[str, Any]], None]


def execute(kind: str, payload: Mapping[str, Any], notify: Notify) -> dict[str, Any]:
    """Do one job and return what it found.

    Args:
        kind: `train`, `evaluation`, `sharpness`, `path` or `distance`.
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


@lru_cache(maxsize=2)
def _data(text: str) -> ImageData:
    data = ImageData(**json.loads(text))
    data.setup("fit")
    return data


@lru_cache(maxsize=1)
def _task(text: str) -> ImageClassification:
    model = cli.build(json.loads(text))
    return model


def _batches(data: ImageData, split: str, examples: int | None) -> Batches:
    return data.batches(split, examples=examples)  # type: ignore[arg-type]


def measure(kind: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Measure weights that a run kept, in float32, in the BatchNorm mode of its recipe."""
    config, options = dict(payload["config"]), dict(payload["options"])
    states = [torch.load(path, map_location="cpu", weights_only=True) for path in payload["weights"]]
    model_options = config["model"]["init_args"] | {"initial_weights": None}  # they are replaced by the kept ones
    task = _task(json.dumps(config["model"] | {"init_args": model_options}, sort_keys=True))
    model, statistics = task.network, task.statistics
    model.load_state_dict(states[0])
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    if kind == "distance":
        return {"distance": distance(states[0], states[1], [name for name, _ in model.named_parameters()])}
    data = _data(json.dumps(config["data"]["init_args"] | {"seed": 0}, sort_keys=True))
    if kind == "evaluation":
        found = {split: task.evaluate(_batches(data, split, options.get("examples"))) for split in ("train", "test")}
        return {
            f"{split}_{name}": getattr(result, name)
            for split, result in found.items()
            for name in ("loss", "accuracy", "examples")
        } | {"statistics": statistics}
    examples = options.pop("examples", None)
    if kind == "sharpness":
        found_sharpness = keskar_sharpness(model, _batches(data, "train", examples), statistics=statistics, **options)
        return dict(vars(found_sharpness))
    if kind == "path":
        splits = {"train": _batches(data, "train", examples), "test": _batches(data, "test", None)}
        low, high, points = options["low"], options["high"], options["points"]
        alphas = [low + (high - low) * index / (points - 1) for index in range(points)]
        path = state_path(model, states[0], states[1], alphas, splits, kind=options["shape"], statistics=statistics)
        return {"alphas": alphas, "losses": path.losses, "accuracies": path.accuracies, "statistics": statistics}
    raise UsageError(f"unknown measure {kind!r}: expected evaluation, sharpness, path or distance.")
