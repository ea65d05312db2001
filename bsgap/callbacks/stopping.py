"""Train until the loss ceases to improve; a diverged run is a result."""

import math
from typing import Any

import pytorch_lightning as pl

from bsgap.callbacks.curves import Point
from bsgap.errors import UsageError


class StoppingRule(pl.Callback):
    """Stop when the loss on the fixed training sample has not fallen for a number of epochs, or has diverged.

    "Until the loss function ceased to improve" (Keskar et al. 2017) is read as: the loss at the ends of epochs has
    not fallen below (1 - min_fall) times the last level counted as progress for `patience` epochs. A loss that is not
    a number, or above `explosion` times the first one, ends the run as diverged. Otherwise the budget (`max_epochs`)
    ends it.

    Args:
        patience: Epochs without progress after which training stops; 0 never stops before the budget.
        min_fall: Relative fall of the loss that counts as progress.
        explosion: Multiple of the first loss above which the run counts as diverged.

    Raises:
        UsageError: An option is out of range.
    """

    def __init__(self, patience: int = 0, min_fall: float = 0.01, explosion: float = 1e4):
        if patience < 0 or not 0 <= min_fall < 1 or explosion <= 1:
            raise UsageError(
                "stopping: expected patience >= 0, 0 <= min_fall < 1 and explosion > 1,"
                f" got {patience}, {min_fall} and {explosion}."
            )
        self.patience, self.min_fall, self.explosion = patience, min_fall, explosion
        self.level = math.inf
        self.since = 0.0
        self.first: float | None = None
        self.reason = "budget"

    @property
    def needs_curves(self) -> bool:
        """Whether the rule was asked for: without evaluations it could never stop a run."""
        return self.patience > 0

    @property
    def diverged(self) -> bool:
        """Whether the run ended because its loss exploded."""
        return self.reason == "diverged"

    def state_dict(self) -> dict[str, Any]:
        """The level to beat, when it was set, and the first loss."""
        return {"level": self.level, "since": self.since, "first": self.first, "reason": self.reason}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.level, self.since = state_dict["level"], state_dict["since"]
        self.first, self.reason = state_dict["first"], state_dict["reason"]

    def on_evaluation(self, trainer: pl.Trainer, pl_module: pl.LightningModule, point: Point) -> None:
        """Judge the loss of this point: divergence at every point, progress at the ends of epochs."""
        loss = point.values["train_loss"]
        self.first = loss if self.first is None else self.first
        if not math.isfinite(loss) or loss > self.explosion * self.first:
            self.reason, trainer.should_stop = "diverged", True
        elif point.epoch_end and loss < self.level * (1 - self.min_fall):
            self.level, self.since = loss, point.epoch
        elif point.epoch_end and self.patience and point.epoch - self.since >= self.patience:
            self.reason, trainer.should_stop = "loss ceased to improve", True
