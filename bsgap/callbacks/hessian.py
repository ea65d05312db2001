"""The Hessian's top eigenvalues, trace and spectral density of any LightningModule, while it trains or at the end."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn

from bsgap.callbacks.measuring import Measuring, criterion_of
from bsgap.errors import NotFinite, UsageError
from bsgap.measures import Statistics
from bsgap.measures.batches import Batches, Loss
from bsgap.measures.density import SpectralDensity, check_probes, spectral_density
from bsgap.measures.eigenvalues import Eigenvalues, Order, check_search, top_eigenvalues
from bsgap.measures.products import Matrix, curvature
from bsgap.measures.trace import Trace, hessian_trace


@dataclass(frozen=True)
class HessianResult:
    """What `Hessian` measured at one moment; None is what it was not asked for.

    Attributes:
        eigenvalues: The top eigenvalues, without their vectors.
        trace: The trace.
        density: The spectral density.
        examples: Number of examples.
    """

    eigenvalues: Eigenvalues | None
    trace: Trace | None
    density: SpectralDensity | None
    examples: int


class Hessian(Measuring):
    """Measure the curvature of the loss at the module that trains: eigenvalues, trace, spectral density.

    See `top_eigenvalues`, `hessian_trace` and `spectral_density`. It needs nothing of the module but that
    `module(inputs)` gives the outputs and that its operations can be differentiated twice. Weights, mode, buffers,
    gradients, random state and the position of the loader are afterwards as they were, so a run with it equals a run
    without it. It measures in float32, whatever the precision of the training.

    Logged are `hessian/lambda_1`, `hessian/lambda_2`, ..., and `hessian/trace` with `hessian/trace_standard_error`;
    `results` has the whole of each measurement and `steps` when it was. An eigenvalue takes some 5 to 30 products with
    the Hessian, and a product is worth three to four passes over the data with gradient: `examples` bounds that. Where
    the loss is no longer finite it warns and goes on.

    Example:
        >>> from bsgap.callbacks import Hessian
        >>> callback = Hessian(every_n_epochs=10, k=3, trace_probes=32)  # for Trainer(callbacks=[callback])
        >>> callback.results
        []

    Args:
        every_n_epochs: Measure after every so many epochs, and at the end; None for the end of the fit only.
        k: How many of the top eigenvalues; 0 for none.
        trace_probes: Random vectors for the trace, at least 2; 0 for no trace.
        density_probes: Random vectors for the density; 0 for no density.
        density_steps: Lanczos steps for each of them.
        matrix: The Hessian itself, or the Gauss-Newton matrix, see `bsgap.measures.Matrix`.
        order: The largest eigenvalues by value, or by magnitude.
        tolerance: Relative residual at which an eigenvalue counts as found.
        most_products: No more products than these for the eigenvalues.
        statistics: Source of the BatchNorm statistics, see `bsgap.measures.Statistics`.
        examples: At most so many examples; None for all.
        seed: Seed of all random vectors.
        loss: Mean loss of a batch from outputs and targets; None for the module's method `criterion(outputs, targets)`,
            as bsgap's tasks whose loss is another have it, and cross-entropy where there is none.
        batches: Pairs `(inputs, targets)` to measure over. None for the training data: those that the data module
            gives for measures (`datamodule.batches("train")`, as bsgap's do), else one pass of the training loader,
            read whole at the first measurement of a fit and kept, with the augmentation drawn then.
        name: What is logged begins with it; two of these callbacks need two names.

    Raises:
        UsageError: An option is out of range or unknown, or nothing is asked for.
    """

    result_type = HessianResult

    def __init__(
        self,
        every_n_epochs: int | None = None,
        k: int = 1,
        trace_probes: int = 0,
        density_probes: int = 0,
        density_steps: int = 80,
        matrix: Matrix = "hessian",
        order: Order = "value",
        tolerance: float = 1e-3,
        most_products: int = 500,
        statistics: Statistics = "running",
        examples: int | None = None,
        seed: int = 0,
        loss: Loss | None = None,
        batches: Iterable[Any] | None = None,
        name: str = "hessian",
    ) -> None:
        super().__init__(
            name, every_n_epochs=every_n_epochs, examples=examples, batches=batches, loss=loss, statistics=statistics
        )
        counts = {"k": k, "trace_probes": trace_probes, "density_probes": density_probes}
        for option, value in counts.items():
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise UsageError(f"{name}: {option} must be a positive integer, or 0 for none, got {value!r}.")
        if not any(counts.values()):
            raise UsageError(f"{name}: nothing to measure: expected one of {', '.join(counts)} above 0.")
        if trace_probes == 1:
            raise UsageError(f"{name}: trace_probes must be at least 2, for a standard error, or 0, got 1.")
        self.check_choice("matrix", matrix, Matrix)
        try:
            check_search(max(k, 1), order, tolerance, most_products)
            check_probes(max(density_probes, 1), density_steps, prefix="density_")
        except UsageError as error:
            raise UsageError(f"{name}: {error}") from None
        self.k, self.trace_probes, self.density_probes = k, trace_probes, density_probes
        self.density_steps = density_steps
        self.matrix: Matrix = matrix
        self.seed = seed
        self.search: dict[str, Any] = {"order": order, "tolerance": tolerance, "most_products": most_products}

    def rehearse(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batches: Batches) -> None:
        """One product with the curvature of a few examples."""
        loss = self.loss or criterion_of(pl_module)
        with (
            suppress(NotFinite),  # the measurement warns of it
            curvature(pl_module, batches, loss=loss, statistics=self.statistics, matrix=self.matrix) as found,
        ):
            if self.k > found.size:
                raise UsageError(f"{self.name}: k is {self.k}, but there are {found.size} trainable parameters.")
            found(torch.zeros(found.size, device=found.device))

    def measure(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batches: Batches) -> HessianResult | None:
        """The curvature where the module stands; None, with a warning, where the loss is not finite."""
        shared: dict[str, Any] = {
            "loss": self.loss or criterion_of(pl_module),
            "matrix": self.matrix,
            "statistics": self.statistics,
            "seed": self.seed,
        }
        eigenvalues = trace = density = None
        try:
            if self.k:
                eigenvalues = top_eigenvalues(pl_module, batches, k=self.k, **self.search, **shared)
            if self.trace_probes:
                trace = hessian_trace(pl_module, batches, probes=self.trace_probes, **shared)
            if self.density_probes:
                density = spectral_density(
                    pl_module, batches, probes=self.density_probes, steps=self.density_steps, **shared
                )
        except NotFinite as error:
            rank_zero_warn(f"{self.name}: not measured at step {trainer.global_step}: {error}")
            return None
        found = eigenvalues or trace or density
        assert found
        return HessianResult(eigenvalues, trace, density, found.examples)

    def logged(self, result: HessianResult) -> dict[str, float]:
        """The eigenvalues, and the trace with its standard error."""
        values: dict[str, float] = {}
        if result.eigenvalues is not None:
            for place, value in enumerate(result.eigenvalues.values, start=1):
                values[f"{self.name}/lambda_{place}"] = value
        if result.trace is not None:
            values[f"{self.name}/trace"] = result.trace.value
            values[f"{self.name}/trace_standard_error"] = result.trace.standard_error
        return values

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        super().load_state_dict(state_dict)
        self.results = [
            HessianResult(
                eigenvalues=None if found.eigenvalues is None else Eigenvalues(**found.eigenvalues),
                trace=None if found.trace is None else Trace(**found.trace),
                density=None if found.density is None else SpectralDensity(**found.density),
                examples=found.examples,
            )
            for found in self.results
        ]
