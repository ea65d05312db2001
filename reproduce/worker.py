"""What a worker process does with one job: train a trial, or measure kept weights."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import pytorch_lightning as pl
import torch

from bsgap import cli
from bsgap.callbacks import Point
from bsgap.callbacks import resume as resume_point
from bsgap.callbacks.measuring import criterion_of
from bsgap.callbacks.outcome import SUMMARY
from bsgap.data import Batches
from bsgap.errors import BadCheckpoint, UsageError
from bsgap.errors import Interrupted as RunInterrupted
from bsgap.measures import (
    distance,
    keskar_sharpness,
    layer_norms,
    linear_approximation,
    mini_batch,
    state_path,
    time_passes,
)
from bsgap.measures.timing import of_sizes
from reproduce.engines import pool
from reproduce.engines.jobs import Interrupted
from reproduce.entry import CONFIG, RESUME
from reproduce.store import Store

Notify = Callable[[Mapping[str, Any]], None]
AUTOCAST: dict[str, torch.dtype | None] = {"32-true": None, "32": None, "None": None, "bf16-mixed": torch.bfloat16}


def execute(kind: str, payload: Mapping[str, Any], notify: Notify) -> dict[str, Any]:
    """Do one job and return what it found.

    Args:
        kind: `train`, `evaluation`, `sharpness`, `path`, `distance`, `linear-approximation`,
            `norms` or `timing`.
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
def _data(text: str) -> Any:
    data = cli.build_data(json.loads(text))
    data.setup("fit")
    return data


@lru_cache(maxsize=1)
def _task(text: str) -> Any:
    return cli.build(json.loads(text))


def measure(kind: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Measure weights that a run kept, in float32, in the BatchNorm mode of its recipe."""
    config, options = dict(payload["config"]), dict(payload["options"])
    states = [torch.load(path, map_location="cpu", weights_only=True) for path in payload["weights"]]
    model_options = config["model"]["init_args"] | {"initial_weights": None}  # they are replaced by the kept ones
    task = _task(json.dumps(config["model"] | {"init_args": model_options}, sort_keys=True))
    model: torch.nn.Module = task.network
    statistics: Any = getattr(task, "statistics", "running")
    model.load_state_dict(states[0])
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    if kind == "distance":
        return {"distance": distance(states[0], states[1], [name for name, _ in model.named_parameters()])}
    data_options = config["data"]["init_args"] | {"seed": 0}
    data = _data(json.dumps(config["data"] | {"init_args": data_options}, sort_keys=True))
    if kind == "evaluation":
        splits = [options["split"]] if "split" in options else ["train", "test"]
        found = {split: task.evaluate(data.batches(split, examples=options.get("examples"))) for split in splits}
        return {
            f"{split}_{name}": value
            for split, result in found.items()
            for name, value in {**result.values(), "examples": result.examples}.items()
        } | {"statistics": statistics}
    examples = options.pop("examples", None)
    if kind == "sharpness":
        train = data.batches("train", examples=examples)
        return dict(vars(keskar_sharpness(model, train, statistics=statistics, **options)))
    if kind == "linear-approximation":
        train = data.batches("train", examples=examples, batch_size=task.micro_batch)
        return _approximations(model, train, statistics, **options)
    if kind == "norms":
        return _norms(task, data, **options)
    if kind == "timing":
        return _timing(task, data, config["trainer"].get("precision"), **options)
    if kind == "path":
        sets = {"train": data.batches("train", examples=examples), "test": data.batches("test")}
        low, high, points = options["low"], options["high"], options["points"]
        alphas = [low + (high - low) * index / (points - 1) for index in range(points)]
        path = state_path(model, states[0], states[1], alphas, sets, kind=options["shape"], statistics=statistics)
        return {"alphas": alphas, "losses": path.losses, "accuracies": path.accuracies, "statistics": statistics}
    raise UsageError(
        f"unknown measure {kind!r}: expected evaluation, sharpness, path, distance, linear-approximation, norms or"
        " timing."
    )


def _approximations(
    model: torch.nn.Module, batches: Batches, statistics: Any, *, rate: float, batch_size: int, draws: int, seed: int
) -> dict[str, Any]:  # fmt: skip
    """Golmant's linear-approximation error: the mean over several mini-batches, and each of them.

    The batches are micro-batches of the training, so that BatchNorm takes its statistics over as many examples.
    """
    found = []
    for draw in range(draws):
        chunks = mini_batch(batches, batch_size, seed, draw)
        found.append(vars(linear_approximation(model, batches, chunks, rate=rate, statistics=statistics)))
    kept = ("error", "same_batch_error", "loss", "loss_after", "gradient_norm")
    means = {name: sum(each[name] for each in found) / draws for name in ("error", "same_batch_error")}
    draws_of = {f"{name}_of_draws": [each[name] for each in found] for name in kept}
    return means | draws_of | {
        "batch_size": batch_size, "rate": rate, "examples": found[0]["examples"], "statistics": statistics,
    }  # fmt: skip


def _norms(task: Any, data: Any, *, batch_size: int, seed: int = 0) -> dict[str, Any]:
    """Norms of every weight and of its gradient over one mini-batch, which `seed` draws.

    As in a step of the training, BatchNorm has the statistics of each micro-batch, whatever the evaluation has.
    """
    batches = data.batches("train", batch_size=task.micro_batch or batch_size)
    rows = layer_norms(task.network, mini_batch(batches, batch_size, seed), criterion_of(task), statistics="batch")
    layers = [
        {
            "layer": row.name.removesuffix(".weight"), "shape": list(row.shape), "weight": row.weight,
            "gradient": row.gradient, "ratio": row.ratio,
        }
        for row in rows
    ]  # fmt: skip
    return {"layers": layers, "batch_size": batch_size, "micro_batch": task.micro_batch, "statistics": "batch"}


def _timing(task: Any, data: Any, precision: Any, *, batches: Sequence[int], rounds: int = 5) -> dict[str, Any]:
    """Seconds of the forward and the backward pass of a training step, for every one of the batch sizes.

    As the run trains: in its precision, layout and micro-batches, on its examples, compiled where it is. How fast a
    machine is has nothing to do with the weights.
    """
    if str(precision) not in AUTOCAST:
        raise UsageError(f"timing: precision {precision} is not known, expected {' or '.join(AUTOCAST)}.")
    pool = data.batches("train", examples=min(max(batches), data.n_train))
    found = time_passes(
        task, of_sizes(pool, batches), criterion_of(task), rounds=rounds, autocast=AUTOCAST[str(precision)],
        micro_batch=task.micro_batch, forward=task.train_forward,
    )  # fmt: skip
    cpu = f"CPU, {torch.get_num_threads()} thread{'s' if torch.get_num_threads() > 1 else ''}"
    return {
        **{name: list(value) if isinstance(value, tuple) else value for name, value in vars(found).items()},
        "precision": str(precision), "micro_batch": task.micro_batch,
        "device": torch.cuda.get_device_name(0) if torch.cuda.is_available() else cpu,
    }  # fmt: skip
