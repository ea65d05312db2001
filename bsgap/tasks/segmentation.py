"""Semantic segmentation: a class for each pixel, any network, any optimizer, any batch size."""

from collections.abc import Iterable
from typing import Any

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor

from bsgap.errors import UsageError
from bsgap.tasks.common import ManualTask, NetworkCallable, Statistics, check_statistics
from bsgap.tasks.pixels import PixelCounts, SegmentationEvaluation, check_maps, count_pixels, summed_loss
from bsgap.tasks.step import summed_gradient


class SemanticSegmentation(ManualTask):
    """Segmentation with mean cross-entropy (nats) over labelled pixels, under manual optimisation.

    The loss of a batch is the mean over all its labelled pixels, not the mean of the images' means: an image of which
    little is labelled counts little. One training step is one optimizer step on that loss for the whole batch, whatever
    fits in memory: with micro-batches each adds the sum over its labelled pixels, divided by those of the whole batch.
    A batch without a labelled pixel has the loss 0 and no gradient.

    Args:
        network: Builds the network that maps inputs `(batch, 3, height, width)` to logits
            `(batch, classes, height, width)`.
        optimizer: Builds the optimizer from the parameters.
        schedule: Builds a learning-rate schedule from the optimizer; it advances once an optimizer step.
        micro_batch: Examples that go through the network at once; absent means the whole batch. With BatchNorm
            it is also the number of examples over which training statistics are taken.
        statistics: BatchNorm statistics when the network is evaluated: `batch`, those of each evaluation batch, or
            `running`.
        gradient_clip: Largest l2 norm of the gradient of a step; absent means no clipping.
        channels_last: Keep images and convolutions in channels-last layout, which is faster on most hardware.
        initial_weights: File with a state dict of the network to start from instead of random weights.
        seed: Seed of the initial weights; absent means the one given to `seed_everything`.
        compile: Train through `torch.compile`; evaluation and the state dict stay on the plain network. Absent means
            no.
        ignore_label: What a mask holds where a pixel is not labelled.
        ghost_batch: Examples over which BatchNorm takes its training statistics (ghost batches of Hoffer et al. 2017);
            absent means all that go through the network at once.
        decay_norms: Whether weight decay holds for gains and biases of normalisation layers too; absent means yes.
        sharpness_batch: Examples that `bsgap.optim.SAM` perturbs for together (m of m-sharpness), see `ManualTask`;
            absent means the whole batch.

    Raises:
        UsageError: An option is out of range, or `initial_weights` does not hold weights of this network.
    """

    def __init__(
        self,
        network: NetworkCallable,
        optimizer: OptimizerCallable = torch.optim.Adam,
        schedule: LRSchedulerCallable | None = None,
        micro_batch: int | None = None,
        statistics: Statistics = "running",
        gradient_clip: float | None = None,
        channels_last: bool = False,
        initial_weights: str | None = None,
        seed: int | None = None,
        compile: bool | None = None,
        ignore_label: int = 255,
        ghost_batch: int | None = None,
        decay_norms: bool | None = None,
        sharpness_batch: int | None = None,
    ):
        check_statistics(statistics)
        super().__init__(
            network,
            optimizer,
            schedule,
            micro_batch=micro_batch,
            gradient_clip=gradient_clip,
            channels_last=channels_last,
            compile=compile,
            initial_weights=initial_weights,
            seed=seed,
            ghost_batch=ghost_batch,
            decay_norms=decay_norms,
            sharpness_batch=sharpness_batch,
        )
        self.statistics = statistics
        self.ignore_label = ignore_label
        self._counts: PixelCounts | None = None
        self._classes = 0  # of the data, once they are known

    def setup(self, stage: str) -> None:
        """Note how many classes the data have.

        Raises:
            UsageError: The trainer scales the loss.
        """
        super().setup(stage)
        self._classes = getattr(getattr(self.trainer, "datamodule", None), "classes", 0)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits `(batch, classes, height, width)` of `inputs` `(batch, 3, height, width)`."""
        return super().forward(inputs)

    def criterion(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy over the labelled pixels, in nats; 0 where there is none. For callbacks that take a loss.

        Args:
            outputs: Logits `(batch, classes, height, width)`.
            targets: Class numbers `(batch, height, width)`.
        """
        return self._summed(outputs, targets) / self._labelled(targets).clamp(min=1)

    def loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean training loss over the labelled pixels of (inputs, targets)."""
        return self.criterion(self.train_forward(inputs), targets)

    def accumulate(self, batch: tuple[Tensor, Tensor], part: slice | None = None) -> Tensor:
        """Accumulate the gradient of the mean loss over the labelled pixels of the whole batch; return that loss.

        Args:
            batch: (inputs, targets).
            part: Images whose share of both is asked for; None for all of them.
        """
        inputs, targets = batch
        labelled = self._over_ranks(self._labelled(targets))
        labelled = torch.where(labelled > 0, labelled, 1)  # under several devices the mean may be below 1

        def share_of(these: slice) -> Tensor:
            return self._summed(self.train_forward(inputs[these]), targets[these]) / labelled

        return summed_gradient(
            share_of, len(targets), micro_batch=self.micro_batch, backward=self.manual_backward, part=part
        )

    def evaluate(self, batches: Iterable[Any]) -> SegmentationEvaluation:
        """Loss, pixel accuracy and mean IoU over fixed batches, in float32, dropout off, in this task's BatchNorm mode.

        Args:
            batches: Pairs `(inputs, targets)`. One that is not a list is read batch by batch, not kept.

        Raises:
            UsageError: There is no batch, or no labelled pixel.
        """
        return self._count(batches).evaluation()

    def on_validation_epoch_start(self) -> None:
        """Count anew."""
        self._counts = None

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Count the pixels of a batch."""
        self._count_in(batch)

    def on_validation_epoch_end(self) -> None:
        """Log `validation_loss`, `validation_accuracy` and `validation_miou`."""
        self._log("validation")

    def on_test_epoch_start(self) -> None:
        """Count anew."""
        self._counts = None

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Count the pixels of a batch."""
        self._count_in(batch)

    def on_test_epoch_end(self) -> None:
        """Log `test_loss`, `test_accuracy` and `test_miou`."""
        self._log("test")

    def _count(self, batches: Iterable[Any]) -> PixelCounts:
        return count_pixels(self.network, batches, ignore_label=self.ignore_label, statistics=self.statistics)

    def _count_in(self, batch: tuple[Tensor, Tensor]) -> None:
        found = self._count([batch])
        self._counts = found if self._counts is None else self._counts + found

    def _log(self, stage: str) -> None:
        """Log what all batches together give, over all devices: the IoU of a set is no mean over its batches."""
        counts = self._counts
        if counts is None:
            return
        reduce = self.trainer.strategy.reduce
        whole = PixelCounts(
            *(reduce(part, reduce_op="sum") for part in (counts.loss, counts.confusion, counts.examples))
        )
        for name, value in whole.evaluation().values().items():
            self.log(f"{stage}_{name}", value, prog_bar=True)

    def _summed(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Sum of the cross-entropy over labelled pixels; in float32 also where the network computes in less."""
        check_maps(outputs, targets)
        if outputs.shape[1] < self._classes:
            raise UsageError(
                f"the network gives {outputs.shape[1]} classes and the data have {self._classes}. Set the network's"
                f" classes to {self._classes}."
            )
        logits = outputs if outputs.element_size() >= 4 else outputs.float()
        return summed_loss(logits, targets, self.ignore_label)

    def _labelled(self, targets: Tensor) -> Tensor:
        return (targets != self.ignore_label).sum()

    def _over_ranks(self, count: Tensor) -> Tensor:
        """Mean over devices, whose gradients are averaged: so each labelled pixel of the batch counts the same."""
        if self._trainer is None or self._trainer.world_size == 1:
            return count
        return self._trainer.strategy.reduce(count.float(), reduce_op="mean")
