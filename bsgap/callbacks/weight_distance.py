"""How far the weights have moved from where they started, while a module trains."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from bsgap.callbacks.curves import on_log_grid
from bsgap.callbacks.position import epochs_passed
from bsgap.errors import UsageError
from bsgap.measures import distance_from

METRIC = "distance"
"""Name of its rows in `metrics.csv`."""


class WeightDistance(pl.Callback):
    """Measure the Euclidean distance ‖w_t − w_0‖₂ of the weights from their start (Hoffer et al., arXiv:1705.08741).

    Their Figure 2 shows it against log t: early in training it grows like log t, at a pace that depends on the batch
    size (`bsgap.analysis.log_time_fit` fits that line). Here w is the whole weight vector: every parameter of the
    module that is trainable when the fit begins, shared ones once, no buffers. (The published code logged the first
    parameter tensor of the network only.)

    It needs nothing of the module, and a run with it equals a run without it. A copy of the start weights stays on the
    device; a measurement needs memory for 4 million elements beside them (`bsgap.measures.distance_from`). Every
    checkpoint carries the start weights too, as tensors, and so is larger by the size of the weights: a third with
    SGD and momentum, a quarter with Adam.

    The distance goes to the trainer's loggers as `weight_distance`, and with `Outcome` to `metrics.csv` as `distance`.
    With none of the three options it does nothing and costs nothing, which is the default of `bsgap fit`.

    Example:
        >>> from bsgap.callbacks import WeightDistance
        >>> callback = WeightDistance()  # for Trainer(callbacks=[callback])
        >>> callback.results, callback.steps
        ([], [])

    Args:
        per_doubling: Measure after steps 2^(k/per_doubling), rounded up, as `Curves` evaluates.
        every_n_steps: Measure after every so many optimizer steps.
        every_n_epochs: Measure after every so many epochs.

    Whichever are given, the end of the fit is measured too.

    Attributes:
        results: The distances, in order; part of a checkpoint.
        steps: The trainer's global step at each of them.
        rows: The same as rows of `metrics.csv`: step, epoch, examples, metric, value.

    Raises:
        UsageError: An option is below 1, or a parameter of the start is no longer there.
    """

    def __init__(
        self,
        per_doubling: int | None = 2,
        every_n_steps: int | None = None,
        every_n_epochs: int | None = None,
    ) -> None:
        options = {"per_doubling": per_doubling, "every_n_steps": every_n_steps, "every_n_epochs": every_n_epochs}
        for option, value in options.items():
            if value is not None and value < 1:
                raise UsageError(f"weight distance: {option} must be at least 1 or absent, got {value}.")
        self.per_doubling, self.every_n_steps, self.every_n_epochs = per_doubling, every_n_steps, every_n_epochs
        self.enabled = any(value is not None for value in options.values())
        self.rows: list[tuple[int, float, int, str, float]] = []
        self._start: dict[str, Tensor] = {}
        self._examples = 0
        self._step = 0  # the last one that was looked at

    @property
    def results(self) -> list[float]:
        """The distances so far."""
        return [value for *_, value in self.rows]

    @property
    def steps(self) -> list[int]:
        """The global step of each."""
        return [step for step, *_ in self.rows]

    def state_dict(self) -> dict[str, Any]:
        """What has been measured, and the start weights: nothing else remembers where the run began."""
        if not self._start:
            return {}
        return {"rows": [list(row) for row in self.rows], "start": self._start, "examples": self._examples}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.rows = [tuple(row) for row in state_dict["rows"]]
        self._start, self._examples = state_dict["start"], state_dict["examples"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Copy the start weights, or take up those of the checkpoint that the run continues from."""
        self._step = trainer.global_step
        if not self.enabled:
            return
        parameters = dict(pl_module.named_parameters())
        if trainer.global_step == 0:
            self.rows, self._examples = [], 0
            trained = {name: p for name, p in parameters.items() if p.requires_grad}
            self._start = {name: parameter.detach().clone() for name, parameter in trained.items()}
        elif self._start:
            self._start = {
                name: start.to(parameters[name].device if name in parameters else start.device)
                for name, start in self._start.items()
            }
        else:
            rank_zero_warn(
                "weight distance: not measured, as this fit continues from weights whose start is not known."
                " Give the callback to the run from its first step."
            )

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure where one of the steps to be measured has just been taken."""
        if not self._start:
            return
        self._examples += _examples_in(batch) * trainer.world_size
        before, self._step = self._step, trainer.global_step
        # A batch may be no step (accumulation) or several (two optimizers).
        if any(self._is_due(step) for step in range(before + 1, self._step + 1)):
            self._measure(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure where the epoch is one of every n."""
        if self.every_n_epochs is not None and (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            self._measure(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure the final weights."""
        self._measure(trainer, pl_module)

    def _is_due(self, step: int) -> bool:
        return (self.per_doubling is not None and on_log_grid(step, self.per_doubling)) or (
            self.every_n_steps is not None and step % self.every_n_steps == 0
        )

    def _measure(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        step = trainer.global_step
        if not self._start or step == 0 or (self.rows and self.rows[-1][0] == step):
            return
        parameters = dict(pl_module.named_parameters())
        if missing := [name for name in self._start if name not in parameters]:
            raise UsageError(
                f"weight distance: parameter {missing[0]!r} was there at the start and is not any more, so its distance"
                " is not defined. Leave the callback away where parameters are replaced in training."
            )
        value = distance_from((parameters[name] for name in self._start), self._start.values())
        self.rows.append((step, round(epochs_passed(trainer), 6), self._examples, METRIC, value))
        for logger in trainer.loggers:
            logger.log_metrics({"weight_distance": value}, step=step)


def _examples_in(batch: Any) -> int:
    """Examples in a batch: the length of its targets, or of whatever else it holds."""
    if isinstance(batch, dict):
        batch = list(batch.values())
    part = batch[min(1, len(batch) - 1)] if isinstance(batch, list | tuple) and batch else batch
    return len(part) if isinstance(part, Tensor) and part.ndim else 1
