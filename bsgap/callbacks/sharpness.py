"""Keskar's sharpness of any LightningModule, while it trains or at the end."""

import math
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import pytorch_lightning as pl
from torch.nn.functional import cross_entropy

from bsgap.errors import UsageError
from bsgap.measures import Maximiser, Scaling, Statistics, keskar_sharpness
from bsgap.measures import Sharpness as Result
from bsgap.measures.batches import Batches, Loss, listed, read
from bsgap.seeding import preserved_random_state


class Sharpness(pl.Callback):
    """Measure Metric 2.1 of Keskar et al. (arXiv:1609.04836) on the module that trains, see `keskar_sharpness`.

    It needs nothing of the module but that `module(inputs)` gives the outputs. Weights, mode, buffers, gradients,
    random state and the position of the loader are afterwards as they were, so a run with it equals a run without it.
    It measures in float32, whatever the precision of the training.

    The value is logged as `sharpness` (in percent), within an epoch also for callbacks that monitor it; `results` has
    the whole of each measurement. The seconds of one are about 12 passes over the data with gradient.

    Example:
        >>> from bsgap.callbacks import Sharpness
        >>> callback = Sharpness(every_n_epochs=10, maximiser="sign")  # for Trainer(callbacks=[callback])
        >>> callback.results
        []

    Args:
        every_n_epochs: Measure after every so many epochs, and at the end; None for the end of the fit only.
        epsilon: Size ε of the box.
        subspace: Dimensions of a random subspace; None for the full space.
        scaling: How the subspace's random matrix is scaled, see `bsgap.measures.Scaling`.
        maximiser: `lbfgsb`, as in the paper, or `sign`, which is stronger at a low loss.
        iterations: Iterations of the maximiser.
        statistics: Source of the BatchNorm statistics, see `bsgap.measures.Statistics`.
        examples: At most so many examples; None for all.
        seed: Seed of the subspace, and of the maximiser where it draws.
        loss: Mean loss of a batch from outputs and targets; None for cross-entropy.
        batches: Pairs `(inputs, targets)` to measure over. None for the training data: those that the data module
            gives for measures (`datamodule.batches("train")`, as bsgap's do), else one pass of the training loader,
            read at the first measurement and kept, with the augmentation drawn then.
        name: Name under which the value is logged; two of these callbacks need two names.

    Raises:
        UsageError: `every_n_epochs` or `examples` is below 1.
    """

    def __init__(
        self,
        every_n_epochs: int | None = None,
        epsilon: float = 1e-3,
        subspace: int | None = None,
        scaling: Scaling = "normal",
        maximiser: Maximiser = "lbfgsb",
        iterations: int = 10,
        statistics: Statistics = "running",
        examples: int | None = None,
        seed: int = 0,
        loss: Loss | None = None,
        batches: Iterable[Any] | None = None,
        name: str = "sharpness",
    ) -> None:
        for option, value in (("every_n_epochs", every_n_epochs), ("examples", examples)):
            if value is not None and value < 1:
                raise UsageError(f"sharpness: {option} must be at least 1 or absent, got {value}.")
        self.every_n_epochs, self.examples, self.name = every_n_epochs, examples, name
        self.options: dict[str, Any] = {
            "loss": loss or cross_entropy,
            "epsilon": epsilon,
            "subspace": subspace,
            "scaling": scaling,
            "maximiser": maximiser,
            "iterations": iterations,
            "statistics": statistics,
            "seed": seed,
        }
        self.results: list[Result] = []
        self._source = batches
        self._batches: Batches | None = None
        self._measured_at: int | None = None

    @property
    def state_key(self) -> str:
        """Key of this callback in a checkpoint."""
        return self._generate_state_key(name=self.name)

    def state_dict(self) -> dict[str, Any]:
        """The results so far."""
        return {"results": [asdict(result) for result in self.results]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.results = [Result(**result) for result in state_dict["results"]]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure where the epoch is one of every n."""
        if self.every_n_epochs is not None and (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            result = self._measure(trainer, pl_module)
            pl_module.log(self.name, result.value, batch_size=result.examples, sync_dist=True)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure the final weights, unless that has just been done."""
        if self._measured_at == trainer.global_step:
            return
        result = self._measure(trainer, pl_module)
        for logger in trainer.loggers:  # the module may not log any more
            logger.log_metrics({self.name: result.value}, step=trainer.global_step)

    def _measure(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> Result:
        if self._batches is None:
            with preserved_random_state():
                self._batches = self._read(trainer)
        result = keskar_sharpness(pl_module, self._batches, **self.options)
        self.results.append(result)
        self._measured_at = trainer.global_step
        return result

    def _read(self, trainer: pl.Trainer) -> Batches:
        if self._source is not None:
            return listed(read(self._source, self.examples))
        data = getattr(trainer, "datamodule", None)
        if hasattr(data, "batches"):
            every = self.examples is None or self.examples >= getattr(data, "n_train", math.inf)
            return data.batches("train", examples=None if every else self.examples)  # type: ignore[union-attr]
        if trainer.world_size > 1:
            raise UsageError("with several devices the training loader has a share of the data: give `batches`.")
        return listed(read(trainer.train_dataloader or [], self.examples))
