"""Keep the weights of the moments that a figure needs."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from bsgap.callbacks.curves import Point
from bsgap.files import whole


class KeepWeights(pl.Callback):
    """Save the network at the start, at the end, at declared epochs, and when the loss first falls below a level.

    Files are `weights/NAME.pt` under the trainer's root folder, each a state dict, with NAME `initial`, `final`,
    `epoch-5`, `loss-0.1`. Solutions of different batch sizes are compared at the end and at matched training loss,
    and for the latter one needs the weights of the crossing, not those of the end.

    Args:
        levels: Training losses (nats, on the fixed sample) at whose first crossing the weights are kept.
        epochs: Epochs after which the weights are kept.
        ends: Keep the initial and the final weights.
    """

    def __init__(self, levels: list[float] | None = None, epochs: list[int] | None = None, ends: bool = False):
        self.levels = sorted(levels or [], reverse=True)
        self.epochs = sorted(epochs or [])
        self.ends = ends
        self.kept: dict[str, dict[str, float]] = {}
        self._last: dict[str, float] = {}

    @property
    def needs_curves(self) -> bool:
        """Whether the moments to keep are those of evaluations."""
        return bool(self.levels or self.epochs)

    def state_dict(self) -> dict[str, Any]:
        """What has been kept so far."""
        return {"kept": self.kept, "last": self._last}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.kept, self._last = state_dict["kept"], state_dict["last"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the initial weights, where no evaluation before the first step has done so."""
        if self.ends and trainer.global_step == 0 and "initial" not in self.kept:
            self._save(trainer, pl_module, "initial")

    def on_evaluation(self, trainer: pl.Trainer, pl_module: pl.LightningModule, point: Point) -> None:
        """Save where this point is the first at or below a level, or a declared epoch."""
        loss = point.values["train_loss"]
        self._last = {"step": point.step, "epoch": point.epoch, "loss": loss}
        names = ["initial"] if self.ends and point.step == 0 else []
        names += [f"loss-{level:g}" for level in self.levels if loss <= level]
        if point.epoch_end:
            names += [f"epoch-{epoch}" for epoch in self.epochs if point.epoch == epoch]
        for name in names:
            if name not in self.kept:
                self._save(trainer, pl_module, name)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the final weights."""
        if self.ends:
            self._save(trainer, pl_module, "final")

    def _save(self, trainer: pl.Trainer, pl_module: pl.LightningModule, name: str) -> None:
        self.kept[name] = dict(self._last) or {"step": trainer.global_step}
        if trainer.is_global_zero:
            # The network alone: the file is of use without the task, its optimizer or Lightning.
            network = getattr(pl_module, "network", pl_module)
            with whole(Path(trainer.default_root_dir) / "weights" / f"{name}.pt") as aside:
                torch.save(network.state_dict(), aside)
