"""What the data modules share: the steps of a fit in Lightning's order, ranks and device, and the exact position."""

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Generic, TypeVar

import pytorch_lightning as pl
import torch

from bsgap.data.epochs import BatchSize, EpochLoader
from bsgap.errors import UsageError

L = TypeVar("L", bound=EpochLoader)


class ExactData(pl.LightningDataModule, Generic[L]):
    """A data module whose training loader continues exactly where a checkpoint stands.

    A subclass says what its splits are (`_cut`, `_fixed`), how its training loader is made (`_training`), and what the
    training options must satisfy (`_check_training`).

    Attributes:
        ramp: Gives a new training loader the batch sizes of a ramp; `BatchSizeRamp` sets it for the time of a fit.
        grows_within_epochs: Whether the training loader can change its batch size in the middle of an epoch.
    """

    batch_size: int
    validation_examples: int
    grows_within_epochs: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.ramp: Callable[[EpochLoader], BatchSize] | None = None
        self._limit_val_batches: int | float | None = None
        self._loader: L | None = None
        self._position: dict[str, Any] | None = None

    @abstractmethod
    def _cut(self) -> None:
        """Read the source and cut the splits, once."""

    @property
    @abstractmethod
    def _data(self) -> Any:
        """The source's data, read once, with `fingerprint` and `note`."""

    @abstractmethod
    def _check_training(self) -> None:
        """Raise a UsageError unless the training options fit the data and the number of devices."""

    @abstractmethod
    def _training(self) -> L:
        """A new loader of the training data."""

    @abstractmethod
    def _fixed(self, split: str) -> Iterable[Any]:
        """This rank's share of the fixed batches of a split."""

    @property
    def fingerprint(self) -> str:
        """Digest of the source's data, before any subset is taken."""
        return self._data.fingerprint

    @property
    def note(self) -> str:
        """How the source's data differ from the published ones; empty when they do not."""
        return self._data.note

    def setup(self, stage: str | None = None) -> None:
        """Read the data, cut the splits, and check the options against them. A fit starts at its trainer's epoch.

        Args:
            stage: What Lightning is about to do: fit, validate, test, predict, or None for all of them.

        Raises:
            UsageError: An option does not fit the data, for instance a batch size above the number of examples.
            MissingData: The data set is not at hand.
            CorruptData: One of its files is not what it should be.
        """
        self._cut()
        if stage == "validate" and not self.validation_examples:
            raise no_examples("validation")
        trainer = self.trainer
        if stage == "fit" and trainer is not None and trainer.limit_val_batches and not self.validation_examples:
            # Lightning would validate on no batches, and warn of it in every run. Undone in teardown.
            self._limit_val_batches, trainer.limit_val_batches = trainer.limit_val_batches, 0
        if stage in ("fit", None):
            self._check_training()
            self._loader = None
            self._position = None if trainer is None else {"epoch": trainer.current_epoch, "examples": 0}

    def teardown(self, stage: str | None = None) -> None:
        """Leave the trainer as it was."""
        if self._limit_val_batches is not None and self.trainer is not None:
            self.trainer.limit_val_batches, self._limit_val_batches = self._limit_val_batches, None

    def train_dataloader(self) -> L:
        """Loader of the training data, at the position of the checkpoint if there is one; the same object every time.

        Raises:
            UsageError: The checkpoint's position does not belong to these data, seed or batch size.
        """
        if self._loader is None:
            self._cut()
            self._check_training()
            loader = self._training()
            if self.ramp is not None:
                loader.batch_size = self.ramp(loader)
            if self._position is not None:
                loader.load_state_dict(self._position)
            self._loader = loader
        return self._loader

    def set_batch_size(self, batch_size: int) -> None:
        """Train in batches of another size from the next epoch on; only between two epochs."""
        self.batch_size = batch_size
        if self._loader is not None:
            self._loader.batch_size = batch_size

    def val_dataloader(self) -> Iterable[Any]:
        """Batches of the validation examples; an empty list when there are none."""
        return self._fixed("validation") if self.validation_examples else []

    def test_dataloader(self) -> Iterable[Any]:
        """Batches of the test examples."""
        return self._fixed("test")

    def state_dict(self) -> dict[str, Any]:
        """Position in the training data, for a checkpoint."""
        return self._loader.state_dict() if self._loader is not None else dict(self._position or {})

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the position of a checkpoint; it is applied when the training loader is made, or at once."""
        if self._loader is not None:
            self._loader.load_state_dict(state_dict)
        self._position = dict(state_dict)

    def _check_batches(self, n: int, batch_size: int, last: str) -> None:
        """Training batches must be no larger than the data, each have batch statistics, and be shared out evenly."""
        if batch_size > n:
            raise UsageError(f"batch_size must be at most the {n} training examples, got {batch_size}.")
        if last == "keep" and n % batch_size == 1 and batch_size > 1:
            raise UsageError(
                f"{n} training examples in batches of {batch_size} leave a last batch of one, which has no batch"
                " statistics. Set last to drop, or choose another batch_size or train_examples."
            )
        self._check_sharing(n, batch_size, last)

    def _check_sharing(self, n: int, batch_size: int, last: str) -> None:
        """Every rank must have as many examples of each batch: the mean over ranks is then the mean of the batch."""
        _, world_size = self._ranks()
        if batch_size % world_size or (last == "keep" and n % batch_size % world_size):
            raise UsageError(
                f"{n} training examples in batches of {batch_size} do not share out evenly over {world_size} devices,"
                " so the mean gradient would be another. Choose a batch_size that is a multiple of it, and set last to"
                " drop."
            )

    def _device(self) -> torch.device | None:
        return None if self.trainer is None else self.trainer.strategy.root_device

    def _ranks(self) -> tuple[int, int]:
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)


def no_examples(split: str) -> UsageError:
    """Error for a split that is empty."""
    return UsageError(f"there are no {split} examples. Set validation_examples to cut some from the training data.")
