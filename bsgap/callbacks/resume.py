"""A point to resume from, exact to the bit, also when the run is killed in the middle of an epoch."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from bsgap.errors import BadCheckpoint, Interrupted, UsageError
from bsgap.files import whole
from bsgap.seeding import random_state, set_random_state

NAME = "last.ckpt"


def never() -> bool:
    """Nobody asks for a stop."""
    return False


should_stop: Callable[[], bool] = never
"""Asked after every batch. A command or a worker that wants a run to stop in good order puts its own question here."""

asking = False
"""Whether a training loop runs that asks `should_stop`; before and after it, a signal must be answered by others."""


class ResumePoint(Checkpoint):  # Lightning calls Checkpoint callbacks last, when the others' states are up to date
    """Save the whole state of a run every so often, random states included, and stop in good order when asked.

    Lightning's checkpoints hold no random state, so a resumed run differs from an uninterrupted one as soon as there
    is dropout or shuffling. This adds Python's, NumPy's, torch's and CUDA's, as tensors and integers, so that the
    file loads with `weights_only=True`. The file is `last.ckpt` under the trainer's root folder, written aside and
    renamed, and removed when the run is finished.

    Args:
        every_seconds: Least time between two saves; 0 saves after every batch.
        recipe: Digest of the configuration; the command sets it. A checkpoint of another recipe is refused.
    """

    def __init__(self, every_seconds: float = 30.0, recipe: str = ""):
        if every_seconds < 0:
            raise UsageError(f"resume: every_seconds must not be negative, got {every_seconds}.")
        self.every_seconds, self.recipe = every_seconds, recipe
        self._saved = time.monotonic()
        self._random: dict[str, Any] | None = None
        self._seconds = 0.0  # of earlier sittings
        self._begun = time.monotonic()
        self._on_sigterm: Any = None

    @property
    def seconds(self) -> float:
        """Time spent in this run, earlier sittings included."""
        return self._seconds + time.monotonic() - self._begun

    def state_dict(self) -> dict[str, Any]:
        """Random states, the recipe's digest and the time spent."""
        return {"random": random_state(), "recipe": self.recipe, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember the random states; they are set when training starts, after everything else has drawn.

        Raises:
            BadCheckpoint: It belongs to another recipe.
        """
        if self.recipe and state_dict["recipe"] != self.recipe:
            raise BadCheckpoint(
                f"the checkpoint belongs to another recipe (digest {state_dict['recipe'] or 'none'}, this one is"
                f" {self.recipe}). Continue it with its own configuration or in another --trainer.default_root_dir."
            )
        self._random, self._seconds = state_dict["random"], state_dict["seconds"]

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Note who answers SIGTERM, before Lightning does."""
        self._on_sigterm = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set the random states of the checkpoint that the run continues from, and begin to ask `should_stop`."""
        global asking
        asking = True
        if should_stop is not never and threading.current_thread() is threading.main_thread():
            # Lightning's answer to SIGTERM is a SystemExit after the batch, or in mid-validation, with nothing saved.
            signal.signal(signal.SIGTERM, self._on_sigterm)
        self._begun = self._saved = time.monotonic()
        if self._random is not None:
            set_random_state(self._random)
            self._random = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save in mid-epoch when it is time; the end of an epoch saves in its own hook."""
        if batch_idx + 1 < trainer.num_training_batches:
            self._save_when_due(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save at an epoch's end when it is time, unless it is the last one."""
        if trainer.current_epoch + 1 != trainer.max_epochs:
            self._save_when_due(trainer)

    def _save_when_due(self, trainer: pl.Trainer) -> None:
        if trainer.should_stop or 0 <= trainer.max_steps <= trainer.global_step:
            return  # the run is over: Lightning would not resume it, and its end would never be written
        stop = should_stop()
        due = stop or time.monotonic() - self._saved >= self.every_seconds
        if not trainer.strategy.reduce_boolean_decision(due, all=False):  # the processes of a run save together
            return
        path = Path(trainer.default_root_dir) / NAME
        if trainer.is_global_zero:
            with whole(path) as aside:
                trainer.save_checkpoint(aside, weights_only=False)
        else:
            trainer.save_checkpoint(path, weights_only=False)  # takes part, writes nothing
        self._saved = time.monotonic()
        if trainer.strategy.reduce_boolean_decision(stop, all=False):
            raise Interrupted(f"stopped at step {trainer.global_step}; the same command continues from {path}")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Nothing to resume any more."""
        self._seconds, self._begun = self.seconds, time.monotonic()
        self._stop_asking()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """The training loop is left."""
        self._stop_asking()

    @staticmethod
    def _stop_asking() -> None:
        global asking
        asking = False


def remove(folder: str | os.PathLike[str]) -> None:
    """Remove the resume point of a finished run, and what is left of one whose writing was killed."""
    root = Path(folder)
    for path in (root / NAME, *root.glob(f".{NAME}.*.part")):
        path.unlink(missing_ok=True)
