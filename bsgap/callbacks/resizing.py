"""Where a training takes its batch size from, and how it is changed: our own loaders, data modules, DataLoaders."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from torch.utils.data import BatchSampler, DataLoader, IterableDataset

from bsgap.data.base import ExactData
from bsgap.data.epochs import BatchSize, EpochLoader
from bsgap.errors import UsageError
from bsgap.optim.growth import Last
from bsgap.seeding import preserved_random_state

Sizes = Callable[[EpochLoader], BatchSize]
"""Gives a loader of this package the batch sizes of a ramp."""


class Source(ABC):
    """Something that has a batch size which can be changed between epochs, and given back as it was.

    Attributes:
        start: Examples in one optimizer step at the start, over all devices and accumulated batches.
        within_epochs: Whether the size can also change in the middle of an epoch.
    """

    start: int
    within_epochs = False

    def attach(self, sizes: Sizes) -> None:  # noqa: B027  # for most it is enough to be set
        """Take the sizes that a loader of this package asks for as it goes on."""

    @abstractmethod
    def set(self, batch_size: int) -> None:
        """Give batches of this many examples from the next epoch on: those of one loader's batch on all devices."""

    @abstractmethod
    def restore(self) -> None:
        """Give batches as at the start."""

    def check(self, trainer: pl.Trainer) -> None:  # noqa: B027  # most cannot fail to follow
        """Raise a UsageError unless the loader that the trainer has now follows the size asked for."""

    def try_out(self, following: int, now: int) -> None:  # noqa: B027  # most cannot fail to follow
        """Raise a UsageError if the size that comes next would not be followed, before the hours until it comes."""


class OwnData(Source):
    """Data of this package: the batch size is a function of the examples seen, at any point of an epoch."""

    within_epochs = True

    def __init__(self, data: ExactData[Any]) -> None:
        self.data = data
        self.start = data.batch_size

    def attach(self, sizes: Sizes) -> None:
        """Let the data give the function to a loader that they make."""
        self.data.ramp = sizes

    def set(self, batch_size: int) -> None:
        """Nothing: the loader asks the function."""

    def restore(self) -> None:
        """Take the function off the data module and off its loader."""
        self.data.ramp = None
        if self.data._loader is not None:
            self.data._loader.batch_size = self.start


class Stated(Source):
    """A data module, or a LightningModule with its own loader, that states `batch_size` or `hparams.batch_size`.

    By Lightning's custom that is the number of one process; data modules of this package say it for all devices.
    Hyperparameters state another size only while the loader is made: every checkpoint stores them, and what is loaded
    from one, weights alone or not, is to start from the first size.
    """

    def __init__(self, owner: Any, trainer: pl.Trainer) -> None:
        self.owner = owner
        hparams = getattr(owner, "hparams", {})
        self.hparams = hparams if "batch_size" in hparams else None
        self.attribute = isinstance(getattr(owner, "batch_size", None), int)
        self.before = owner.batch_size if self.attribute else hparams["batch_size"]
        self.devices = 1 if isinstance(owner, ExactData) else trainer.world_size
        self.now = self.before
        self.start = self.before * self.devices * trainer.accumulate_grad_batches
        self.asked = trainer.fit_loop._data_source  # what Lightning asks for the loader, and it the owner

    def set(self, batch_size: int) -> None:
        """State another size; `train_dataloader` of the owner reads it."""
        self.now = batch_size // self.devices
        self._state(self.now)
        vars(self.asked)["dataloader"] = self._made

    def restore(self) -> None:
        """State the first size again."""
        if self.now != self.before:
            self._state(self.before)
        vars(self.asked).pop("dataloader", None)

    def check(self, trainer: pl.Trainer) -> None:
        """The loader must have been made with the size stated."""
        self._check(trainer.train_dataloader)

    def try_out(self, following: int, now: int) -> None:
        """Let a loader be made with the size that comes next; it is thrown away. Data of this package do follow."""
        if isinstance(self.owner, ExactData):
            return
        self.set(following)
        try:
            with preserved_random_state():
                self._check(self._made())
        finally:
            self.set(now)

    def _check(self, loader: Any) -> None:
        found = size_of(loader)
        if found is not None and found != self.now and not isinstance(self.owner, ExactData):
            raise UsageError(
                f"{type(self.owner).__name__}.batch_size was set to {self.now}, but its train_dataloader() still gives"
                f" batches of {found}. Let train_dataloader() make a new loader with self.batch_size."
            )

    def _state(self, size: int) -> None:
        if isinstance(self.owner, ExactData):
            self.owner.set_batch_size(size)
        elif self.attribute:
            self.owner.batch_size = size

    def _made(self) -> Any:
        """The owner's loader, made with the size stated everywhere."""
        if self.hparams is None:
            return type(self.asked).dataloader(self.asked)
        stored = self.hparams["batch_size"]
        self.hparams["batch_size"] = self.now
        try:
            return type(self.asked).dataloader(self.asked)
        finally:
            self.hparams["batch_size"] = stored


class GivenLoader(Source):
    """A DataLoader that was given to `fit`: its own BatchSampler gets another size, which holds from the next epoch."""

    def __init__(self, loader: DataLoader[Any], trainer: pl.Trainer) -> None:
        self.loader = loader
        sampler = loader.batch_sampler
        assert isinstance(sampler, BatchSampler)
        self.sampler = sampler
        self.before = sampler.batch_size
        self.stated = loader.batch_size  # None where the user gave the batch sampler
        self.devices = trainer.world_size
        self.start = self.before * self.devices * trainer.accumulate_grad_batches

    def set(self, batch_size: int) -> None:
        """Change the sampler, and what the loader says of itself: under DDP Lightning makes a new one from that."""
        self._set(batch_size // self.devices, None if self.stated is None else batch_size // self.devices)

    def restore(self) -> None:
        """Set what there was."""
        self._set(self.before, self.stated)

    def _set(self, size: int, stated: int | None) -> None:
        self.sampler.batch_size = size
        vars(self.loader)["batch_size"] = stated  # its own setter refuses, as it would leave the sampler behind


def source_of(trainer: pl.Trainer, *, parts: bool) -> Source:
    """What gives a training its batches.

    Args:
        trainer: The trainer, with its data attached.
        parts: Whether the loader gives parts of a batch that are accumulated; it is then changed between epochs only.

    Raises:
        UsageError: The batch size is not to be found, or cannot be changed.
    """
    given: Any = trainer.fit_loop._data_source.instance
    if isinstance(given, ExactData) and given.grows_within_epochs and not parts:
        return OwnData(given)
    if isinstance(given, pl.LightningDataModule | pl.LightningModule):
        if _states(given):
            return Stated(given, trainer)
        what = "module" if isinstance(given, pl.LightningModule) else "data module"
        raise UsageError(
            f"the ramp needs to set the batch size, and the {what} {type(given).__name__} states none. Give it an"
            " attribute batch_size that its train_dataloader() reads."
        )
    check_loader(given)
    return GivenLoader(given, trainer)


def check_loader(loader: Any, owner: Any = None) -> None:
    """Refuse a loader whose batch size cannot be changed.

    Args:
        loader: The loader.
        owner: The data module or module whose `train_dataloader` made it; None for one that was given to `fit`.

    Raises:
        UsageError: It is no DataLoader, or has no length, or batches of its own making.
    """
    if not isinstance(loader, DataLoader):
        raise UsageError(
            f"the ramp changes the batch size of one DataLoader, and got {type(loader).__name__}. Give fit a"
            " DataLoader, or a data module with an attribute batch_size."
        )
    if isinstance(loader.dataset, IterableDataset):
        raise UsageError(
            "the ramp needs the number of examples in an epoch, and an IterableDataset has none. Use a dataset with a"
            " length."
        )
    if type(loader.batch_sampler) is not BatchSampler:
        what = "no batches" if loader.batch_sampler is None else f"a {type(loader.batch_sampler).__name__}"
        whose, fix = "this DataLoader", "Give batch_size to the DataLoader instead of a batch_sampler."
        if owner is not None:
            whose = f"the DataLoader of {type(owner).__name__}"
            fix = "Let train_dataloader() give batch_size=self.batch_size to the DataLoader instead of a batch_sampler."
        raise UsageError(f"the ramp changes the batch size of torch's BatchSampler, and {whose} has {what}. {fix}")


def size_of(loader: Any) -> int | None:
    """Batch size that a loader states, for one process; None where it states none."""
    stated = getattr(loader, "batch_size", None)
    found = stated or getattr(getattr(loader, "batch_sampler", None), "batch_size", None)
    return found if isinstance(found, int) else None


def examples_in(loader: Any, trainer: pl.Trainer) -> tuple[int, Last]:
    """Examples in an epoch of a training loader, over all devices, and what becomes of the last, smaller batch.

    Raises:
        UsageError: The loader has no length.
    """
    if isinstance(loader, EpochLoader):
        return loader.epoch_examples, loader.last
    if isinstance(loader, DataLoader):
        given: Any = trainer.fit_loop._data_source.instance
        check_loader(loader, given if isinstance(given, pl.LightningDataModule | pl.LightningModule) else None)
        assert loader.batch_sampler is not None
        sampler = loader.batch_sampler.sampler  # type: ignore[attr-defined]  # checked: it is a BatchSampler
        dropped = loader.batch_sampler.drop_last  # type: ignore[attr-defined]
        return len(sampler) * trainer.world_size, "drop" if dropped else "keep"
    size = size_of(loader)
    if size is None or not hasattr(loader, "__len__"):
        raise UsageError(
            f"the ramp needs the number of examples in an epoch, which a {type(loader).__name__} does not say."
            " Use a DataLoader."
        )
    return len(loader) * size * trainer.world_size, "keep"


def _states(owner: Any) -> bool:
    return isinstance(getattr(owner, "batch_size", None), int) or isinstance(
        getattr(owner, "hparams", {}).get("batch_size"), int
    )
