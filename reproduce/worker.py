"""What a worker process does with one job: train a trial, or measure kept weights."""

import json
import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import yaml

from bsgap import cli
from bsgap.callbacks import Point
from bsgap.callbacks import resume as resume_point
from bsgap.callbacks.outcome import SUMMARY
from bsgap.data import Batches, ImageData
from bsgap.errors import Interrupted as RunInterrupted
from bsgap.errors import UsageError
from bsgap.files import write_text
from bsgap.measures import distance, keskar_sharpness, state_path
from bsgap.tasks import ImageClassification
from reproduce.engines import pool
from reproduce.engines.jobs import Interrupted

Notify = Callable[[Mapping[str, Any]], None]


def execute(kind: str, payload: Mapping[str, Any], notify: Notify) -> dict[str, Any]:
    """Do one job and return what it found.

    Args:
        kind: `train`, `evaluation`, `sharpness`, `path` or `distance`.
        payload: For `train`: `config`, `folder`, `wandb`. For a measure: `config` of the first run, `weights` (files),
            and the measure's options.
        notify: Takes the progress of a training, in epochs.
    """
    return train(payload, notify) if kind == "train" else measure(kind, payload)


class _Progress(pl.Callback):
    def __init__(self, notify: Notify):
        self.notify = notify

    def on_evaluation(self, trainer: pl.Trainer, pl_module: pl.LightningModule, point: Point) -> None:
        self.notify({"epoch": point.epoch, "of": trainer.max_epochs, "loss": point.values["train_loss"]})


def train(payload: Mapping[str, Any], notify: Notify) -> dict[str, Any]:
    """Train one trial exactly as `bsgap fit --config FOLDER/config.yaml` does, into its folder of the store."""
    folder = Path(payload["folder"])
    resume_point.should_stop = pool.should_stop
    arguments = ["fit", "--config", str(folder / "config.yaml"), f"--trainer.default_root_dir={folder}"]
    arguments += ["--trainer.enable_progress_bar=false"]
    arguments += [f"--wandb.{key}={yaml.safe_dump(value).strip()}" for key, value in payload["wandb"].items()]
    (folder / SUMMARY).unlink(missing_ok=True)  # of a sitting that ended between its last two steps
    try:
        cli.BsgapCLI(arguments, callbacks=[_Progress(notify)])
    except RunInterrupted as interruption:
        raise Interrupted(str(interruption)) from None
    outcome: dict[str, Any] = json.loads((folder / SUMMARY).read_text())
    return outcome


@lru_cache(maxsize=2)
def _data(text: str) -> ImageData:
    data = ImageData(**json.loads(text))
    data.setup("fit")
    return data


@lru_cache(maxsize=1)
def _task(text: str) -> ImageClassification:
    model, _ = cli.build(json.loads(text))
    return model


def _batches(data: ImageData, split: str, examples: int | None) -> Batches:
    return data.batches(split, examples=examples)  # type: ignore[arg-type]


def measure(kind: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Measure weights that a run kept, in float32, in the BatchNorm mode of its recipe."""
    config, options = dict(payload["config"]), dict(payload["options"])
    states = [torch.load(path, map_location="cpu", weights_only=True) for path in payload["weights"]]
    task = _task(json.dumps(config["model"], sort_keys=True))
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
        path = state_path(
            model, states[0], states[1], alphas, splits, kind=options["shape"], statistics=statistics
        )
        return {"alphas": alphas, "losses": path.losses, "accuracies": path.accuracies, "statistics": statistics}
    raise UsageError(f"unknown measure {kind!r}: expected evaluation, sharpness, path or distance.")


def prepare(folder: Path, config: Mapping[str, Any]) -> None:
    """Write the configuration that the run's folder keeps."""
    write_text(folder / "config.yaml", yaml.safe_dump(dict(config), sort_keys=False))


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
