"""A learning rate that falls by the epoch, for any module and at any batch size."""

import math
from typing import Any, Literal, get_args

import pytorch_lightning as pl

from bsgap.callbacks.multipliers import effective_rate, multiply, remove
from bsgap.callbacks.position import epochs_passed
from bsgap.data.epochs import EpochLoader
from bsgap.errors import UsageError
from bsgap.optim import Decay, PeriodicDecay, PolynomialDecay, StepDecay
from bsgap.optim.decay import check_factors
from bsgap.optim.growth import counted

Shape = Literal["none", "steps", "polynomial"]
"""How the rate falls: not at all, at milestones, or as a polynomial that ends at 0."""

NAME = "decay"
_DEFAULTS: dict[str, Any] = {
    "milestones": None, "every": None, "factor": 0.1, "factors": None, "power": 2.0, "epochs": None, "stretch": 1.0,
}  # fmt: skip
_UNUSED = {
    "none": tuple(_DEFAULTS),
    "steps": ("power", "epochs"),
    "polynomial": ("milestones", "every", "factor", "factors"),
}


class RateDecay(pl.Callback):
    """Multiply every learning rate by a factor that depends on the epochs passed.

    The factor is asked before each optimizer step, at the exact fraction of the epoch, so a milestone may fall into the
    middle of one, and counts examples where the batch grows within an epoch. It multiplies what the module's own
    schedules and `ScaledRate` say, during each step. It depends on nothing but the position in the training, so a
    resumed run goes on as an uninterrupted one.

    The rate that the steps use, all factors included, is logged as `learning_rate` at the start of each epoch, and with
    each evaluation of `Curves`. Lightning's LearningRateMonitor sees the rates between the steps, without factors.

    Example:
        >>> from bsgap.callbacks import RateDecay
        >>> callback = RateDecay("steps", milestones=[30, 60, 80], factor=0.1)  # for Trainer(callbacks=[callback])
        >>> decay = callback.schedule(epochs=90)  # what it does in a training of 90 epochs
        >>> [round(decay.factor(epoch), 6) for epoch in (0, 30, 60, 80)]
        [1.0, 0.1, 0.01, 0.001]
        >>> RateDecay("polynomial").schedule(epochs=100).factor(50)
        0.25

    Args:
        shape: `none`, `steps` at milestones, or `polynomial` (1 - t/T)^power after t of T epochs.
        milestones: Epochs after which the rate is multiplied by `factor`, ascending; may be fractional.
        every: Epochs between two milestones, instead of `milestones`: the rate is multiplied by `factor` over and over.
        factor: Factor at each milestone.
        factors: One factor for each of the `milestones`, instead of `factor`.
        power: Exponent of the polynomial.
        epochs: T, the length of the polynomial; none means that of the training.
        stretch: Multiple of every epoch count above (the regime adaptation of Hoffer et al. 2017, arXiv:1705.08741,
            see `bsgap.optim.adapt_regime`): with B_L/B_S the milestones come after as many steps as at batch size B_S.
            The length of the training is stated in the trainer's own options, so it is not stretched, nor is a
            polynomial that takes its length from there.

    Raises:
        UsageError: An option is out of range, contradicts another or has no effect.
    """

    def __init__(
        self,
        shape: Shape = "none",
        milestones: list[float] | None = None,
        every: float | None = None,
        factor: float = 0.1,
        factors: list[float] | None = None,
        power: float = 2.0,
        epochs: float | None = None,
        stretch: float = 1.0,
    ) -> None:
        if shape not in get_args(Shape):
            raise UsageError(f"decay.shape must be one of {', '.join(get_args(Shape))}, got {shape!r}.")
        given = {
            "milestones": milestones, "every": every, "factor": factor, "factors": factors, "power": power,
            "epochs": epochs, "stretch": stretch,
        }  # fmt: skip
        for name in _UNUSED[shape]:
            if given[name] != _DEFAULTS[name]:
                raise UsageError(f"decay.{name} means nothing with decay.shape {shape}: leave it, or choose another.")
        if not 0 < stretch < math.inf:
            raise UsageError(f"decay.stretch must be above 0, got {stretch}.")
        if shape == "steps" and (milestones is None) == (every is None):
            raise UsageError("decay.shape steps needs either decay.milestones or decay.every, and not both.")
        if factors is not None and (milestones is None or factor != _DEFAULTS["factor"]):
            raise UsageError("decay.factors belong to decay.milestones, one each, instead of decay.factor.")
        self.shape, self.stretch = shape, stretch
        self.milestones, self.every, self.factor, self.factors = milestones, every, factor, factors
        self.power, self.epochs = power, epochs
        try:
            check_factors("factor", [factor])
            self.schedule(epochs=1.0)
        except UsageError as error:
            raise UsageError(f"decay.{error}") from None

    def schedule(self, epochs: float | None) -> Decay | None:
        """The decay of a training of so many epochs (None: nobody knows); None for shape `none`.

        Raises:
            UsageError: The polynomial's length is not to be had.
        """
        decay: Decay
        if self.shape == "none":
            return None
        if self.shape == "polynomial" and self.epochs is None:
            if epochs is None:
                raise UsageError("decay.epochs: the length of the training is not known. Give it, or max_epochs.")
            return PolynomialDecay(epochs, self.power)
        if self.shape == "polynomial":
            assert self.epochs is not None
            decay = PolynomialDecay(self.epochs, self.power)
        elif self.every is not None:
            decay = PeriodicDecay(self.every, self.factor)
        else:
            assert self.milestones is not None
            decay = StepDecay(self.milestones, self.factor if self.factors is None else self.factors)
        return decay.stretched(self.stretch)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Hang the decay on the optimizers' steps.

        Raises:
            UsageError: It would never change the rate, or make it 0 before the end.
        """
        budget = epochs_of(trainer)
        decay = self.schedule(budget)
        if decay is None:
            return
        if budget is not None:
            self._check_within(budget)
        for optimizer in trainer.optimizers:
            multiply(optimizer, NAME, lambda: decay.factor(epochs_passed(trainer)))

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the rate of the epoch's first step."""
        for name, value in self.curve_values(trainer, pl_module).items():
            pl_module.log(name, value, sync_dist=trainer.world_size > 1)

    def curve_values(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, float]:
        """What `Curves` writes at each evaluation: the rate that a step taken now would use."""
        if self.shape == "none" or not trainer.optimizers:
            return {}
        return {"learning_rate": effective_rate(trainer.optimizers[0])}

    def _check_within(self, budget: float) -> None:
        """Refuse a schedule that has no effect before the training ends, or makes the rest of it idle."""
        if self.shape == "polynomial" and self.epochs is not None and self.epochs * self.stretch < budget * (1 - 1e-9):
            raise UsageError(
                f"decay.epochs: the rate is 0 after {counted(self.epochs * self.stretch, 'epochs')}, and the"
                f" training lasts {budget:g}. Give at least as many, or none."
            )
        name, first = ("every", self.every) if self.milestones is None else ("milestones", self.milestones[0])
        if first is not None and first * self.stretch >= budget:
            raise UsageError(
                f"decay.{name}: the rate first changes after {counted(first * self.stretch, 'epochs')}, and the"
                f" training lasts {budget:g}. Train for longer, or set decay.shape to none."
            )

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Leave the optimizers without the factor."""
        if self.shape != "none":
            for optimizer in trainer.optimizers:
                remove(optimizer, NAME)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Leave the optimizers as they are between two steps; Lightning calls no teardown then."""
        self.teardown(trainer, pl_module, "fit")


def epochs_of(trainer: pl.Trainer) -> float | None:
    """Epochs after which a training ends at the latest, by its budget of epochs or of steps; None where nobody knows.

    A budget of steps is no number of epochs where the batch size varies, nor where an epoch has no known length.
    """
    epochs = trainer.max_epochs
    stated = float(epochs) if epochs is not None and epochs >= 0 else None
    loader = trainer.train_dataloader
    ramps = [getattr(callback, "starting_batch_size", None) for callback in trainer.callbacks]  # type: ignore[attr-defined]
    varies = any(ramps) or (isinstance(loader, EpochLoader) and callable(loader.batch_size))
    if trainer.max_steps < 0 or varies or not math.isfinite(trainer.num_training_batches):
        return stated
    steps_an_epoch = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
    by_steps = trainer.max_steps / steps_an_epoch
    return by_steps if stated is None else min(stated, by_steps)
