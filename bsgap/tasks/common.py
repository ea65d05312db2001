"""What every task shares: where weights start, options, the optimizer and its schedule, and one step a batch."""

import functools
from collections.abc import Callable
from typing import Any, Literal, get_args

import pytorch_lightning as pl
import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from bsgap.data.base import ExactData
from bsgap.errors import UsageError
from bsgap.networks.ghost import ghost_batch_norm
from bsgap.optim.groups import parameter_groups
from bsgap.optim.sam import SAM
from bsgap.seeding import derive, global_seed
from bsgap.tasks.memory import accumulate_sparingly
from bsgap.tasks.step import groups, mean_gradient, optimizer_step

NetworkCallable = Callable[[], nn.Module]
"""Called without arguments it builds the network; a recipe gives class_path and init_args."""

Statistics = Literal["batch", "running"]
"""BatchNorm statistics of an evaluation: those of each evaluation batch, or the running averages."""


class ManualTask(pl.LightningModule):
    """A task under manual optimisation, in which one training step is one optimizer step on the whole batch.

    The initial weights are drawn from the run's seed by a generator of their own, so runs that differ in batch size,
    data order or optimizer start from the same point. A task defines `loss`, or `accumulate` where the mean loss of a
    batch is not the mean over its micro-batches.

    Args:
        network: Builds the network.
        optimizer: Builds the optimizer from the parameters.
        schedule: Builds a learning-rate schedule from the optimizer; it advances once an optimizer step.
        micro_batch: Examples that go through the network at once; absent means the whole batch.
        gradient_clip: Largest l2 norm of the gradient of a step; absent means no clipping.
        channels_last: Keep images and convolutions in channels-last layout, which is faster on most hardware.
        compile: Train through `torch.compile`; evaluation and the state dict stay on the plain network.
        initial_weights: File with a state dict of the network to start from instead of random weights.
        seed: Seed of the initial weights; absent means the one given to `seed_everything`.
        ghost_batch: Examples over which BatchNorm takes its training statistics, see `bsgap.networks.GhostBatchNorm2d`;
            absent means all that go through the network at once.
        decay_norms: Whether the optimizer's weight decay holds for gains and biases of normalisation layers too; absent
            means that it does.
        sharpness_batch: m of m-sharpness (Foret et al. 2020, section 3), under `bsgap.optim.SAM`: a step cuts its batch
            into consecutive groups of m examples, over all devices, each with a perturbation of its own from its own
            gradient; the step is along the mean of the perturbed gradients, weighted by example (the last group of a
            batch may be smaller). A multiple of `micro_batch`. Absent means one group, the whole batch.

    Raises:
        UsageError: An option is out of range, or `initial_weights` does not hold weights of this network.
    """

    def __init__(
        self,
        network: NetworkCallable,
        optimizer: OptimizerCallable,
        schedule: LRSchedulerCallable | None = None,
        *,
        micro_batch: int | None = None,
        gradient_clip: float | None = None,
        channels_last: bool = False,
        compile: bool | None = None,
        initial_weights: str | None = None,
        seed: int | None = None,
        ghost_batch: int | None = None,
        decay_norms: bool | None = None,
        sharpness_batch: int | None = None,
    ):
        super().__init__()
        if micro_batch is not None and micro_batch < 1:
            raise UsageError(f"micro_batch must be at least 1 or absent, got {micro_batch}.")
        if sharpness_batch is not None and sharpness_batch < 1:
            raise UsageError(f"sharpness_batch must be at least 1 or absent, got {sharpness_batch}.")
        if gradient_clip is not None and not gradient_clip > 0:
            raise UsageError(f"gradient_clip must be positive or absent, got {gradient_clip}.")
        self.automatic_optimization = False
        self.optimizer, self.schedule = optimizer, schedule
        self.micro_batch, self.gradient_clip = micro_batch, gradient_clip
        self.spares_memory = False  # BatchSizeRamp sets it: halve the micro-batch when memory ends
        self.channels_last = channels_last
        self.compiled = bool(compile)  # nn.Module has a method called compile
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(global_seed() if seed is None else seed, "weights"))
            self.network = network()
        if initial_weights is not None:
            load_weights(self.network, initial_weights)
        self.ghost_batch, self.decay_norms, self.sharpness_batch = ghost_batch, decay_norms, sharpness_batch
        if ghost_batch is not None:  # after the weights are drawn, which are those of BatchNorm
            ghost_batch_norm(self.network, ghost_batch)
        if channels_last:
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # In a tuple, or the network's parameters would be in the state dict twice.
        self._trained: tuple[Callable[..., Any]] | None = None

    def forward(self, *inputs: Any) -> Any:
        """Outputs of the plain network."""
        return self.network(*self._arranged(inputs))

    def train_forward(self, *inputs: Any) -> Any:
        """Outputs of the network that is trained: the compiled one if `compile` is set, else what `forward` gives."""
        if not self.compiled:
            return self(*inputs)
        if self._trained is None:
            self._trained = (torch.compile(self.network, dynamic=False),)
        return self._trained[0](*self._arranged(inputs))

    def loss(self, inputs: Any, targets: Tensor) -> Tensor:
        """Mean training loss of (inputs, targets), by `train_forward`: for each task to define."""
        raise NotImplementedError(f"{type(self).__name__} must define loss or accumulate.")

    def accumulate(self, batch: Any, part: slice | None = None) -> Tensor:
        """Accumulate into `.grad` the gradient of the mean loss of the whole batch; return that loss, detached.

        Args:
            batch: (inputs, targets).
            part: Examples whose share of the gradient and of the loss is asked for; None for all of them.
        """
        return mean_gradient(self.loss, *batch, micro_batch=self.micro_batch, backward=self.manual_backward, part=part)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """One optimizer step on the whole batch; returns its mean loss before the step.

        Raises:
            UsageError: The batch cannot be cut into groups of `sharpness_batch`.
        """
        examples = len(batch[1])
        if batch_idx == 0:  # later ones may be smaller
            self._check_sharpness_batch(examples)
        parameters = list(self.network.parameters())
        optimizer: Any = self.optimizers()
        size = None if self.sharpness_batch is None else self.sharpness_batch // self.trainer.world_size
        shares = [functools.partial(self._gradient, batch, part) for part in groups(examples, size)]
        loss = optimizer_step(optimizer, parameters, *shares, clip=self.gradient_clip)
        if self.schedule is not None:
            self.lr_schedulers().step()  # type: ignore[union-attr]
        return loss

    def _gradient(self, batch: Any, part: slice) -> Tensor:
        if not self.spares_memory:
            return self.accumulate(batch, part)
        return accumulate_sparingly(self, batch, part, devices=self.trainer.world_size)

    def setup(self, stage: str) -> None:
        """Refuse a precision or a ghost batch under which a step would not be what it says.

        Raises:
            UsageError: The trainer scales the loss, or a ghost batch is larger than what goes through the network.
        """
        if stage == "fit":
            self._check_ghost_batch()
        if stage == "fit" and self.trainer.precision == "16-mixed":
            raise UsageError(
                "precision 16-mixed scales the loss, so a gradient could not be clipped, or taken twice in a step."
                " Use bf16-mixed or 32-true."
            )

    def configure_optimizers(self) -> Any:
        """The optimizer, and the schedule where there is one.

        Raises:
            UsageError: The schedule watches a metric, or there is no perturbation for groups to differ in.
        """
        if self.decay_norms is False:
            optimizer = self.optimizer(parameter_groups(self, decay_norms=False))
        else:
            optimizer = self.optimizer(self.parameters())
        if self.sharpness_batch is not None and not (isinstance(optimizer, SAM) and optimizer.rho):
            given = f"{type(optimizer).__name__} with rho 0" if isinstance(optimizer, SAM) else type(optimizer).__name__
            raise UsageError(
                f"sharpness_batch is for bsgap.optim.SAM with a rho above 0, the optimizer is {given}. Leave it out."
            )
        if self.schedule is None:
            return optimizer
        schedule = self.schedule(optimizer)
        if isinstance(schedule, ReduceLROnPlateau):
            raise UsageError("a schedule that watches a metric cannot advance once a step. Choose another schedule.")
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def _check_ghost_batch(self) -> None:
        data = getattr(self.trainer, "datamodule", None)
        size = getattr(data, "batch_size", None)
        if self.ghost_batch is None or not isinstance(size, int):
            return
        if isinstance(data, ExactData):  # states the batch of all devices
            size //= self.trainer.world_size
        together = size if self.sharpness_batch is None else self.sharpness_batch // self.trainer.world_size
        at_once = min(size, self.micro_batch or size, together)
        if self.ghost_batch > at_once:
            option = "sharpness_batch" if at_once == together else "micro_batch"
            whole = "a batch on one device has" if at_once == size else f"{option} lets through the network at once"
            raise UsageError(
                f"ghost_batch must be at most the {at_once} examples that {whole}, got {self.ghost_batch}. Set it to"
                f" {at_once} or less, or make these more."
            )

    def _check_sharpness_batch(self, examples: int) -> None:
        """Refuse groups that are larger than a batch of so many examples a device, or do not share out evenly."""
        m, devices = self.sharpness_batch, self.trainer.world_size
        if m is None:
            return
        if m > examples * devices:
            raise UsageError(
                f"sharpness_batch must be at most the {examples * devices} examples of a batch, got {m}. Leave it out,"
                " to perturb by the gradient of the whole batch."
            )
        if m % devices:
            raise UsageError(f"sharpness_batch must be a multiple of the {devices} devices, got {m}.")
        if self.micro_batch is not None and not self.spares_memory and m // devices % self.micro_batch:
            raise UsageError(
                f"sharpness_batch must be a multiple of micro_batch on each device, got {m} on {devices} device(s) and"
                f" micro_batch {self.micro_batch}. Set micro_batch to a divisor of {m // devices}."
            )

    def _arranged(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """The inputs, images among them in the layout of the network."""
        if not self.channels_last:
            return inputs
        images = torch.channels_last
        return tuple(x.contiguous(memory_format=images) if getattr(x, "ndim", 0) == 4 else x for x in inputs)


def check_statistics(statistics: str) -> None:
    """Refuse an unknown source of BatchNorm statistics.

    Raises:
        UsageError: It is none of `Statistics`.
    """
    if statistics not in get_args(Statistics):
        raise UsageError(f"statistics must be one of {', '.join(get_args(Statistics))}, got {statistics!r}.")


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
