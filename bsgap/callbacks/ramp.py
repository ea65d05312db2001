"""A batch that grows while training goes on, for any module and data."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_warn
from pytorch_lightning.utilities.memory import is_oom_error

from bsgap.callbacks.curves import Point
from bsgap.callbacks.multipliers import effective_rate, multiply, remove
from bsgap.callbacks.position import epochs_passed
from bsgap.callbacks.ramp_checks import check_patience
from bsgap.callbacks.ramped_fit import RampedFit
from bsgap.callbacks.watched_metric import WatchedMetric
from bsgap.errors import UsageError
from bsgap.optim.growth import Coupling, Growth, is_integer, noise_scale, share_of_rate
from bsgap.optim.plateau import Plateau

NAME = "ramp"
NEITHER = "the ramp would never change anything: give ramp.factor (2 doubles the batch) or ramp.sizes."


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

    With data of this package it grows at the first batch at or past a milestone, also in the middle of an epoch; text,
    which is read in columns, a DataLoader, and a data module or module that states a batch size, between two epochs, by
    a reload. Every example still comes once an epoch. The smaller batch at its end takes the rate of the others.

    At the start of each epoch and at each change `batch_size`, `learning_rate` and `noise_scale` go to the loggers and
    into `history`; `Curves` writes them at every evaluation. Batch counts, validation intervals given as fractions and
    progress bars are those of the size in hand. `max_steps` and other intervals in steps count updates.

    A run that was killed in the middle of an epoch and resumed equals an uninterrupted one with data of this package.
    A DataLoader that cannot say where it stands continues exactly between two epochs, and in the middle of one, as
    without a ramp, with a warning and for the rest of its batches. From a checkpoint of a training without a ramp it
    continues only between two epochs.

    Example:
        >>> from bsgap.callbacks import BatchSizeRamp
        >>> callback = BatchSizeRamp(factor=2, every=20, maximum=2048)  # for Trainer(callbacks=[callback])
        >>> callback.growth.plan(start=128, end=100)  # what it does to batches of 128 in 100 epochs
        [(20, 256), (40, 512), (60, 1024), (80, 2048)]

    Args:
        factor: Growth at each milestone. It or `sizes` is needed; only the group `ramp` of `bsgap fit` may lack both,
            and is then no ramp, so that a recipe can state the milestones of those of its runs that have one.
        sizes: Batch size after each milestone, over all devices, instead of `factor`.
        milestones: Epochs (they may be fractional with data of this package) or steps after which the batch grows.
        every: Grow every so many epochs or steps, instead of `milestones`.
        unit: What `milestones` and `every` count: epochs, or steps (updates). Where the batch only changes between two
            epochs, it does so at the end of the epoch in which a step falls.
        monitor: Grow when this metric stops improving, instead of at milestones. It is looked at after each epoch in
            which it was measured, at its last value: a metric that is logged, or one of `Curves`.
        mode: Whether the metric improves as it falls (min) or rises (max).
        patience: Looks without improvement that are let pass before the batch grows.
        min_delta: Change of the metric that counts as improvement.
        maximum: Largest batch size; a larger one is cut to it.
        rate: How the learning rate follows: keep-ratio or linear (the same), square-root, none.
        micro_batch: Examples that go through the network at once on a device; larger batches run in several parts. A
            task of this package weighs the parts by their size; without this option it goes on in halves when memory
            ends, on one device and without BatchNorm. Another module must be one of automatic optimisation: the loader
            then gives micro-batches and Lightning accumulates them, and the last, incomplete group of an epoch is the
            mean over its examples, which Lightning alone would make too small. BatchNorm sees micro-batches.
        schedules: What becomes of learning-rate schedules that advance with every step: examples lets them keep their
            place in the data (a step of batch m moves them by m/m0 steps); steps advances them once an update.
            `trainer.estimated_stepping_batches` is that of the starting size where the budget is one of epochs. Under
            `max_steps` it counts updates, so a schedule of that length is refused unless it does too, and so is a
            LambdaLR: a function of the step count does not say what length it is made for.

    Attributes:
        history: The stages so far, see `Stage`; part of a checkpoint.

    Raises:
        UsageError: An option is out of range, contradicts another, has no effect or cannot be honoured.
    """

    may_be_off = False

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
        if not self.active and not self.may_be_off:
            raise UsageError(NEITHER)
        self.monitor, self.rate, self.micro_batch, self.schedules = monitor, rate, micro_batch, schedules
        share_of_rate(rate, 1.0)
        if schedules not in ("examples", "steps"):
            raise UsageError(f"ramp.schedules must be examples or steps, got {schedules!r}.")
        if micro_batch is not None and not is_integer(micro_batch):
            raise UsageError(f"ramp.micro_batch must be an integer, got {micro_batch!r}.")
        if micro_batch is not None and micro_batch < 1:
            raise UsageError(f"ramp.micro_batch must be at least 1 or absent, got {micro_batch}.")
        if monitor is not None and (milestones is not None or every is not None):
            raise UsageError(
                "ramp.monitor grows the batch instead of ramp.milestones and ramp.every: give one of them."
            )
        if self.active and monitor is None and milestones is None and every is None:
            raise UsageError("the ramp needs to know when to grow: give ramp.milestones, ramp.every or ramp.monitor.")
        if monitor is not None and factor is not None and maximum is None:
            raise UsageError(f"ramp.monitor with ramp.factor needs ramp.maximum: {monitor} may stop improving often.")
        self._plateau = Plateau(mode, patience, min_delta)
        watching = {"mode": mode != "min", "patience": patience != 0, "min_delta": min_delta != 0}
        if self.active and monitor is None and (unused := [name for name, given in watching.items() if given]):
            raise UsageError(
                f"ramp.{unused[0]} is an option of ramp.monitor, and has no effect without it: leave it out."
            )
        if monitor is not None and unit != "epochs":
            raise UsageError(
                "ramp.unit is what ramp.milestones and ramp.every count, and has no effect with ramp.monitor: leave it"
                " out."
            )
        self.history: list[Stage] = []
        self._fit: RampedFit | None = None
        self._left: dict[str, Any] = {}  # the state at the end of the last fit, for checkpoints written after it
        self._watched = WatchedMetric(monitor or "")

    @property
    def starting_batch_size(self) -> int | None:
        """Examples in a step at the start of the fit, for which the module states its rates; None without a ramp."""
        return None if self._fit is None else self._fit.start

    def state_dict(self) -> dict[str, Any]:
        """The stages so far, what a metric has brought about, and where the schedules are."""
        if self._fit is None:
            return self._left
        stages = [asdict(stage) for stage in self.history]
        return {
            "fit": self._fit.state_dict(),
            "plateau": self._plateau.state_dict(),
            "watched": self._watched.state_dict(),
            "history": stages,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` gave.

        Raises:
            UsageError: That ramp started from another batch size.
        """
        if self._fit is not None and state_dict:
            self._fit.load_state_dict(state_dict["fit"])
            self._plateau.load_state_dict(state_dict["plateau"])
            if "watched" in state_dict:  # not in checkpoints of earlier versions
                self._watched.load_state_dict(state_dict["watched"])
            self.history = [Stage(**stage) for stage in state_dict["history"]]

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Find what the batch size is, and refuse what cannot be honoured.

        Raises:
            UsageError: It cannot.
        """
        if not self.active or stage != "fit":
            return
        self.history, self._left = [], {}
        self._plateau.reset()
        if self.monitor is not None:
            self._watched = WatchedMetric(self.monitor)
            check_patience(trainer, self._plateau.patience)
        self._fit = RampedFit(trainer, pl_module, self.growth, monitor=self.monitor, micro_batch=self.micro_batch)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Make the plan."""
        if self._fit is not None:
            self._fit.begin()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Couple the rates, and let the schedules keep their place."""
        if self._fit is not None:
            self._fit.begin_training(keep_schedules=self.schedules == "examples")
            for optimizer in trainer.optimizers:
                multiply(optimizer, NAME, self._share)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go on with the sizes of this epoch."""
        if self._fit is not None:
            self._fit.begin_epoch()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Write down and log where a stage begins."""
        if self._fit is None:
            return
        self._fit.micro.batch(batch_idx)
        size = self._fit.batch_size()
        if batch_idx and self.history and self.history[-1].batch_size == size:
            return
        values = self.curve_values(trainer, pl_module)
        rate, scale = values["learning_rate"], values["noise_scale"]
        position = epochs_passed(trainer), self._fit.examples_seen(batch_idx)
        self.history.append(Stage(trainer.global_step, *position, size, rate, scale))
        for logger in trainer.loggers:
            logger.log_metrics(values, step=trainer.global_step)

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Any) -> None:
        """Weigh the parts of an incomplete group."""
        if self._fit is not None:
            self._fit.micro.before_backward(pl_module)

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any) -> None:
        """Make the gradient of an incomplete group the mean over its examples."""
        if self._fit is not None:
            self._fit.micro.before_step(pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Let the schedules keep their place in the data."""
        if self._fit is not None and self._fit.kept is not None:
            self._fit.kept.move(trainer.global_step, self._fit.examples_seen(batch_idx + 1))

    def on_evaluation(self, trainer: pl.Trainer, pl_module: pl.LightningModule, point: Point) -> None:
        """Note the metrics of the curves, one of which may be the one to watch."""
        if self._fit is not None:
            self._watched.evaluated(trainer, point.values)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the metrics of the validation."""
        if self._fit is not None and self.monitor is not None:
            self._watched.validated(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the metric, and change the batch between two epochs."""
        if self._fit is not None:
            grow = self.monitor is not None and self._plateau.passed(self._watched.take(trainer))
            self._fit.end_epoch(grow=grow)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """What is stated is again what was: the data describe themselves now."""
        if self._fit is not None:
            self._fit.end_training()
            if self.monitor is not None and self._fit.never_grew:
                rank_zero_warn(
                    f"the ramp never changed the batch: {self.monitor} did not stop improving, by ramp.patience"
                    f" {self._plateau.patience} and ramp.min_delta {self._plateau.min_delta:g}."
                )

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Leave trainer, data, loader, module and optimizers as they were."""
        if self._fit is not None:
            for optimizer in trainer.optimizers:
                remove(optimizer, NAME)
            if self._fit.n is not None:
                self._left = self.state_dict()
            self._fit.restore()
            self._fit = None

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """The same: Lightning calls no teardown then."""
        if self._fit is not None and self.micro_batch is None and is_oom_error(exception) and self.history:
            size = self.history[-1].batch_size
            exception.add_note(f"The batch has grown to {size}: set ramp.micro_batch to let it go in smaller parts.")
        self.teardown(trainer, pl_module, "fit")

    def curve_values(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, float]:
        """What `Curves` writes at each evaluation: batch size, learning rate and noise scale of a step taken now."""
        if self._fit is None or self._fit.n is None:
            return {}
        size, rate, momentum = self._fit.batch_size(), 0.0, 0.0
        if trainer.optimizers:
            rate, group = effective_rate(trainer.optimizers[0]), trainer.optimizers[0].param_groups[0]
            momentum = float(group.get("momentum", group.get("betas", (0.0,))[0]))
        scale = noise_scale(rate, size, self._fit.n, momentum)
        return {"batch_size": float(size), "learning_rate": rate, "noise_scale": scale}

    def _share(self) -> float:
        assert self._fit is not None
        return share_of_rate(self.rate, self._fit.batch_size() / self._fit.start)


class OptionalRamp(BatchSizeRamp):
    """`BatchSizeRamp` as the group `ramp` of `bsgap fit`: no ramp without `factor` and `sizes`."""

    may_be_off = True
