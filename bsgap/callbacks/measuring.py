"""What callbacks that take a measure have in common: when, over which batches, and where the results go."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any, ClassVar, get_args

import pytorch_lightning as pl
from torch.nn.functional import cross_entropy

from bsgap.errors import UsageError
from bsgap.measures import Statistics
from bsgap.measures.batches import Batches, Loss, listed, read
from bsgap.measures.modes import measuring
from bsgap.measures.vectors import PROBE, MeanLoss
from bsgap.seeding import preserved_random_state


class Measuring(pl.Callback):
    """Take a measure of the module that trains, after every so many epochs and at the end of the fit.

    A measure defines `result_type`, a dataclass, `measure`, and `logged`. Weights, mode, buffers, gradients, random
    state and the position of the loader must afterwards be as they were, so that a run with it equals one without it.
    It is rehearsed on a few examples as the training starts, so that what can be refused is refused before the hours
    of training and not after them.

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
        self._batches: Batches | None = None
        self._measured_at: int | None = None

    def measure(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batches: Batches) -> Any:
        """One measurement over `batches`; None where there is nothing to measure."""
        raise NotImplementedError(f"{type(self).__name__} must define measure.")

    def logged(self, result: Any) -> dict[str, float]:
        """What is logged of a result."""
        raise NotImplementedError(f"{type(self).__name__} must define logged.")

    def rehearse(self, pl_module: pl.LightningModule, batches: Batches) -> None:
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
            if value is not None and value < 1:
                raise UsageError(f"{self.name}: {option} must be at least 1 or absent, got {value}.")

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
        if self._source is None:
            self._batches = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Rehearse on a few examples."""
        with preserved_random_state():
            few = training_batches(trainer, self._source, PROBE)
        self.rehearse(pl_module, few)

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


def training_batches(trainer: pl.Trainer, source: Iterable[Any] | None = None, examples: int | None = None) -> Batches:
    """The batches over which a measure of a training is taken, of fixed composition.

    They are `source` if given; else what the data module gives for measures (`datamodule.batches("train")`, as bsgap's
    do); else one pass of the training loader, with the augmentation drawn now.

    Args:
        trainer: The trainer of the run.
        source: Pairs `(inputs, targets)`.
        examples: At most so many examples; None for all.

    Raises:
        UsageError: The training loader has only a share of the data, or they are no pairs.
    """
    if source is not None:
        return listed(read(source, examples))
    data: Any = getattr(trainer, "datamodule", None)
    if hasattr(data, "batches"):
        every = examples is None or examples >= getattr(data, "n_train", math.inf)
        return listed(data.batches("train", examples=None if every else examples))
    if trainer.world_size > 1:
        raise UsageError("with several devices the training loader has a share of the data: give `batches`.")
    return listed(read(trainer.train_dataloader or [], examples))


def criterion_of(module: pl.LightningModule) -> Loss:
    """Loss of a measure on `module`: cross-entropy, or its class's method `criterion(outputs, targets)`.

    The tasks of bsgap have one where their loss is another.
    """
    own: Any = module  # an attribute of that name, such as a loss module, is not meant
    found: Loss = own.criterion if callable(getattr(type(module), "criterion", None)) else cross_entropy
    return found
