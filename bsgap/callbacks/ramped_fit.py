"""One fit in which the batch grows: where it stands, what comes next, and what is to be given back at the end."""

from dataclasses import asdict
from typing import Any

import pytorch_lightning as pl

from bsgap.callbacks.kept_schedules import KeptSchedules
from bsgap.callbacks.microbatches import AccumulatedMicroBatches, micro_batches_of
from bsgap.callbacks.position import epochs_passed
from bsgap.callbacks.ramp_checks import check_batches, check_growth, check_reached, check_trainer, ends_of, planned
from bsgap.callbacks.resizing import OwnData, examples_in, source_of
from bsgap.data.columns import TextLoader
from bsgap.data.epochs import EpochLoader
from bsgap.errors import UsageError
from bsgap.optim.growth import BatchSizes, Growth, Last
from bsgap.tasks.common import ManualTask


class RampedFit:
    """The batch sizes of one fit, from `setup` to `teardown` of `BatchSizeRamp`.

    Args:
        trainer: The trainer, with its data attached.
        module: The module that is trained.
        growth: Milestones and sizes.
        monitor: The metric that says when to grow; None for milestones.
        micro_batch: Examples that go through the network at once.

    Raises:
        UsageError: The batch cannot be changed, or never would be.
    """

    def __init__(
        self, trainer: Any, module: pl.LightningModule, growth: Growth, *, monitor: str | None, micro_batch: int | None
    ) -> None:
        check_trainer(trainer)
        self.trainer, self.module, self.growth = trainer, module, growth
        self.monitor, self.watched = monitor, monitor is not None
        parts = micro_batch is not None and not isinstance(module, ManualTask)
        self.source = source_of(trainer, parts=parts or trainer.accumulate_grad_batches > 1)
        self.start = self.size = self.source.start
        check_growth(growth, self.start)
        self.micro = micro_batches_of(trainer, module, micro_batch)
        self.n: int | None = None  # examples in an epoch
        self.last: Last = "keep"
        self.sizes = BatchSizes(self.start)
        self.kept: KeptSchedules | None = None
        self._changes: tuple[tuple[int, int], ...] = ()  # those that a metric brought about
        self._advanced: int | None = None
        self._begun = self._resumed = False
        self._stored: dict[str, Any] | None = None  # the options of the checkpoint
        self._reload = trainer.reload_dataloaders_every_n_epochs
        self.source.attach(self.plan)
        self.source.set(self.micro.loaded(self.size))
        self.micro.use(self.size)

    def state_dict(self) -> dict[str, Any]:
        """Where it stands."""
        return {
            "start": self.start,
            "examples": self.n,
            "size": self.size,
            "changes": [list(change) for change in self._changes],
            "advanced": self.kept.advanced if self.kept else None,
            "micro_batch": self.micro.size,
            "growth": self._options(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there.

        Raises:
            UsageError: That fit started from another batch size.
        """
        if state["start"] != self.start:
            raise UsageError(
                f"cannot resume: the ramp of the checkpoint started from batches of {state['start']}, this one from"
                f" {self.start}. Use the same batch size."
            )
        self._stored = state.get("growth")  # not in checkpoints of earlier versions
        self._begun = self._resumed = True
        self.n, self.size, self._advanced = state["examples"], state["size"], state["advanced"]
        self._changes = tuple((seen, size) for seen, size in state["changes"])
        self.micro.load(state["micro_batch"])
        self.source.set(self.micro.loaded(self.size))
        self.micro.use(self.size)  # a fit that goes on in the middle of an epoch does not begin one

    def _options(self) -> dict[str, Any]:
        """How the batch grows, as plain values: who continues the fit must say the same."""
        options = {**asdict(self.growth), "monitor": self.monitor}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}

    def plan(self, loader: Any) -> BatchSizes:
        """The batch sizes, now that the loader says how many examples there are; a loader of this package takes them.

        Until the fit begins they are that of the start, so that configure_optimizers sees the length of an epoch at the
        batch size for which a schedule is stated.
        """
        if not self._begun:
            return BatchSizes(self.start)
        n, self.last = examples_in(loader, self.trainer)
        self.n = n if self.n is None else self.n
        if self.watched:
            self.sizes = BatchSizes(self.start, self._changes)
        else:
            between = not self.source.within_epochs
            self.sizes = planned(
                self.trainer, self.growth, self.start, self.n, self.last, between_epochs=between, parts=self.micro.parts
            )
        return self.sizes

    def begin(self) -> None:
        """on_fit_start: from now on the loader has the sizes of the ramp.

        Raises:
            UsageError: It continues one that grew in another way. Other callbacks have had their say of the checkpoint.
        """
        options = self._options()
        if self._stored and (others := [name for name in options if self._stored[name] != options[name]]):
            name = others[0]
            raise UsageError(
                f"cannot resume: the ramp of the checkpoint has ramp.{name} {self._stored[name]}, this one"
                f" {options[name]}. Use the same options, or start anew."
            )
        self._begun = True
        if isinstance(self.source, OwnData):
            loader = self.source.data.train_dataloader()
            loader.batch_size = self.plan(loader)
            self._check(loader)
        if self.trainer.fit_loop._combined_loader is not None:  # configure_optimizers asked for it: count it anew
            self.trainer.fit_loop._combined_loader = None

    def begin_training(self, *, keep_schedules: bool) -> None:
        """on_train_start: the loader is there, whoever made it."""
        if not isinstance(self.source, OwnData):
            self._check_place()
            self.plan(self.trainer.train_dataloader)
            self._check(self.trainer.train_dataloader)
            self._catch_up()
            following = self._following()
            if following is not None and not self.trainer.fast_dev_run:
                self.source.try_out(self.micro.loaded(following), self.micro.loaded(self.size))
        if keep_schedules:
            assert self.n is not None
            self.kept = KeptSchedules(
                self.trainer, self.module, self.n, self.start, self.last, self.micro.parts(self.start),
                self.examples_seen(0), self._advanced,
            )  # fmt: skip

    def begin_epoch(self) -> None:
        """on_train_epoch_start: the loader has been made anew where its batches differ."""
        self.trainer.reload_dataloaders_every_n_epochs = self._reload
        self.micro.use(self.size)
        self.source.check(self.trainer)

    def end_epoch(self, *, grow: bool) -> None:
        """on_train_epoch_end: change the batch for the next epoch, by a metric (`grow`) or as planned."""
        assert self.n is not None
        seen = (self.trainer.current_epoch + 1) * self.n
        if grow:
            size = self.growth.size(self.start, len(self._changes) + 1)
            if size != self.sizes(seen):
                self._changes = (*self._changes, (seen, size))
                self.sizes = BatchSizes(self.start, self._changes)
        if isinstance(self.source, OwnData):
            loader = self.trainer.train_dataloader
            loader.batch_size = self.sizes
            changes = len(loader) != self.trainer.num_training_batches
        else:
            changes = self.sizes(seen) != self.size
            if changes:
                self.size = self.sizes(seen)
                self.source.set(self.micro.loaded(self.size))
        if changes:
            self.trainer.reload_dataloaders_every_n_epochs = 1  # until the next epoch has begun

    def end_training(self) -> None:
        """on_train_end: what is stated is again what was, for who describes the data now."""
        if not self.source.within_epochs:
            self.source.restore()

    def restore(self) -> None:
        """Leave trainer, data, loader and module as they were."""
        self.trainer.reload_dataloaders_every_n_epochs = self._reload
        self.source.restore()
        self.micro.restore()

    def batch_size(self) -> int:
        """Examples in the step in hand, or between two steps in the next one, over all devices."""
        loader = self.trainer.train_dataloader
        if not isinstance(self.source, OwnData) or not isinstance(loader, EpochLoader):
            return self.size
        return loader.size_at(loader.examples_before if self._in_hand() else loader.examples_seen)

    def examples_seen(self, batches: int) -> int:
        """Examples passed before the step in hand, or between two steps all so far: `batches` of the epoch."""
        loader = self.trainer.train_dataloader
        if isinstance(self.source, OwnData) and isinstance(loader, EpochLoader):
            return loader.examples_before if self._in_hand() else loader.examples_seen
        assert self.n is not None
        whole = batches >= self.trainer.num_training_batches
        position = self.n if whole else min(batches * self.micro.loaded(self.size), self.n)
        return self.trainer.current_epoch * self.n + position

    def _in_hand(self) -> bool:
        batches = self.trainer.fit_loop.epoch_loop.batch_progress.current
        return batches.ready > batches.processed

    @property
    def never_grew(self) -> bool:
        """Whether a whole fit has passed without a growth that a metric could have brought about."""
        return self.watched and not self._changes and not self.trainer.fast_dev_run

    def _following(self) -> int | None:
        """The next larger size that comes, or may come; None where there is none."""
        sizes = self.growth.reached(self.start) if self.watched else [size for _, size in self.sizes.changes]
        return next((size for size in sizes if size > self.size), None)

    def _check_place(self) -> None:
        """Refuse to begin in the middle of an epoch: Lightning counts its batches, and the next may be larger."""
        loop = self.trainer.fit_loop
        epochs = loop.epoch_progress.current
        within = epochs.started > epochs.processed or epochs_passed(self.trainer) % 1
        if loop.restarting and not self._resumed and within:
            raise UsageError(
                "cannot resume: the checkpoint is of a training without a ramp and stands in the middle of epoch"
                f" {epochs.processed}, and these data can change their batch size only between two epochs. Use a"
                " checkpoint of the end of an epoch, or train to the end of this one without the ramp."
            )

    def _catch_up(self) -> None:
        """Take the size that is due where a checkpoint ends before it: of a shorter training, or one without a ramp."""
        assert self.n is not None
        due = self.sizes(self.trainer.current_epoch * self.n)
        if self._resumed and due < self.size:
            raise UsageError(
                f"cannot resume: the ramp of the checkpoint has come to batches of {self.size}, and this one would go"
                f" back to {due}. Use the same options and data, or start anew."
            )
        if due != self.size:
            self.size = due
            self.micro.use(due)
            self.source.set(self.micro.loaded(due))
            self.trainer.fit_loop._combined_loader = None  # Lightning makes it anew before the epoch

    def _check(self, loader: Any) -> None:
        """Refuse what cannot be honoured, now that the plan is known."""
        assert self.n is not None
        sizes = [self.start, *(size for _, size in self.sizes.changes)]
        if self.watched:
            sizes = self.growth.reached(self.start)
            check_reached(self.growth, sizes, self.n)
        last: Last = "drop" if isinstance(loader, TextLoader) else self.last  # all its batches have as many columns
        ends = [ends_of(self.n, self.micro.loaded(size), last) for size in sizes]
        if isinstance(self.source, OwnData) and not self.watched:
            epochs = {0, *(at // self.n + more for at, _ in self.sizes.changes for more in (0, 1))}
            spans = [list(loader.spans(epoch)) for epoch in epochs]
            ends = [(len(each), each[-1][1] - each[-1][0]) for each in spans]
        check_batches(self.trainer, self.module, sizes, ends, self.micro)
        if isinstance(self.micro, AccumulatedMicroBatches):
            self.micro.examples, self.micro.dropped = self.n // self.trainer.world_size, self.last == "drop"
