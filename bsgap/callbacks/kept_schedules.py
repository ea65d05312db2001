"""Learning-rate schedules that keep their place in the data while the batch grows."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import pytorch_lightning as pl
from torch.optim.lr_scheduler import LambdaLR, MultiplicativeLR, SequentialLR

from bsgap.errors import UsageError
from bsgap.optim.growth import Last, schedule_steps
from bsgap.tasks.common import ManualTask


class KeptSchedules:
    """Moves the schedules that advance once a step to where training at the starting size would have them.

    Whoever takes the step advances them by one; what is missing to the place in the data is added after it. The place
    is a function of the examples seen (`bsgap.optim.growth.schedule_steps`).

    Args:
        trainer: The trainer.
        module: The module that is trained.
        n: Examples in an epoch.
        base: Batch size at the start.
        last: Whether the smaller batch at the end of an epoch is kept or dropped.
        parts: Batches of the loader in one of the start.
        seen: Examples passed since the start of training.
        advanced: Steps that they have made, from a checkpoint; None where all have been steps of the starting size.

    Raises:
        UsageError: A schedule could not keep its place.
    """

    def __init__(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        n: int,
        base: int,
        last: Last,
        parts: int,
        seen: int,
        advanced: int | None,
    ) -> None:
        self.steps = moved_schedules(trainer, module)
        self._place = partial(schedule_steps, n=n, base=base, last=last, parts=parts)
        self.advanced = self._place(seen) if advanced is None else advanced
        self._updates = trainer.global_step

    def move(self, updates: int, seen: int) -> None:
        """After a batch: `updates` of the weights and `seen` examples since the start of training."""
        if not self.steps or updates == self._updates:  # the gradient is still accumulated
            return
        self._updates = updates
        self.advanced += 1  # which the module or Lightning has done
        target = self._place(seen)
        for _ in range(self.advanced, target):
            for step in self.steps:
                step()
        self.advanced = max(self.advanced, target)


def moved_schedules(trainer: pl.Trainer, module: pl.LightningModule) -> list[Callable[[], Any]]:
    """How each schedule that advances with every step is moved by one more.

    Raises:
        UsageError: A schedule could not keep its place in the data.
    """
    configs = trainer.lr_scheduler_configs
    if isinstance(module, ManualTask):
        _check_lengths(trainer, configs)
        return [partial(config.scheduler.step) for config in configs]  # a task's schedule watches no metric
    if not module.automatic_optimization:
        if configs:
            raise UsageError(
                f"{type(module).__name__} moves its learning-rate schedules itself (manual optimisation), so they"
                " cannot keep their place in the data as the batch grows. Set ramp.schedules to steps to let them be,"
                " or use RateDecay."
            )
        return []
    found = [config for config in configs if config.interval == "step"]
    for config in found:
        if config.reduce_on_plateau or config.frequency != 1:
            what = "watches a metric" if config.reduce_on_plateau else f"advances every {config.frequency} steps"
            raise UsageError(
                f"a learning-rate schedule {what}, so it cannot keep its place in the data as the batch grows. Let it"
                " advance with each step or by epochs, or set ramp.schedules to steps to let it be."
            )
    _check_lengths(trainer, found)
    return [partial(module.lr_scheduler_step, config.scheduler, None) for config in found]


def _check_lengths(trainer: pl.Trainer, configs: Iterable[Any]) -> None:
    """Refuse a schedule made for the updates of a budget, or one that may be: it would be over before them.

    Raises:
        UsageError: There is one.
    """
    if trainer.max_steps < 0:
        return
    fix = "Set ramp.schedules to steps, or give trainer.max_epochs instead."
    for config in configs:
        for schedule, before in _parts(config.scheduler):
            name = type(schedule).__name__
            if isinstance(schedule, LambdaLR | MultiplicativeLR):
                raise UsageError(
                    f"the schedule {name} is an opaque function of the step count: nobody can see whether it is made"
                    f" for the {trainer.max_steps} updates of trainer.max_steps, and keeping its place in the data as"
                    f" the batch grows, it would then be over before them. {fix}"
                )
            lengths = [getattr(schedule, option, None) for option in ("total_steps", "T_max", "total_iters")]
            if any(trainer.max_steps in (length, before + length) for length in lengths if length is not None):
                raise UsageError(
                    f"the schedule {name} is made for {trainer.max_steps} steps, as trainer.max_steps counts updates;"
                    f" keeping its place in the data as the batch grows, it would be over before them. {fix}"
                )


def _parts(schedule: Any, before: int = 0) -> Iterator[tuple[Any, int]]:
    """A schedule, or those that it is composed of, each with the steps before it begins."""
    parts = getattr(schedule, "_schedulers", None)  # of a SequentialLR or a ChainedScheduler
    if parts is None:
        yield schedule, before
        return
    starts = [0, *schedule._milestones] if isinstance(schedule, SequentialLR) else [0] * len(parts)
    for part, start in zip(parts, starts, strict=True):
        yield from _parts(part, before + start)
