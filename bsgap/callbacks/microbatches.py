"""Batches that do not fit in memory at once: what a ramp does so that a step is still one on the whole batch."""

from typing import Any

import pytorch_lightning as pl

from bsgap.errors import UsageError
from bsgap.tasks.common import ManualTask


class MicroBatches:
    """Batches that go through the network as the loader gives them, by `accumulate_grad_batches` of them a step.

    Attributes:
        size: Examples that go through the network at once on a device; None for those that the loader gives.
    """

    size: int | None = None

    def __init__(self, trainer: pl.Trainer) -> None:
        self.trainer = trainer
        self.accumulated = trainer.accumulate_grad_batches  # by the trainer's own options

    def parts(self, batch_size: int) -> int:
        """Batches of the loader in one step of `batch_size` examples."""
        return self.accumulated

    def loaded(self, batch_size: int) -> int:
        """Examples in one batch of the loader, over all devices."""
        return batch_size // self.parts(batch_size)

    def check(self, batch_size: int) -> None:
        """Raise a UsageError unless a batch is shared out evenly over devices and parts."""
        devices, parts = self.trainer.world_size, self.parts(batch_size)
        if batch_size % (devices * parts):
            accumulated = "" if parts == 1 else f" in {parts} accumulated batches"
            raise UsageError(
                f"the ramp's batch of {batch_size} does not share out evenly over {devices} device(s){accumulated}."
                f" Choose ramp.sizes, or a batch_size and ramp.factor, that give multiples of {devices * parts}."
            )

    def use(self, batch_size: int) -> None:
        """Take steps of `batch_size` examples from now on."""

    def batch(self, index: int) -> None:
        """The batch of this number in the epoch begins."""

    def before_backward(self, module: pl.LightningModule) -> None:
        """Its backward pass begins."""

    def before_step(self, module: pl.LightningModule) -> None:
        """The optimizer's step begins."""

    def load(self, size: int | None) -> None:
        """Take up `size` of a checkpoint."""

    def restore(self) -> None:
        """Leave trainer and module as they were."""


class TaskMicroBatches(MicroBatches):
    """Those of a task of this package, which weighs them itself; it halves them when memory ends."""

    def __init__(self, trainer: pl.Trainer, task: ManualTask, size: int | None) -> None:
        super().__init__(trainer)
        if None not in (size, task.micro_batch) and size != task.micro_batch:
            raise UsageError(
                f"ramp.micro_batch is {size} and the task's own micro_batch {task.micro_batch}: give one of them."
            )
        self.task, self.before = task, task.micro_batch
        task.micro_batch = task.micro_batch if size is None else size
        task.spares_memory = task.micro_batch is None

    @property
    def size(self) -> int | None:  # type: ignore[override]  # the task knows
        """Examples that go through the network at once."""
        return self.task.micro_batch

    def load(self, size: int | None) -> None:
        """Take up what an earlier sitting came down to."""
        if self.task.spares_memory:
            self.task.micro_batch = size

    def restore(self) -> None:
        """Leave the task as it was."""
        self.task.micro_batch, self.task.spares_memory = self.before, False


class AccumulatedMicroBatches(MicroBatches):
    """Those of a module under automatic optimisation: the loader gives them, and Lightning accumulates them.

    Lightning divides each loss by the number k of parts, so a complete group is the mean over its examples. The last
    group of an epoch may have fewer parts, and its last part fewer examples: with parts of b examples, r examples in
    the group and c in its last part, the gradients so far are multiplied by b/c before the last backward pass, and
    their sum by k·c/r after it. That is again the mean over the r examples.
    """

    def __init__(self, trainer: pl.Trainer, size: int) -> None:
        super().__init__(trainer)
        self.size = size
        self.examples, self.dropped = 0, False  # in an epoch of a device, and whether its smaller last batch is
        self._now = 0
        self._group: tuple[int, int, int] | None = None  # (b, c, r), in the last part of an incomplete group
        self._backwards = 0

    def parts(self, batch_size: int) -> int:
        """As many as it needs to keep to the size."""
        assert self.size is not None
        on_device = batch_size // self.trainer.world_size
        return max(self.accumulated, -(-on_device // self.size))

    def check(self, batch_size: int) -> None:
        """A batch must consist of micro-batches of one size.

        Raises:
            UsageError: It does not.
        """
        if self.parts(batch_size) > self.accumulated and batch_size % (self.trainer.world_size * (self.size or 1)):
            raise UsageError(
                f"ramp.micro_batch must divide the batches that are larger, got {self.size} and a batch of"
                f" {batch_size} on {self.trainer.world_size} device(s). Choose one that does."
            )
        super().check(batch_size)

    def use(self, batch_size: int) -> None:
        """Accumulate the parts of the batch."""
        self._now = self.parts(batch_size)
        self._loaded = self.loaded(batch_size) // self.trainer.world_size
        self.trainer.accumulate_grad_batches = self._now

    def batch(self, index: int) -> None:
        """Note whether it is the last part of an incomplete group."""
        self._backwards, self._group = 0, None
        batches = int(self.trainer.num_training_batches)
        if self._now == self.accumulated or index + 1 < batches:
            return
        rest = self._loaded if self.dropped else self.examples - index * self._loaded
        before = index % self._now
        if before + 1 < self._now or rest != self._loaded:
            self._group = self._loaded, rest, before * self._loaded + rest

    def before_backward(self, module: pl.LightningModule) -> None:
        """Weigh the parts before the last one.

        Raises:
            UsageError: The optimizer asks for the gradient of a part twice.
        """
        self._backwards += 1
        if self._backwards > 1 and self._now > 1:
            raise UsageError(
                "ramp.micro_batch: the optimizer evaluates its closure more than once a step (as SAM does), which"
                " accumulated batches do not allow. Leave ramp.micro_batch out, or use a task of bsgap."
            )
        if self._group is not None:
            part, last, _ = self._group
            _multiply_gradients(module, part / last)

    def before_step(self, module: pl.LightningModule) -> None:
        """Make the sum a mean."""
        if self._group is not None:
            _, last, examples = self._group
            _multiply_gradients(module, self._now * last / examples)

    def restore(self) -> None:
        """Leave the trainer as it was."""
        self.trainer.accumulate_grad_batches = self.accumulated


def micro_batches_of(trainer: pl.Trainer, module: pl.LightningModule, size: int | None) -> MicroBatches:
    """How the batches of a training go through its network.

    Args:
        trainer: The trainer.
        module: The module that is trained.
        size: `ramp.micro_batch`.

    Raises:
        UsageError: The module accumulates in a way of its own.
    """
    if isinstance(module, ManualTask):
        return TaskMicroBatches(trainer, module, size)
    if size is None:
        return MicroBatches(trainer)
    if not module.automatic_optimization:
        raise UsageError(
            f"ramp.micro_batch: {type(module).__name__} takes its steps itself (manual optimisation), so nobody else"
            " can accumulate. Leave ramp.micro_batch out, and split the batch in its training_step."
        )
    return AccumulatedMicroBatches(trainer, size)


def _multiply_gradients(module: pl.LightningModule, factor: float) -> None:
    if factor == 1:
        return
    found: list[Any] = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    for gradient in found:
        gradient.mul_(factor)
