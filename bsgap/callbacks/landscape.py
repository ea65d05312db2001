"""The loss around any LightningModule, as numbers and as a picture, while it trains or at the end."""

import math
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_warn

from bsgap.callbacks.landscape_picture import draw
from bsgap.callbacks.measuring import Measuring, criterion_of
from bsgap.errors import NotFinite, UsageError
from bsgap.files import check_writable
from bsgap.measures import Normalise, Statistics, Surface, random_direction, surface, write_csv, write_vtk
from bsgap.measures.batches import Batches, Loss


class LossLandscape(Measuring):
    """Draw the loss along one or two random directions around the module that trains, see `surface`.

    Filter-normalised directions, as in Li et al. 2017 (arXiv:1712.09913), can be compared from one network or moment to
    another; they are the same at every moment but for this scale. It needs nothing of the module but that
    `module(inputs)` gives the outputs. Weights, mode, buffers, gradients, random state and the position of the loader
    are afterwards as they were, so a run with it equals a run without it. It measures in float32, whatever the
    precision of the training.

    Each measurement leaves `step-N.csv`, `.pdf` and `.png` in the folder, with N the optimizer steps taken, and
    for two directions `.vtk`. The least and the largest finite loss are logged as `landscape/min` and `landscape/max`;
    `results` has the whole of each, and `steps` when it was. It takes a pass over the data, without gradient, for each
    point: `examples` and `points` bound that. Where the loss is no longer finite it warns and goes on.

    Example:
        >>> from bsgap.callbacks import LossLandscape
        >>> callback = LossLandscape(dimensions=2, points=15, examples=2000)  # for Trainer(callbacks=[callback])
        >>> callback.results
        []

    Args:
        every_n_epochs: Measure after every so many epochs, and at the end; None for the end of the fit only.
        dimensions: 1 for a line, 2 for a plane.
        points: Steps each way, evenly from -span to span; an odd number has the module itself among them.
        span: How far to go; 1 is a step as long as the weights where the direction is normalised.
        normalise: How the directions are scaled, see `bsgap.measures.random_direction`.
        norms: Whether biases and normalisation layers are moved too.
        statistics: Source of the BatchNorm statistics, see `bsgap.measures.Statistics`.
        examples: At most so many examples; None for all.
        seed: Seed of the first direction; the second has the next.
        folder: Where the files go; None for `landscape` in the trainer's `default_root_dir`.
        loss: Mean loss of a batch from outputs and targets; None for the module's method `criterion(outputs, targets)`,
            as bsgap's tasks whose loss is another have it, and cross-entropy where there is none.
        batches: Pairs `(inputs, targets)` to measure over. None for the training data: those that the data module
            gives for measures (`datamodule.batches("train")`, as bsgap's do), else one pass of the training loader,
            read whole at the first measurement of a fit and kept, with the augmentation drawn then.
        name: Name under which it logs, and of the default folder; two of these callbacks need two names.

    Raises:
        UsageError: An option is out of range or unknown, or the folder cannot be written to.
    """

    result_type = Surface

    def __init__(
        self,
        every_n_epochs: int | None = None,
        dimensions: Literal[1, 2] = 1,
        points: int = 21,
        span: float = 1.0,
        normalise: Normalise = "filter",
        norms: bool = False,
        statistics: Statistics = "running",
        examples: int | None = None,
        seed: int = 0,
        folder: str | None = None,
        loss: Loss | None = None,
        batches: Iterable[Any] | None = None,
        name: str = "landscape",
    ) -> None:
        super().__init__(
            name, every_n_epochs=every_n_epochs, examples=examples, batches=batches, loss=loss, statistics=statistics
        )
        self.check_counts(points=points)
        if dimensions not in (1, 2):
            raise UsageError(f"{name}: dimensions must be 1 or 2, got {dimensions}.")
        if not (span > 0 and math.isfinite(span)):
            raise UsageError(f"{name}: span must be positive and finite, got {span}.")
        self.check_choice("normalise", normalise, Normalise)
        self.seeds = [seed + index for index in range(dimensions)]
        self.alphas = [span * (2 * index / (points - 1) - 1) for index in range(points)] if points > 1 else [0.0]
        self.normalise: Normalise = normalise
        self.norms, self.folder = norms, folder

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refuse at the start a folder that could not be written to at the end."""
        super().on_fit_start(trainer, pl_module)
        if trainer.is_global_zero:
            check_writable(self._folder(trainer))

    def rehearse(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batches: Batches) -> None:
        """The loss of a few examples where the module stands; no gradient is asked for."""
        loss = self.loss or criterion_of(pl_module)
        with suppress(NotFinite):  # the measurement warns of it
            directions = [random_direction(pl_module, seed, self.normalise, self.norms) for seed in self.seeds]
            surface(pl_module, batches, directions, [0.0], statistics=self.statistics, loss=loss)

    def measure(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batches: Batches) -> Surface | None:
        """The surface around where the module stands, and its files; None, with a warning, where there is none."""
        directions = [random_direction(pl_module, seed, self.normalise, self.norms) for seed in self.seeds]
        loss = self.loss or criterion_of(pl_module)
        try:
            found = surface(pl_module, batches, directions, self.alphas, statistics=self.statistics, loss=loss)
        except NotFinite as error:
            rank_zero_warn(f"{self.name}: not measured at step {trainer.global_step}: {error}")
            return None
        if trainer.is_global_zero:
            self._write(found, self._folder(trainer) / f"step-{trainer.global_step}", trainer.global_step)
        return found

    def logged(self, result: Surface) -> dict[str, float]:
        """The least and the largest finite loss."""
        losses = [row["loss"] for row in result.rows() if math.isfinite(row["loss"])]
        return {
            f"{self.name}/min": min(losses, default=math.nan),
            f"{self.name}/max": max(losses, default=math.nan),
        }

    def _folder(self, trainer: pl.Trainer) -> Path:
        return Path(trainer.default_root_dir) / self.name if self.folder is None else Path(self.folder)

    def _write(self, found: Surface, stem: Path, step: int) -> None:
        write_csv(found, stem.with_name(f"{stem.name}.csv"))
        if found.betas is not None:
            write_vtk(found, stem.with_name(f"{stem.name}.vtk"))
        scale = {"filter": "filter-normalised", "layer": "layer-normalised", "none": "plain"}[self.normalise]
        seeds = f"seed{'s' * (len(self.seeds) > 1)} {' and '.join(map(str, self.seeds))}"
        draw(found, stem, f"{scale} random directions, {seeds}, step {step}, {found.statistics} statistics")
