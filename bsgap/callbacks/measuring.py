"""What callbacks that take a measure have in common: when, over which batches, and where the results go."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any, ClassVar, get_args

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import nn
from torch.nn.functional import cross_entropy

from bsgap.callbacks.measured_batches import check_loader, gives_batches, training_batches
from bsgap.errors import UsageError
from bsgap.measures import Statistics
from bsgap.measures.batches import Batches, Loss, listed, placed, read
from bsgap.measures.modes import device_of, measuring
from bsgap.measures.vectors import PROBE, MeanLoss
from bsgap.seeding import preserved_random_state


class Measuring(pl.Callback):
    """Take a measure of the module that trains, after every so many epochs and at the end of the fit.

    A measure defines `result_type`, a dataclass, `measure`, and `logged`. Weights, mode, buffers, gradients, random
    state and the position of the loader must afterwards be as they were, so that a run with it equals one without it.
    It is rehearsed on a few examples of the first training step, so that what can be refused is refused before the
    hours of training and not after them.

    Args:
        name: Names the callback in a checkpoint, and what it logs; two of one class need two names.
        every_n_epochs: Measure after every so many epochs, and at the end; None for the end of the fit only.
        examples: At most so many examples; None for all.
        batches: Pairs `(inputs, targets)` to measure over; None for the training data, see `training_batches`.
        loss: Mean loss of a batch from outputs and targets; None for the module's, see `criterion_of`.
        statistics: Source of the BatchNorm statistics, see `bsgap.measures.Statistics`.

    Attributes:
        results: What was measured, in order; part of a checkpoint.
        steps: The trainer's global step at each of them.

    Raises:
        UsageError: `every_n_epochs` or `examples` is below 1, or `statistics` is unknown; at the start of the training,
            the loss is not deterministic, or there are no batches to measure over.
    """

    result_type: ClassVar[type]

    def __init__(
        self,
        name: str,
        *,
        every_n_epochs: int | None = None,
        examples: int | None = None,
        batches: Iterable[Any] | None = None,
        loss: Loss | None = None,
        statistics: Statistics = "running",
    ) -> None:
        self.name = name
        self.check_counts(every_n_epochs=every_n_epochs, examples=examples)
        self.check_choice("statistics", statistics, Statistics)
        self.every_n_epochs, self.examples = every_n_epochs, examples
        self.results: list[Any] = []
        self.steps: list[int] = []
        self.loss = loss
        self.statistics: Statistics = statistics
        self._source = list(batches) if isinstance(batches, Iterator) else batches  # it could be read only once
        self._rehearsed = False
        self._batches: Batches | None = None
        self._measured_at: int | None = None

    def measure(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batches: Batches) -> Any:
        """One measurement over `batches`; None where there is nothing to measure."""
        raise NotImplementedError(f"{type(self).__name__} must define measure.")

    def logged(self, result: Any) -> dict[str, float]:
        """What is logged of a result."""
        raise NotImplementedError(f"{type(self).__name__} must define logged.")

    def rehearse(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batches: Batches) -> None:
        """Take of a few examples what a measurement begins with, so that what it would refuse is refused now."""
        with measuring(pl_module, batches, self.statistics) as fixed:
            MeanLoss(pl_module, fixed, self.loss or criterion_of(pl_module)).check_deterministic()

    def read(self, trainer: pl.Trainer) -> Batches:
        """The batches to measure over; called once a fit, with the random state preserved."""
        return training_batches(trainer, self._source, self.examples)

    def check_counts(self, **options: int | None) -> None:
        """Refuse counts below 1.

        Raises:
            UsageError: One of them is.
        """
        for option, value in options.items():
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise UsageError(f"{self.name}: {option} must be at least 1 or absent, got {value!r}.")

    def check_choice(self, option: str, value: Any, known: Any) -> None:
        """Refuse a value that is none of a `Literal`'s.

        Raises:
            UsageError: It is not.
        """
        if value not in get_args(known):
            raise UsageError(f"{self.name}: {option} must be one of {', '.join(get_args(known))}, got {value!r}.")

    @property
    def state_key(self) -> str:
        """Key of this callback in a checkpoint."""
        return self._generate_state_key(name=self.name)

    def state_dict(self) -> dict[str, Any]:
        """The results so far."""
        return {"results": [asdict(result) for result in self.results], "steps": list(self.steps)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.results = [self.result_type(**result) for result in state_dict["results"]]
        self.steps = list(state_dict["steps"])

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget what belongs to an earlier fit."""
        self._measured_at = None
        self._rehearsed = False
        if self._source is None:
            self._batches = None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Rehearse on a few examples before the first step: of `batches`, or else of this step, as no loader waits."""
        if self._rehearsed:
            return
        self._rehearsed = True
        with preserved_random_state():
            few = self._few(trainer, batch)
        _check_call(self.name, pl_module, few)
        if self.loss is None:
            _warn_of_another_loss(self.name, pl_module)
        self.rehearse(trainer, pl_module, few)

    def _few(self, trainer: pl.Trainer, batch: Any) -> Batches:
        if self._source is not None or gives_batches(trainer):
            return training_batches(trainer, self._source, PROBE)
        check_loader(trainer, self.examples)
        return read(listed([batch]), PROBE)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure where the epoch is one of every n."""
        if self.every_n_epochs is not None and (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            result = self._measure(trainer, pl_module)
            if result is not None:
                pl_module.log_dict(self.logged(result), batch_size=result.examples, sync_dist=True)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure the final weights, unless that has just been done."""
        self.measure_and_write(trainer, pl_module)

    def measure_and_write(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure, unless that has been done at this step, and write to the loggers, where the module may not log."""
        if self._measured_at == trainer.global_step:
            return
        result = self._measure(trainer, pl_module)
        if result is not None:
            for logger in trainer.loggers:
                logger.log_metrics(self.logged(result), step=trainer.global_step)

    def _measure(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> Any:
        if self._batches is None:
            with preserved_random_state():
                self._batches = self.read(trainer)
        self._measured_at = trainer.global_step
        result = self.measure(trainer, pl_module, self._batches)
        if result is not None:
            self.results.append(result)
            self.steps.append(trainer.global_step)
        return result


def _check_call(name: str, module: pl.LightningModule, batches: Batches) -> None:
    """Refuse a module that gives no outputs for the inputs of a batch.

    Raises:
        UsageError: `module(inputs)` fails, in whatever way.
    """
    try:
        with measuring(module, batches, "running") as fixed, torch.no_grad():
            module(placed(fixed[0], device_of(module))[0])
    except Exception as error:
        first = str(error).strip().split("\n")[0]
        raise UsageError(
            f"{name}: module(inputs) fails on the inputs of a batch, {type(error).__name__}: {first} Define"
            " forward(inputs), which gives the outputs that the loss takes, or give `batches` whose inputs it takes."
        ) from error


def _warn_of_another_loss(name: str, module: pl.LightningModule) -> None:
    """Say that a loss which the module keeps as an attribute is not what is measured, unless it is the same one."""
    if criterion_of(module) is not cross_entropy:
        return
    for attribute in ("criterion", "loss_fn", "loss_function", "loss"):
        kept = getattr(module, attribute, None)
        if isinstance(kept, nn.Module) and not _is_plain_cross_entropy(kept):
            rank_zero_warn(
                f"{name}: what is measured is the cross-entropy, not the module's attribute {attribute},"
                f" {type(kept).__name__}: give loss=module.{attribute} if that is meant."
            )


def _is_plain_cross_entropy(loss: nn.Module) -> bool:
    if type(loss) is not nn.CrossEntropyLoss or loss.weight is not None:
        return False
    plain = nn.CrossEntropyLoss()
    return all(getattr(loss, name) == getattr(plain, name) for name in ("ignore_index", "reduction", "label_smoothing"))


def criterion_of(module: pl.LightningModule) -> Loss:
    """Loss of a measure on `module`: cross-entropy, or its class's method `criterion(outputs, targets)`.

    The tasks of bsgap have one where their loss is another.
    """
    own: Any = module  # an attribute of that name, such as a loss module, is not meant
    found: Loss = own.criterion if callable(getattr(type(module), "criterion", None)) else cross_entropy
    return found
