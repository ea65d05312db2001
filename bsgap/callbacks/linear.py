"""The linear-approximation error of any LightningModule, while it trains or at the end."""

import math
from collections.abc import Iterable
from typing import Any, Literal

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_warn

from bsgap.callbacks.curves import on_log_grid
from bsgap.callbacks.measured_batches import check_loader, known_examples, training_batches
from bsgap.callbacks.measuring import Measuring, criterion_of
from bsgap.callbacks.rates import batch_size_of
from bsgap.errors import NotFinite, UsageError
from bsgap.measures import LinearApproximation, Statistics, linear_approximation, mini_batch
from bsgap.measures.batches import Batches, Loss, read

Step = Literal["gradient", "optimizer"]
"""Which step is looked at.

- `gradient`: -η·g_m, as the paper defines it.
- `optimizer`: the one that the optimizer would take on g_m from its present state, with momentum, weight decay, and the
  clipping of the run.
"""


class LinearApproximationError(Measuring):
    """Measure the linear-approximation error of Golmant et al. (arXiv:1811.12941) on the module that trains.

    How far from the tangent of the loss does a step of the present rate end, on a mini-batch of the present size? See
    `linear_approximation`. It needs nothing of the module but that `module(inputs)` gives the outputs. Weights, mode,
    buffers, gradients, the optimizer's state, random state and the position of the loader are afterwards as they were,
    so a run with it equals a run without it. It measures in float32, whatever the precision of the training.

    The error is logged as `linear_approximation_error`, its same-batch variant with `_same_batch` behind;
    `results` has the whole of each measurement and `steps` when it was. Where there is nothing to measure, because the
    loss is no longer finite or a schedule has brought the rate to 0, it warns and goes on.

    Example:
        >>> from bsgap.callbacks import LinearApproximationError
        >>> callback = LinearApproximationError(per_doubling=2)  # for Trainer(callbacks=[callback])
        >>> callback.results
        []

    Args:
        every_n_epochs: Measure after every so many epochs, and at the end.
        per_doubling: Measure after steps 2^(k/per_doubling), rounded up, as `Curves` evaluates, and at the end. With
            neither of the two, at the end of the fit only.
        step: The step along the gradient, or the optimizer's own, see `Step`.
        rate: η of the step along the gradient; None for the present rate of the optimizer's first group, without what
            multiplies it within a step only: the warm-up of `ScaledRate`, a `RateDecay`, a ramp of the batch size.
        batch_size: m, the examples of the mini-batch; None for those of a training step.
        statistics: Source of the BatchNorm statistics, see `bsgap.measures.Statistics`.
        examples: L is the mean over at most so many examples; None for all. The mini-batch comes from all in any case.
        seed: Decides which examples the mini-batch has; it is the same at every measurement of a fit.
        loss: Mean loss of a batch from outputs and targets; None for the module's method `criterion(outputs, targets)`,
            as bsgap's tasks whose loss is another have it, and cross-entropy where there is none.
        batches: Pairs `(inputs, targets)` to measure over and to draw the mini-batch from. None for the training data:
            those that the data module gives for measures (`datamodule.batches("train")`, as bsgap's do), else one pass
            of the training loader, read at the first measurement of a fit, with the augmentation drawn then.
        name: Name under which the error is logged; two of these callbacks need two names.

    Raises:
        UsageError: An option is out of range or contradicts another, the training has not exactly one optimizer, or
            there are fewer than `batch_size` examples.
    """

    result_type = LinearApproximation

    def __init__(
        self,
        every_n_epochs: int | None = None,
        per_doubling: int | None = None,
        step: Step = "gradient",
        rate: float | None = None,
        batch_size: int | None = None,
        statistics: Statistics = "running",
        examples: int | None = None,
        seed: int = 0,
        loss: Loss | None = None,
        batches: Iterable[Any] | None = None,
        name: str = "linear_approximation_error",
    ) -> None:
        super().__init__(
            name, every_n_epochs=every_n_epochs, examples=examples, batches=batches, loss=loss, statistics=statistics
        )
        self.check_counts(per_doubling=per_doubling, batch_size=batch_size)
        self.check_choice("step", step, Step)
        if rate is not None and step == "optimizer":
            raise UsageError(f"{name}: the step of the optimizer has its own rate: give no rate, or step gradient.")
        if rate is not None and not 0 < rate < math.inf:
            raise UsageError(f"{name}: rate must be positive and finite, or absent, got {rate}.")
        self.per_doubling, self.step, self.rate = per_doubling, step, rate
        self.batch_size, self.seed = batch_size, seed
        self._mini_batch: Batches = []

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refuse at the start what could not be measured at the end."""
        super().on_fit_start(trainer, pl_module)
        found = [optimizer for optimizer in trainer.optimizers if optimizer.param_groups]
        if len(found) != 1 and (self.rate is None or self.step == "optimizer"):
            raise UsageError(f"{self.name}: expected one optimizer, got {len(found)}. Give a rate.")
        if self.step == "optimizer" and trainer.gradient_clip_val and trainer.gradient_clip_algorithm == "value":
            raise UsageError(f"{self.name}: gradients are clipped by value, which is not measured. Use step gradient.")

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure where the step is one of the evenly spaced ones on a logarithmic scale."""
        if (
            self.per_doubling is not None
            and trainer.global_step
            and on_log_grid(trainer.global_step, self.per_doubling)
        ):
            self.measure_and_write(trainer, pl_module)

    def rehearse(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batches: Batches) -> None:
        """The gradient of a few examples, and that there are examples enough for the mini-batch."""
        super().rehearse(trainer, pl_module, batches)
        mini_batch(batches, 1)
        known, size = known_examples(trainer, self._source), self.batch_size or batch_size_of(trainer)
        if known is not None and size > known:
            raise UsageError(
                f"{self.name}: batch_size must be at most the {known} examples that there are, got {size}."
            )
        if known is None and self._source is None:
            check_loader(trainer, None)

    def read(self, trainer: pl.Trainer) -> Batches:
        """The batches for L, and at the same time the mini-batch, from all that there is."""
        pool = training_batches(trainer, self._source)
        self._mini_batch = mini_batch(pool, self.batch_size or batch_size_of(trainer), self.seed)
        return read(pool, self.examples)

    def measure(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batches: Batches
    ) -> LinearApproximation | None:
        """The error of one step from where the module stands; None, with a warning, where there is no such step."""
        taken: dict[str, Any]
        if self.step == "optimizer":
            clip = getattr(pl_module, "gradient_clip", None) or trainer.gradient_clip_val or None
            taken = {"optimizer": trainer.optimizers[0], "clip": clip}
        else:
            rate = float(trainer.optimizers[0].param_groups[0]["lr"]) if self.rate is None else self.rate
            if rate == 0:
                rank_zero_warn(f"{self.name}: not measured, as the learning rate is 0. Give a rate.")
                return None
            taken = {"rate": rate}
        try:
            return linear_approximation(
                pl_module,
                batches,
                self._mini_batch,
                loss=self.loss or criterion_of(pl_module),
                statistics=self.statistics,
                **taken,
            )
        except NotFinite as error:
            rank_zero_warn(f"{self.name}: not measured at step {trainer.global_step}: {error}")
            return None

    def logged(self, result: LinearApproximation) -> dict[str, float]:
        """The error and its same-batch variant."""
        return {self.name: result.error, f"{self.name}_same_batch": result.same_batch_error}
