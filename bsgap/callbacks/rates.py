"""The learning rate that goes with the batch size, for any module."""

from collections.abc import Mapping
from typing import Any, Literal

import pytorch_lightning as pl

from bsgap.callbacks.multipliers import multiply, remove
from bsgap.callbacks.position import epochs_passed
from bsgap.data.base import ExactData
from bsgap.errors import UsageError
from bsgap.optim import BaseRate, LinearScaling, RateRule, SquareRootScaling, WarmUp, warm_up

Scaling = Literal["base", "linear", "square-root"]

RULES: Mapping[str, type[RateRule]] = {"base": BaseRate, "linear": LinearScaling, "square-root": SquareRootScaling}
NAME = "warm-up"


class ScaledRate(pl.Callback):
    """Multiply every learning rate by what a rule says of the batch size, with a warm-up.

    The module's own `configure_optimizers` states the rates for the base batch size, and its schedules stay what they
    are: they are scaled as a whole, before the first step, and the warm-up multiplies what the schedule says during
    each optimizer step and is gone after it. A resumed run finds its scaled rates in the checkpoint.

    Example:
        >>> from bsgap.callbacks import ScaledRate
        >>> callback = ScaledRate("linear", base_batch_size=64, warmup_epochs=5)  # for Trainer(callbacks=[callback])
        >>> callback.rule.factor(512)
        8.0

    Args:
        scaling: `base` keeps the rate (BLR), `linear` multiplies it by m/m0 (LSR), `square-root` by √(m/m0) (SRSR).
        base_batch_size: m0, the batch size that the stated rates are for. `base` needs none.
        warmup_epochs: Epochs over which the rate climbs from the stated to the scaled one; may be fractional.
        batch_size: m, over all devices; none means what the data module or the training loader says.
        rule: A rule of `bsgap.optim` instead of the first three options and the last.
        warmup: `gradual` climbs in equal increments, one a step; `constant` keeps the stated rate for the warm-up's
            epochs (Goyal et al. 2017, arXiv:1706.02677, section 2.2). None means gradual.

    Raises:
        UsageError: An option is out of range or contradicts another, a rule lacks its base batch size, or the batch
            size is not to be found.
    """

    def __init__(
        self,
        scaling: Scaling = "base",
        base_batch_size: int | None = None,
        warmup_epochs: float = 0.0,
        batch_size: int | None = None,
        rule: RateRule | None = None,
        warmup: WarmUp | None = None,
    ) -> None:
        if rule is not None and (scaling, base_batch_size, warmup_epochs, warmup) != ("base", None, 0, None):
            raise UsageError(
                "rate.rule says what scaling, base_batch_size, warmup_epochs and warmup would: give one of them."
            )
        if scaling not in RULES:
            raise UsageError(f"rate.scaling must be one of {', '.join(RULES)}, got {scaling!r}.")
        if scaling != "base" and base_batch_size is None:
            raise UsageError(f"rate.scaling {scaling} needs rate.base_batch_size, the batch size that the rate is for.")
        if batch_size is not None and batch_size < 1:
            raise UsageError(f"rate.batch_size must be at least 1 or absent, got {batch_size}.")
        self.rule = rule or RULES[scaling](1 if base_batch_size is None else base_batch_size, warmup_epochs, warmup)
        self.batch_size = batch_size

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Scale the rates of all optimizers and schedules; a checkpoint that is loaded later brings scaled ones."""
        factor = self.factor(trainer)
        if factor == 1:
            return
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                for name in ("lr", "initial_lr", "max_lr", "min_lr"):
                    if name in group:
                        group[name] = group[name] * factor
        for config in trainer.lr_scheduler_configs:
            _scale(config.scheduler, factor)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Hang the warm-up on the optimizers' steps."""
        factor = self.factor(trainer)
        if factor != 1 and self.rule.warmup_epochs:
            for optimizer in trainer.optimizers:
                multiply(optimizer, NAME, lambda: self._share(trainer, factor))

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Leave the optimizers without the warm-up."""
        for optimizer in trainer.optimizers:
            remove(optimizer, NAME)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Leave the optimizers as they are between two steps; Lightning calls no teardown then."""
        self.teardown(trainer, pl_module, "fit")

    def factor(self, trainer: pl.Trainer) -> float:
        """η(m)/η at the batch size of this training."""
        return self.rule.factor(self.batch_size or batch_size_of(trainer)) if self.rule.power else 1.0

    def _share(self, trainer: pl.Trainer, factor: float) -> float:
        return warm_up(factor, epochs_passed(trainer), self.rule.warmup_epochs, self.rule.warmup or "gradual")


def _scale(schedule: Any, factor: float) -> None:
    """Multiply the rates that a schedule starts from or aims at, and those of the schedules it is made of."""
    for name in ("base_lrs", "_last_lr", "max_lrs", "min_lrs"):
        if hasattr(schedule, name):
            setattr(schedule, name, [rate * factor for rate in getattr(schedule, name)])
    if hasattr(schedule, "eta_min"):
        schedule.eta_min = schedule.eta_min * factor
    for part in getattr(schedule, "_schedulers", ()):
        _scale(part, factor)


def batch_size_of(trainer: pl.Trainer) -> int:
    """Examples in one optimizer step of a trainer's run, over all devices; where the batch grows, at its start.

    Raises:
        UsageError: Neither the data module nor the training loader states it.
    """
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        start = getattr(callback, "starting_batch_size", None)
        if start is not None:
            return int(start)
    data: Any = getattr(trainer, "datamodule", None)
    stated = getattr(data, "batch_size", None)
    if isinstance(stated, int):  # by Lightning's custom that of one process; ours say it for all
        return stated * (1 if isinstance(data, ExactData) else trainer.world_size) * trainer.accumulate_grad_batches
    trainer.fit_loop.setup_data()
    loader: Any = trainer.train_dataloader
    size = getattr(loader, "batch_size", None) or getattr(getattr(loader, "batch_sampler", None), "batch_size", None)
    if not isinstance(size, int):
        raise UsageError(
            "the batch size is not to be found in the data module or the training loader. Give it as batch_size."
        )
    return size * trainer.world_size * trainer.accumulate_grad_batches
