"""Learning-rate schedules that keep their place in the data while the batch grows."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytorch_lightning as pl

from bsgap.errors import UsageError
from bsgap.optim.growth import Last, batches_in, schedule_steps
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
        advanced: Steps that they have made, from a checkpoint.

    Raises:
        UsageError: A schedule could not keep its place.
    """

    def __init__(
        self, trainer: pl.Trainer, module: pl.LightningModule, n: int, base: int, last: Last, advanced: int | None
    ) -> None:
        self.steps = moved_schedules(trainer, module)
        self.n, self.base, self.last = n, base, last
        self.advanced = trainer.current_epoch * batches_in(n, base, last) if advanced is None else advanced
        self._updates = trainer.global_step

    def move(self, updates: int, seen: int) -> None:
        """After a batch: `updates` of the weights and `seen` examples since the start of training."""
        if not self.steps or updates == self._updates:  # the gradient is still accumulated
            return
        self._updates = updates
        self.advanced += 1  # which the module or Lightning has done
        target = schedule_steps(seen, n=self.n, base=self.base, last=self.last)
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
    return [partial(module.lr_scheduler_step, config.scheduler, None) for config in found]
