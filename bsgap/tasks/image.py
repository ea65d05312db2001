"""Image classification: any network, any optimizer, any batch size."""

from typing import Any

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from torch.nn.functional import cross_entropy
from torchmetrics import MeanMetric

from bsgap.data import Batches
from bsgap.errors import UsageError
from bsgap.measures import Evaluation, evaluate
from bsgap.tasks.common import ManualTask, NetworkCallable, Statistics, check_statistics


class ImageClassification(ManualTask):
    """Classification with mean cross-entropy (nats) under manual optimisation.

    One training step is one optimizer step on the mean gradient of the whole batch, whatever fits in memory: see
    `bsgap.tasks.step`. The initial weights are drawn from the run's seed by a generator of their own, so runs that
    differ in batch size, data order or optimizer start from the same point.

    Args:
        network: Builds the network that maps inputs `(batch, *in_shape)` to logits `(batch, classes)`.
        optimizer: Builds the optimizer from the parameters.
        schedule: Builds a learning-rate schedule from the optimizer; it advances once an optimizer step.
        micro_batch: Examples that go through the network at once; absent means the whole batch. With BatchNorm
            it is also the number of examples over which training statistics are taken.
        statistics: BatchNorm statistics when the network is evaluated: `batch`, those of each evaluation batch (as
            in the code of Keskar et al., whose BatchNorm has no running averages), or `running`.
        gradient_clip: Largest l2 norm of the gradient of a step; absent means no clipping.
        channels_last: Keep images and convolutions in channels-last layout, which is faster on most hardware.
        initial_weights: File with a state dict of the network to start from instead of random weights.
        seed: Seed of the initial weights; absent means the one given to `seed_everything`.
        compile: Train through `torch.compile`, which pays where a run is long. Each batch size that goes through the
            network is compiled by itself: that of a step (or micro-batch), and of a smaller last one. Evaluation and
            the state dict stay on the plain network. Absent means no.
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
        self._classes = 0  # of the data
        self.accuracy = MeanMetric()

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits `(batch, classes)` of `inputs` `(batch, *in_shape)`."""
        return super().forward(inputs)

    def loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy of a batch, in nats."""
        logits = self.train_forward(inputs)
        if logits.shape[1] < self._classes:
            raise UsageError(
                f"the network gives {logits.shape[1]} classes and the data have {self._classes}."
                " Set the network's classes to theirs."
            )
        return cross_entropy(logits, targets)

    def setup(self, stage: str) -> None:
        """Note how many classes the data have; refuse a precision under which a step would not be what it says.

        Raises:
            UsageError: The trainer scales the loss.
        """
        super().setup(stage)
        self._classes = getattr(getattr(self.trainer, "datamodule", None), "classes", 0)

    def evaluate(self, batches: Batches) -> Evaluation:
        """Loss and accuracy over fixed batches, in float32, dropout off, in this task's BatchNorm mode."""
        return evaluate(self.network, batches, loss=cross_entropy, statistics=self.statistics)

    def _evaluation_step(self, batch: tuple[Tensor, Tensor], stage: str) -> None:
        found = self.evaluate([batch])
        options: dict[str, Any] = {"on_epoch": True, "batch_size": found.examples, "prog_bar": True}
        self.log(f"{stage}_loss", found.loss, sync_dist=True, **options)
        if found.accuracy is not None:
            self.accuracy.update(found.accuracy, found.examples)
            self.log(f"{stage}_accuracy", self.accuracy, **options)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log `validation_loss` and `validation_accuracy`."""
        self._evaluation_step(batch, "validation")

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Log `test_loss` and `test_accuracy`."""
        self._evaluation_step(batch, "test")
