"""A batch that grows while training goes on, for any module and data."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import pytorch_lightning as pl

from bsgap.callbacks.curves import Point
from bsgap.callbacks.microbatches import MicroBatches, micro_batches_of
from bsgap.callbacks.multipliers import effective_rate, multiply, remove
from bsgap.callbacks.plateau import Plateau
from bsgap.callbacks.position import epochs_passed
from bsgap.callbacks.ramp_checks import check_batches, check_growth, check_trainer, moved_schedules
from bsgap.callbacks.resizing import OwnData, Source, examples_in, source_of
from bsgap.data.epochs import EpochLoader
from bsgap.errors import UsageError
from bsgap.optim.growth import (
    BatchSizes,
    Coupling,
    Growth,
    Last,
    batches_in,
    by_epochs,
    by_steps,
    noise_scale,
    schedule_steps,
    share_of_rate,
    within,
)

NAME = "ramp"


@dataclass(frozen=True)
class Stage:
    """The batch and what goes with it, from one moment of a run on.

    Attributes:
        step: Optimizer steps before it.
        epoch: Epochs before it, with the fraction of the current one.
        examples: Training examples before it.
        batch_size: Examples in a step, over all devices.
        rate: Learning rate of the first parameter group, as the step uses it.
        noise_scale: See `bsgap.optim.growth.noise_scale`.
    """

    step: int
    epoch: float
    examples: int
    batch_size: int
    rate: float
    noise_scale: float


class BatchSizeRamp(pl.Callback):
    """Let the batch grow from m0, the size that the data state, and the learning rate with it.

    After the k-th milestone a step takes m_k = m0·factor^k examples (or the k-th of `sizes`), at most `maximum`, and
    during it all rates are multiplied by m_k/m0 (`keep-ratio`), √(m_k/m0) or 1: as AdaBatch does (Devarakonda et al.
    2017, arXiv:1712.02029), and as Smith et al. 2017 (arXiv:1711.00489) grow the batch where others decay the rate. It
    is the real batch that grows: each step is one step on the mean gradient of m_k examples.

    With data of this package it grows at the first batch at or past a milestone, also in the middle of an epoch; with a
    DataLoader, a data module or a module that states a batch size, between two epochs, by a reload. Every example still
    comes once an epoch. The smaller batch at the end of an epoch takes the rate of the others.

    At the start of each epoch and at each change `batch_size`, `learning_rate` and `noise_scale` go to the loggers and
    into `history`; `Curves` writes them at every evaluation. Batch counts, validation intervals given as fractions and
    progress bars are those of the size in hand. `max_steps` and other intervals in steps count updates.

    A run that was killed in the middle of an epoch and resumed equals an uninterrupted one with data of this package.
    A DataLoader starts the epoch anew, as without a ramp.

    Example:
        >>> from bsgap.callbacks import BatchSizeRamp
        >>> callback = BatchSizeRamp(factor=2, every=20, maximum=2048)  # for Trainer(callbacks=[callback])
        >>> callback.growth.plan(start=128, end=100)  # what it does to batches of 128 in 100 epochs
        [(20, 256), (40, 512), (60, 1024), (80, 2048)]

    Args:
        factor: Growth at each milestone. Without it and `sizes` there is no ramp, whatever else is set.
        sizes: Batch size after each milestone, over all devices, instead of `factor`.
        milestones: Epochs (they may be fractional with data of this package) or steps after which the batch grows.
        every: Grow every so many epochs or steps, instead of `milestones`.
        unit: What `milestones` and `every` count: epochs, or steps (updates). Where the batch only changes between two
            epochs, it does so at the end of the epoch in which a step falls.
        monitor: Grow when this metric stops improving, instead of at milestones. It is looked at after each epoch
            (after each with a validation, where there is one): a metric that is logged, or one of `Curves`.
        mode: Whether the metric improves as it falls (min) or rises (max).
        patience: Looks without improvement that are let pass before the batch grows.
        min_delta: Change of the metric that counts as improvement.
        maximum: Largest batch size; a larger one is cut to it.
        rate: How the learning rate follows: keep-ratio or linear (the same), square-root, none.
        micro_batch: Examples that go through the network at once on a device; larger batches run in several parts. A
            task of this package weighs the parts by their size; it runs in halves of its own accord when memory ends,
            if it has no BatchNorm. Another module must be one of automatic optimisation: the loader then gives
            micro-batches and Lightning accumulates them, and the last, incomplete group of an epoch is the mean over
            its examples, which Lightning alone would make too small. BatchNorm sees micro-batches.
        schedules: What becomes of learning-rate schedules that advance with every step: examples lets them keep their
            place in the data (a step of batch m moves them by m/m0 steps); steps advances them once an update.
            `trainer.estimated_stepping_batches` is that of the starting size.

    Attributes:
        history: The stages so far, see `Stage`; part of a checkpoint.

    Raises:
        UsageError: An option is out of range, contradicts another, has no effect or cannot be honoured.
    """

    def __init__(
        self,
        factor: float | None = None,
        sizes: list[int] | None = None,
        milestones: list[float] | None = None,
        every: float | None = None,
        unit: Literal["epochs", "steps"] = "epochs",
        monitor: str | None = None,
        mode: Literal["min", "max"] = "min",
        patience: int = 0,
        min_delta: float = 0.0,
        maximum: int | None = None,
        rate: Coupling = "keep-ratio",
        micro_batch: int | None = None,
        schedules: Literal["examples", "steps"] = "examples",
    ) -> None:
        self.growth = Growth(factor, sizes, milestones, every, unit, maximum)
        self.active = factor is not None or sizes is not None
        self.monitor, self.rate, self.micro_batch, self.schedules = monitor, rate, micro_batch, schedules
        share_of_rate(rate, 1.0)
        if schedules not in ("examples", "steps"):
            raise UsageError(f"ramp.schedules must be examples or steps, got {schedules!r}.")
        if micro_batch is not None and micro_batch < 1:
            raise UsageError(f"ramp.micro_batch must be at least 1 or absent, got {micro_batch}.")
        if monitor is not None and (milestones is not None or every is not None):
            raise UsageError("ramp.monitor grows the batch instead of ramp.milestones and ramp.every: give one of them.")
        if self.active and monitor is None and milestones is None and every is None:
            raise UsageError("the ramp needs to know when to grow: give ramp.milestones, ramp.every or ramp.monitor.")
        if monitor is not None and factor is not None and maximum is None:
            raise UsageError(f"ramp.monitor with ramp.factor needs ramp.maximum: {monitor} may stop improving often.")
        self._plateau = Plateau(mode, patience, min_delta)
        self.history: list[Stage] = []
        self._source: Source | None = None
        self._begin()

    def _begin(self) -> None:
        """Forget an earlier fit."""
        self.history = []
        self._plateau.reset()
        self._point: dict[str, float] = {}
        self._changes: list[tuple[int, int]] = []  # those that a metric brought about
        self._examples: int | None = None  # in an epoch
        self._last: Last = "keep"
        self._per_epoch = 0  # steps in an epoch at the starting size
        self._sizes = BatchSizes(1)
        self._size = 0  # that the loader gives now, where it only changes between epochs
        self._advanced: int | None = None  # steps that the schedules have made
        self._stepped = 0
        self._moved: list[Callable[[], None]] = []
        self._fixed = True
        self._micro: MicroBatches | None = None
        self._reload = 0

    def state_dict(self) -> dict[str, Any]:
        """The stages so far, what a metric has brought about, and where the schedules are."""
        if not self.active:
            return {}
        return {
            "start": self._source.start if self._source else None,
            "examples": self._examples,
            "size": self._size,
            "changes": [list(change) for change in self._changes],
            "plateau": self._plateau.state_dict(),
            "advanced": self._advanced,
            "micro_batch": self._micro.size if self._micro else None,
            "history": [asdict(stage) for stage in self.history],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` gave.

        Raises:
            UsageError: That ramp started from another batch size.
        """
        if not self.active or not state_dict:
            return
        if self._source is not None and state_dict["start"] != self._source.start:
            raise UsageError(
                f"cannot resume: the ramp of the checkpoint started from batches of {state_dict['start']}, this one from"
                f" {self._source.start}. Use the same batch size."
            )
        self._fixed = False
        self._examples, self._size = state_dict["examples"], state_dict["size"]
        self._changes = [(seen, size) for seen, size in state_dict["changes"]]
        self._plateau.load_state_dict(state_dict["plateau"])
        self._advanced = state_dict["advanced"]
        self.history = [Stage(**stage) for stage in state_dict["history"]]
        if self._micro is not None:
            self._micro.load(state_dict["micro_batch"])
        if self._source is not None and self._micro is not None and self._size:
            self._source.resize(self._micro.loaded(self._size))

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Find what the batch size is, and refuse what cannot be honoured.

        Raises:
            UsageError: It cannot.
        """
        if not self.active or stage != "fit":
            return
        self._begin()
        check_trainer(trainer)
        self._reload = trainer.reload_dataloaders_every_n_epochs
        self._micro = micro_batches_of(trainer, pl_module, self.micro_batch)
        self._source = source_of(trainer, pl_module, None if self._micro.accumulates else self._sizes_of)
        self._size = self._source.start
        self._micro.start(self._source.start)
        check_growth(self.growth, self._source.start)
        if not self._source.within_epochs:
            self._source.resize(self._micro.loaded(self._size))

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """From now on the loader has the sizes of the ramp: configure_optimizers saw that of the start."""
        if self._source is None:
            return
        self._fixed = False
        if isinstance(self._source, OwnData):
            loader = self._source.data.train_dataloader()
            loader.batch_size = self._sizes_of(loader)
            self._check(trainer, pl_module, loader)
        if trainer.fit_loop._combined_loader is not None:
            trainer.fit_loop._combined_loader = None  # someone asked for it: how many batches it has is to be seen anew

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Couple the rates, and let the schedules keep their place."""
        if self._source is None:
            return
        if not isinstance(self._source, OwnData):
            self._check(trainer, pl_module, trainer.train_dataloader)
        self._per_epoch = batches_in(self._n, self._source.start, self._last)
        self._moved = moved_schedules(trainer, pl_module) if self.schedules == "examples" else []
        if self._advanced is None:
            self._advanced = trainer.current_epoch * self._per_epoch
        self._stepped = trainer.global_step
        for optimizer in trainer.optimizers:
            multiply(optimizer, NAME, lambda: self._share(trainer))

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The loader has been loaded anew."""
        if self._source is None or self._micro is None:
            return
        trainer.reload_dataloaders_every_n_epochs = self._reload
        self._micro.use(self._size)
        self._source.check(trainer)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Write down and log where a stage begins."""
        if self._source is None or self._micro is None:
            return
        self._micro.batch(batch_idx, trainer)
        size = self.batch_size(trainer)
        if batch_idx and self.history and self.history[-1].batch_size == size:
            return
        values = self.curve_values(trainer, pl_module)
        epoch, seen = epochs_passed(trainer), self._seen(trainer, batch_idx)
        self.history.append(
            Stage(trainer.global_step, epoch, seen, size, values["learning_rate"], values["noise_scale"])
        )
        for logger in trainer.loggers:
            logger.log_metrics(values, step=trainer.global_step)

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Any) -> None:
        """Weigh the parts of an incomplete group."""
        if self._micro is not None:
            self._micro.before_backward(pl_module)

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any) -> None:
        """Make the gradient of an incomplete group the mean over its examples."""
        if self._micro is not None:
            self._micro.before_step(pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the schedules to where training at the starting size would have them after as many examples."""
        if self._source is None or not self._moved or trainer.global_step == self._stepped:
            return
        assert self._advanced is not None
        self._stepped = trainer.global_step
        self._advanced += 1  # which the module or Lightning has done
        seen = self._seen(trainer, batch_idx + 1)
        target = schedule_steps(seen, n=self._n, base=self._source.start, last=self._last)
        for _ in range(self._advanced, target):
            for step in self._moved:
                step()
        self._advanced = max(self._advanced, target)

    def on_evaluation(self, trainer: pl.Trainer, pl_module: pl.LightningModule, point: Point) -> None:
        """Note the metrics of the curves, one of which may be the one to watch."""
        self._point = dict(point.values)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Between two epochs: look at the metric, change the batch, and have the loader loaded anew where it differs."""
        if self._source is None or self._micro is None:
            return
        epochs = trainer.current_epoch + 1
        if self.monitor is not None and self._plateau.passed(self._metric(trainer)):
            grown = self.growth.size(self._source.start, len(self._changes) + 1)
            if grown != self._sizes(epochs * self._n):
                self._changes.append((epochs * self._n, grown))
                self._sizes = BatchSizes(self._source.start, tuple(self._changes))
        if isinstance(self._source, OwnData):
            loader: Any = trainer.train_dataloader
            loader.batch_size = self._sizes
            changes = len(loader) != trainer.num_training_batches
        else:
            grown = self._sizes(epochs * self._n)
            changes = grown != self._size
            if changes:
                self._size = grown
                self._source.resize(self._micro.loaded(grown))
        if changes:
            trainer.reload_dataloaders_every_n_epochs = 1

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """What is stated is again what was: the data describe themselves now."""
        if self._source is not None and not self._source.within_epochs:
            self._source.restore()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Leave trainer, data, loader, module and optimizers as they were."""
        if self._source is None:
            return
        for optimizer in trainer.optimizers:
            remove(optimizer, NAME)
        trainer.reload_dataloaders_every_n_epochs = self._reload
        self._source.restore()
        if self._micro is not None:
            self._micro.restore()
        self._source = self._micro = None

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """The same: Lightning calls no teardown then."""
        self.teardown(trainer, pl_module, "fit")

    def batch_size(self, trainer: pl.Trainer) -> int:
        """Examples in the step in hand, or between two steps in the next one, over all devices."""
        loader = trainer.train_dataloader
        if not isinstance(self._source, OwnData) or not isinstance(loader, EpochLoader):
            return self._size
        batches: Any = trainer.fit_loop.epoch_loop.batch_progress.current
        in_hand = batches.ready > batches.processed
        return loader.size_at(loader.examples_before if in_hand else loader.examples_seen)

    def curve_values(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, float]:
        """What `Curves` writes at each evaluation: batch size, learning rate and noise scale of a step taken now."""
        if self._source is None:
            return {}
        size = self.batch_size(trainer)
        rate = momentum = 0.0
        if trainer.optimizers:
            rate, momentum = effective_rate(trainer.optimizers[0]), _momentum(trainer.optimizers[0])
        scale = noise_scale(rate, size, self._n, momentum)
        return {"batch_size": float(size), "learning_rate": rate, "noise_scale": scale}

    @property
    def _n(self) -> int:
        assert self._examples is not None
        return self._examples

    def _share(self, trainer: pl.Trainer) -> float:
        assert self._source is not None
        return share_of_rate(self.rate, self.batch_size(trainer) / self._source.start)

    def _seen(self, trainer: pl.Trainer, batches: int) -> int:
        """Examples passed: before the batch in hand, or after it where `batches` counts it."""
        assert self._source is not None and self._micro is not None
        loader = trainer.train_dataloader
        if isinstance(self._source, OwnData) and isinstance(loader, EpochLoader):
            progress: Any = trainer.fit_loop.epoch_loop.batch_progress.current
            return loader.examples_before if progress.ready > progress.processed else loader.examples_seen
        position = batches * self._micro.loaded(self._size) if batches < trainer.num_training_batches else self._n
        return trainer.current_epoch * self._n + min(position, self._n)

    def _sizes_of(self, loader: EpochLoader) -> BatchSizes:
        """What a loader of this package gets as its batch size."""
        assert self._source is not None
        if self._fixed:  # until on_fit_start, so that a schedule's length is that of the starting size
            return BatchSizes(self._source.start)
        return self._sizes

    def _metric(self, trainer: pl.Trainer) -> float | None:
        """The metric that is watched; None after an epoch without a validation where there are some."""
        every = trainer.check_val_every_n_epoch
        if trainer.enable_validation and every and (trainer.current_epoch + 1) % every:
            return None
        assert self.monitor is not None
        found: dict[str, Any] = {**self._point, **trainer.callback_metrics}
        if self.monitor not in found:
            names = ", ".join(sorted(found)) or "nothing"
            raise UsageError(
                f"ramp.monitor: no metric {self.monitor} has been logged at the end of an epoch, but {names}. Log it"
                " with on_epoch=True, or watch another."
            )
        value = trainer.strategy.reduce(found[self.monitor], reduce_op="mean")
        return float(value)

    def _check(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loader: Any) -> None:
        """Make the plan, now that the number of examples is known, and refuse what cannot be honoured."""
        assert self._source is not None and self._micro is not None
        n, self._last = examples_in(loader, trainer)
        self._examples = n if self._examples is None else self._examples
        self._sizes = self._planned(trainer)
        check_batches(trainer, pl_module, self._sizes, self._source, self._micro, self._n, self._last)
