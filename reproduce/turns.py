"""How long an optimizer step takes, of several ways of stepping that take turns in one training."""

import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from bsgap.errors import UsageError
from bsgap.seeding import preserved_random_state
from bsgap.terminal import quiet

WARM_UP = 2
"""Steps of each way before any is timed."""


def step_seconds(
    task: pl.LightningModule,
    batch: tuple[Tensor, Tensor],
    ways: Sequence[Mapping[str, Any]],
    *,
    rounds: int,
    steps: int,
    precision: Any = None,
) -> list[list[float]]:
    """Seconds of a step on `batch` through Lightning's Trainer: way -> round -> mean of `steps` steps.

    The ways take turns, so that a machine that grows slower slows all of them. The rate is 0, so no weight moves;
    BatchNorm's averages do.

    Args:
        task: The module; of its optimizer's attributes a way sets some, such as `rho` and `adaptive` of SAM.
        batch: Inputs and targets, the same at every step.
        ways: Attributes of the optimizer, by way.
        rounds: How often every way has its turn.
        steps: Steps of a way in one turn.
        precision: The trainer's.

    Raises:
        UsageError: The task's optimizer has no such attribute.
    """
    quiet()
    turns = _Turns(ways, rounds, steps)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), preserved_random_state():
        warnings.simplefilter("ignore")  # of what a training would need, such as a validation loader
        trainer = pl.Trainer(
            max_steps=len(turns.schedule), max_epochs=-1, default_root_dir=folder, callbacks=[turns], devices=1,
            precision=precision, logger=False, enable_progress_bar=False, enable_model_summary=False,
            enable_checkpointing=False,
        )  # fmt: skip
        same: Any = [batch] * len(turns.schedule)
        trainer.fit(task, DataLoader(same, batch_size=None))
    return turns.seconds


class _Turns(pl.Callback):
    """Sets the way of each step, and takes the time of each turn."""

    def __init__(self, ways: Sequence[Mapping[str, Any]], rounds: int, steps: int) -> None:
        self.ways, self.steps = ways, steps
        turns = [(way, WARM_UP, False) for way in range(len(ways))]
        turns += [(way, steps, True) for _ in range(rounds) for way in range(len(ways))]
        self.schedule = [
            (way, timed and step == 0, timed and step == length - 1)
            for way, length, timed in turns
            for step in range(length)
        ]
        self.seconds: list[list[float]] = [[] for _ in ways]
        self._start = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        missing = {name for way in self.ways for name in way if not hasattr(trainer.optimizers[0], name)}
        if missing:
            kind = type(trainer.optimizers[0]).__name__
            raise UsageError(
                f"steps: the run's optimizer, {kind}, has no {' or '.join(sorted(missing))}: expected SAM."
            )

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        way, first, _ = self.schedule[batch_idx]
        for name, value in self.ways[way].items():
            setattr(trainer.optimizers[0], name, value)
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = 0.0  # at every step, as a schedule sets it anew
        if first:
            self._start = _now()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        way, _, last = self.schedule[batch_idx]
        if last:
            self.seconds[way].append((_now() - self._start) / self.steps)


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
