"""Loss and accuracy curves, taken on fixed examples rather than on the mini-batches."""

import math
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl

from bsgap.data.epochs import EpochLoader
from bsgap.errors import UsageError
from bsgap.measures import weight_norm as norm_of_weights

COLUMNS = ("step", "epoch", "examples", "metric", "value")


@dataclass(frozen=True)
class Point:
    """One evaluation along a run.

    Attributes:
        step: Optimizer steps so far.
        epoch: Epochs so far, with the fraction of the current one.
        examples: Training examples seen so far.
        epoch_end: Whether a whole number of epochs has just ended.
        values: Metric name -> value: losses in nats, accuracies in [0, 1].
    """

    step: int
    epoch: float
    examples: int
    epoch_end: bool
    values: dict[str, float]


class Curves(pl.Callback):
    """Evaluate the task on a fixed sample of training examples and on the test set as it trains.

    Mini-batch losses favour small batches, so the training loss is taken on one fixed sample (the data module's
    `sample` split), in evaluation mode. The metrics are `train_loss`, `train_accuracy` (sample), `test_loss`,
    `test_accuracy`, where some data are cut for validation `validation_loss` and `validation_accuracy` (as often as the
    test set), and whatever else the task's evaluation gives (`values()`). Each evaluation is announced to every
    callback that has a method `on_evaluation(trainer, module, point)`. What a callback's method `curve_values(trainer,
    module)` returns, name -> number, is written with each evaluation: so do `BatchSizeRamp` (`batch_size`,
    `learning_rate`, `noise_scale`) and `RateDecay` where they do something, for the step that comes next. Training does
    not depend on how often this looks, but the step at which a loss level counts as crossed does.

    It needs a task with a method `evaluate(batches)` and data with a method `batches(split)`, as those of this package
    have; with others it stays silent, unless another callback (an attribute `needs_curves` that is true) counts on it.

    Args:
        per_epoch: Evaluations of the sample an epoch, evenly spaced: after the first step at or past each k/per_epoch
            of the epoch, so the last one falls on the epoch's end.
        test_every: Epochs between evaluations of the test set, which also falls on the end of the budget; 0 for none.
        per_doubling: Evaluations per doubling of the steps taken, instead of `per_epoch`: after steps
            2^(k/per_doubling), rounded up, and at the end of the run, so that a curve is as fine for a run of few steps
            as for one of many. The test set is then evaluated each time, unless `test_every` is 0.
        weight_norm: Whether to write `weight_norm` with each evaluation: the Euclidean norm of all weights, without
            biases and normalisation layers (`bsgap.measures.weight_norm`); absent means no.

    Raises:
        UsageError: An option is out of range, or a callback counts on evaluations that cannot be had.
    """

    def __init__(
        self,
        per_epoch: int = 1,
        test_every: int = 1,
        per_doubling: int | None = None,
        weight_norm: bool | None = None,
    ):
        if per_epoch < 1 or test_every < 0:
            raise UsageError(f"curves: expected per_epoch >= 1 and test_every >= 0, got {per_epoch} and {test_every}.")
        if per_doubling is not None and per_doubling < 1:
            raise UsageError(f"curves: expected per_doubling >= 1 or none, got {per_doubling}.")
        self.per_epoch, self.test_every, self.per_doubling = per_epoch, test_every, per_doubling
        self.weight_norm = bool(weight_norm)
        self.rows: list[tuple[int, float, int, str, float]] = []
        self.examples = 0
        self._epoch = 0.0
        self._sets: dict[str, Any] = {}

    def state_dict(self) -> dict[str, Any]:
        """Rows and examples so far: a resumed run writes the curves of an uninterrupted one."""
        return {"rows": [list(row) for row in self.rows], "examples": self.examples}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.rows = [tuple(row) for row in state_dict["rows"]]
        self.examples = state_dict["examples"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the point before the first step, unless the run is a resumed one."""
        data: Any = getattr(trainer, "datamodule", None)
        if not hasattr(pl_module, "evaluate") or not hasattr(data, "batches"):
            self._sets = {}
            for callback in trainer.callbacks:  # type: ignore[attr-defined]
                if getattr(callback, "needs_curves", False):
                    raise UsageError(
                        f"{type(callback).__name__} needs loss curves, so a task with evaluate(batches) and data with"
                        f" batches(split); {type(pl_module).__name__} and {type(data).__name__} have not both."
                    )
            return
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if self.per_doubling is not None and getattr(callback, "needs_curves", False):
                raise UsageError(
                    f"{type(callback).__name__} looks at the ends of epochs, and curves.per_doubling elsewhere."
                    " Use curves.per_epoch, or switch the other off (stopping.patience 0)."
                )
        self._sets = {"train": data.batches("sample")}
        if self.test_every:
            self._sets["test"] = data.batches("test")
            if getattr(data, "validation_examples", 0):
                self._sets["validation"] = data.batches("validation")
        if not self.rows:
            self._evaluate(trainer, pl_module, epoch_end=True, sets=list(self._sets))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Evaluate where the step is one of the evenly spaced ones."""
        if not self._sets:
            return
        self.examples += len(batch[1]) * trainer.world_size
        before, done, whole = _progress(trainer, batch_idx)
        self._epoch = trainer.current_epoch + done / whole
        epoch_end = done == whole
        if self.per_doubling is not None:
            if on_log_grid(trainer.global_step, self.per_doubling):
                self._evaluate(trainer, pl_module, epoch_end=epoch_end, sets=list(self._sets))
            return
        # `done` is a check when it is the first step at or past k/per_epoch of the epoch, for some whole k.
        if done * self.per_epoch // whole == before * self.per_epoch // whole:
            return
        epochs = trainer.current_epoch + 1
        over = trainer.global_step == trainer.max_steps or (epoch_end and epochs == trainer.max_epochs)
        test = self.test_every and (over or (epoch_end and epochs % self.test_every == 0))
        sets = [name for name in self._sets if name == "train" or test]
        self._evaluate(trainer, pl_module, epoch_end=epoch_end, sets=sets)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take a last point where the run ends between two of them, as with a budget of steps."""
        if self._sets and self.rows[-1][0] != trainer.global_step:
            self._evaluate(trainer, pl_module, epoch_end=False, sets=list(self._sets))

    def _evaluate(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *, epoch_end: bool, sets: list[str]
    ) -> None:
        values: dict[str, float] = {}
        for name in sets:
            result = pl_module.evaluate(self._sets[name])  # type: ignore[operator]
            values |= {f"{name}_{key}": value for key, value in result.values().items()}
        if self.weight_norm:
            values["weight_norm"] = norm_of_weights(pl_module)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if hasattr(callback, "curve_values"):
                values |= callback.curve_values(trainer, pl_module)
        point = Point(trainer.global_step, round(self._epoch, 6), self.examples, epoch_end, values)
        self.rows += [(point.step, point.epoch, point.examples, name, value) for name, value in values.items()]
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if hasattr(callback, "on_evaluation"):
                callback.on_evaluation(trainer, pl_module, point)


def _progress(trainer: pl.Trainer, batch_idx: int) -> tuple[int, int, int]:
    """How far into its epoch the batch just done begins and ends, of how much: in examples where batches differ."""
    loader: Any = getattr(trainer, "train_dataloader", None)
    if isinstance(loader, EpochLoader) and callable(loader.batch_size):
        whole = loader.epoch_examples
        start = loader.examples_before % whole
        return start, start + loader.examples_seen - loader.examples_before, whole
    return batch_idx, batch_idx + 1, int(trainer.num_training_batches)


def on_log_grid(step: int, per_doubling: int) -> bool:
    """Whether `step` is 2^(k/per_doubling), rounded up, for some whole k >= 0.

    >>> [step for step in range(1, 20) if on_log_grid(step, 2)]
    [1, 2, 3, 4, 6, 8, 12, 16]
    """
    k = math.floor(per_doubling * math.log2(step))
    return any(math.ceil(2 ** (power / per_doubling) - 1e-9) == step for power in (k - 1, k, k + 1))
