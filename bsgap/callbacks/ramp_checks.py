"""What a ramp of the batch size cannot honour: each is refused with the reason and the fix."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import BatchSizeFinder, GradientAccumulationScheduler
from torch.nn.modules.batchnorm import _BatchNorm

from bsgap.callbacks.microbatches import MicroBatches
from bsgap.errors import UsageError
from bsgap.optim.growth import BatchSizes, Growth, Last, Parts, batches_in, by_epochs, by_steps, counted, within


def check_trainer(trainer: Any) -> None:
    """Refuse options of the trainer that cut epochs, or change the batch themselves.

    Raises:
        UsageError: There are some.
    """
    if trainer.overfit_batches:
        raise UsageError("the ramp cannot grow the batches of trainer.overfit_batches: leave one of them out.")
    if not trainer.fast_dev_run and not (
        isinstance(trainer.limit_train_batches, float) and trainer.limit_train_batches == 1
    ):
        raise UsageError(
            f"the ramp counts whole epochs, and trainer.limit_train_batches {trainer.limit_train_batches} cuts them."
            " Leave it out, and train on fewer examples instead."
        )
    ramps = [each for each in trainer.callbacks if isinstance(getattr(each, "growth", None), Growth) and each.active]
    if len(ramps) > 1:
        raise UsageError("the trainer has two ramps of the batch size: leave one of them out.")
    for callback in trainer.callbacks:
        if isinstance(callback, BatchSizeFinder | GradientAccumulationScheduler):
            raise UsageError(f"the ramp and {type(callback).__name__} both change the batch: leave one of them out.")


def check_growth(growth: Growth, start: int) -> None:
    """Refuse a ramp that never grows from the starting size, or falls below it.

    Raises:
        UsageError: It does.
    """
    if growth.sizes is not None and growth.sizes[0] <= start:
        raise UsageError(
            f"ramp.sizes must grow from the starting batch size {start}, got {growth.sizes[0]} as the first."
        )
    if growth.maximum is not None and growth.maximum <= start:
        raise UsageError(
            f"ramp.maximum must be above the starting batch size {start}, got {growth.maximum}: the ramp would never"
            " change anything. Raise it, start smaller, or leave ramp.factor and ramp.sizes out."
        )


def planned(
    trainer: Any, growth: Growth, start: int, n: int, last: Last, *, between_epochs: bool, parts: Parts
) -> BatchSizes:
    """The sizes of a training, up to its budget.

    Args:
        trainer: States the budget.
        growth: The milestones and sizes.
        start: Size at the start.
        n: Examples in an epoch.
        last: Whether the smaller batch at the end of an epoch is kept or dropped.
        between_epochs: Whether the size can only change between two epochs.
        parts: Batches of the loader in a step of each size.

    Raises:
        UsageError: It never changes, passes n, or should change where it cannot.
    """
    epochs = trainer.max_epochs if trainer.max_epochs is not None and trainer.max_epochs >= 0 else None
    steps = trainer.max_steps if trainer.max_steps >= 0 else None
    budget = epochs if growth.unit == "epochs" else steps
    plan = growth.plan(start, end=math.inf if budget is None else budget, most=n)
    if growth.unit == "steps":
        sizes = by_steps(start, plan, n, last, whole_epochs=between_epochs, parts=parts)
    else:
        if between_epochs and (broken := [milestone for milestone, _ in plan if milestone != int(milestone)]):
            raise UsageError(
                f"ramp.{'milestones' if growth.every is None else 'every'}: these data can change their batch size only"
                f" between two epochs, and a milestone is {broken[0]:g}. Use whole numbers of epochs."
            )
        sizes = by_epochs(start, plan, n)
    sizes = within(sizes, n, last, epochs=epochs, steps=steps, parts=parts)
    for _, size in sizes.changes:
        if size > n:
            milestone = next(milestone for milestone, grown in plan if grown == size)
            fix = "Set ramp.maximum to" if growth.sizes is None else "Give ramp.sizes of"
            raise UsageError(
                f"the ramp passes the size of the data: after {counted(milestone, growth.unit)} a batch would have"
                f" {size} examples, and there are {n}. {fix} at most {n}."
            )
    if not sizes.changes and not trainer.fast_dev_run:
        option = "every" if growth.milestones is None else "milestones"
        first = growth.every if growth.milestones is None else growth.milestones[0]
        length = counted(epochs or 0, "epochs") if steps is None else counted(steps, "steps")
        if growth.factor is not None and first is not None and budget is not None and first < budget and not plan:
            raise UsageError(
                f"ramp.factor: batch sizes are rounded, and {growth.factor:g} times {start} is {start} again until the"
                f" training ends, after {length}: the ramp would never change anything. Give a larger factor."
            )
        raise UsageError(
            f"ramp.{option}: the batch would first grow after {counted(first or 0, growth.unit)}, and the training ends"
            f" before, after {length}: the ramp would never change anything. Train for longer, or grow earlier."
        )
    return sizes


def check_reached(growth: Growth, sizes: Sequence[int], n: int) -> None:
    """Refuse a metric that would let the batch pass the size of the data.

    Raises:
        UsageError: The last of the sizes that it reaches is above n.
    """
    if sizes[-1] > n:
        option = "maximum" if growth.sizes is None else "sizes"
        raise UsageError(f"ramp.{option} must be at most the {n} training examples, got {sizes[-1]}.")


def check_patience(trainer: Any, patience: int) -> None:
    """Refuse a patience after which no epoch would be left for the batch to be larger in.

    Raises:
        UsageError: It lets too many epochs pass: the first sets what is best, and `patience` more are let pass.
    """
    epochs = trainer.max_epochs
    if epochs is not None and 0 <= epochs < patience + 3 and not trainer.fast_dev_run:
        most = f"Set it to at most {epochs - 3}, or train for longer" if epochs >= 3 else "Train for longer"
        raise UsageError(
            f"ramp.patience {patience} lets the batch grow after {counted(patience + 2, 'epochs')} at the earliest, and"
            f" the training ends after {counted(epochs, 'epochs')}: the ramp would never change anything. {most}."
        )


def check_batches(
    trainer: pl.Trainer,
    module: pl.LightningModule,
    sizes: Iterable[int],
    ends: Iterable[tuple[int, int]],
    micro: MicroBatches,
) -> None:
    """Refuse batches that do not share out evenly, have no batch statistics, or are too few for validations.

    Args:
        trainer: The trainer.
        module: The module that is trained.
        sizes: The batch sizes that come.
        ends: Batches of the loader in an epoch, and examples in the last of them, for epochs of every kind that comes.
        micro: How batches go through the network.

    Raises:
        UsageError: There are some.
    """
    normalised = any(isinstance(part, _BatchNorm) for part in module.modules())
    for size in sizes:
        micro.check(size)
        if normalised and micro.size is not None and size > micro.size > 1 and size % micro.size == 1:
            raise UsageError(
                f"ramp.micro_batch {micro.size} leaves a single example of a batch of {size} by itself, which has no"
                " batch statistics. Choose another."
            )
    for batches, last in ends:
        alone = micro.size is not None and micro.size > 1 and last % micro.size == 1
        if normalised and (last == trainer.world_size or alone):
            raise UsageError(
                f"the ramp leaves a last batch of {last} in an epoch of {batches} batches, so a single example by"
                " itself, which has no batch statistics. Drop the last batch (data.last drop, or drop_last), or choose"
                " another ramp.factor, ramp.micro_batch or number of examples."
            )
        if last % trainer.world_size:
            raise UsageError(
                f"the ramp leaves a last batch of {last} examples, which do not share out evenly over"
                f" {trainer.world_size} devices. Drop the last batch (data.last drop)."
            )
        every = trainer.val_check_interval
        bound = trainer.check_val_every_n_epoch is not None and trainer.enable_validation
        if isinstance(every, int) and bound and every > batches:
            raise UsageError(
                f"trainer.val_check_interval {every} is more than the {batches} batches of an epoch once the batch has"
                " grown. Give a fraction of an epoch, or set trainer.check_val_every_n_epoch to null."
            )


def ends_of(n: int, size: int, last: Last) -> tuple[int, int]:
    """Batches of one size in an epoch of n examples, and examples in the last of them."""
    batches = batches_in(n, size, last)
    return batches, size if last == "drop" else n - (batches - 1) * size
