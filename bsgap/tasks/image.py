"""Image classification: any network, any optimizer, any batch size."""

from collections.abc import Callable
from typing import Any, Literal, get_args

import pytorch_lightning as pl
import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torchmetrics import MeanMetric

from bsgap.data import Batches
from bsgap.errors import UsageError
from bsgap.measures import Evaluation, evaluate
from bsgap.seeding import derive, global_seed
from bsgap.tasks.step import mean_gradient, optimizer_step

NetworkCallable = Callable[[], nn.Module]
"""Called without arguments it builds the network; a recipe gives class_path and init_args."""

Statistics = Literal["batch", "running"]
"""BatchNorm statistics of an evaluation: those of each evaluation batch, or the running averages."""


class ImageClassification(pl.LightningModule):
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
    ):
        super().__init__()
        if micro_batch is not None and micro_batch < 1:
            raise UsageError(f"micro_batch must be at least 1 or absent, got {micro_batch}.")
        if gradient_clip is not None and not gradient_clip > 0:
            raise UsageError(f"gradient_clip must be positive or absent, got {gradient_clip}.")
        if statistics not in get_args(Statistics):
            raise UsageError(f"statistics must be one of {', '.join(get_args(Statistics))}, got {statistics!r}.")
        self.automatic_optimization = False
        self.optimizer, self.schedule = optimizer, schedule
        self.micro_batch, self.statistics, self.gradient_clip = micro_batch, statistics, gradient_clip
        self.channels_last = channels_last
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(global_seed() if seed is None else seed, "weights"))
            self.network = network()
        if initial_weights is not None:
            load_weights(self.network, initial_weights)
        if channels_last:
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.accuracy = MeanMetric()

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits `(batch, classes)` of `inputs` `(batch, *in_shape)`."""
        if self.channels_last and inputs.ndim == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        return self.network(inputs)

    def loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy of a batch, in nats."""
        return cross_entropy(self(inputs), targets)

    def setup(self, stage: str) -> None:
        """Refuse a precision under which a step would not be what it says.

        Raises:
            UsageError: The trainer scales the loss.
        """
        if stage == "fit" and self.trainer.precision == "16-mixed":
            raise UsageError(
                "precision 16-mixed scales the loss, so a gradient could not be clipped, or taken twice in a step."
                " Use bf16-mixed or 32-true."
            )

    def configure_optimizers(self) -> Any:
        """The optimizer, and the schedule where there is one.

        Raises:
            UsageError: The schedule watches a metric.
        """
        optimizer = self.optimizer(self.parameters())
        if self.schedule is None:
            return optimizer
        schedule = self.schedule(optimizer)
        if isinstance(schedule, ReduceLROnPlateau):
            raise UsageError("a schedule that watches a metric cannot advance once a step. Choose another schedule.")
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """One optimizer step on the whole batch; returns its mean loss before the step."""

        def gradient() -> Tensor:
            return mean_gradient(self.loss, *batch, micro_batch=self.micro_batch, backward=self.manual_backward)

        parameters = list(self.network.parameters())
        loss = optimizer_step(self.optimizers(), parameters, gradient, clip=self.gradient_clip)  # type: ignore[arg-type]
        if self.schedule is not None:
            self.lr_schedulers().step()  # type: ignore[union-attr]
        return loss

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


def load_weights(network: nn.Module, path: str) -> None:
    """Load into `network` the state dict in the file `path`, without unpickling anything but tensors.

    Raises:
        UsageError: The file is missing, unreadable, or holds the weights of another network.
    """
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except FileNotFoundError:
        raise UsageError(f"initial_weights: no file {path}. Train the run that it comes from first.") from None
    except Exception as error:  # torch raises several kinds for a damaged or foreign file
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"initial_weights: {path} does not hold this network's weights ({reason}).") from None
