"""Keskar's sharpness of any LightningModule, while it trains or at the end."""

from collections.abc import Iterable
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_warn

from bsgap.callbacks.measuring import Measuring, criterion_of
from bsgap.errors import NotFinite, UsageError
from bsgap.measures import Maximiser, Scaling, Statistics, keskar_sharpness
from bsgap.measures import Sharpness as Result
from bsgap.measures.batches import Batches, Loss
from bsgap.measures.sharpness import check_box


class Sharpness(Measuring):
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
        loss: Mean loss of a batch from outputs and targets; None for the module's method `criterion(outputs, targets)`,
            as bsgap's tasks whose loss is another have it, and cross-entropy where there is none.
        batches: Pairs `(inputs, targets)` to measure over. None for the training data: those that the data module
            gives for measures (`datamodule.batches("train")`, as bsgap's do), else one pass of the training loader,
            read whole at the first measurement of a fit and kept, with the augmentation drawn then.
        name: Name under which the value is logged; two of these callbacks need two names.

    Raises:
        UsageError: `every_n_epochs` or `examples` is below 1.
    """

    result_type = Result

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
        super().__init__(
            name, every_n_epochs=every_n_epochs, examples=examples, batches=batches, loss=loss, statistics=statistics
        )
        try:
            check_box(epsilon, subspace, scaling, maximiser, iterations)
        except UsageError as error:
            raise UsageError(f"{name}: {error}") from None
        self.options: dict[str, Any] = {
            "epsilon": epsilon,
            "subspace": subspace,
            "scaling": scaling,
            "maximiser": maximiser,
            "iterations": iterations,
            "seed": seed,
        }

    def rehearse(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batches: Batches) -> None:
        """The gradient of a few examples, and that the subspace has room."""
        super().rehearse(trainer, pl_module, batches)
        size = sum(parameter.numel() for parameter in pl_module.parameters() if parameter.requires_grad)
        if (self.options["subspace"] or 1) > size:
            raise UsageError(f"{self.name}: subspace is {self.options['subspace']}, but there are {size} parameters.")

    def measure(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batches: Batches) -> Result | None:
        """The sharpness where the module stands; None, with a warning, where the loss is not finite."""
        loss = self.loss or criterion_of(pl_module)
        try:
            return keskar_sharpness(pl_module, batches, loss=loss, statistics=self.statistics, **self.options)
        except NotFinite as error:
            rank_zero_warn(f"{self.name}: not measured at step {trainer.global_step}: {error}")
            return None

    def logged(self, result: Result) -> dict[str, float]:
        """φ, in percent."""
        return {self.name: result.value}
