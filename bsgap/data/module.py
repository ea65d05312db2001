"""The LightningDataModule of the image (and frame) classification studies."""

from typing import Any, Literal

import torch

from bsgap.data import sources
from bsgap.data.augment import crop_flip
from bsgap.data.base import ExactData, no_examples
from bsgap.data.files import data_root
from bsgap.data.loader import Batches, FixedLoader, TensorLoader
from bsgap.data.normalise import Normalise, standard
from bsgap.data.options import at_least, check_share, one_of
from bsgap.data.sources import ImageSet
from bsgap.data.subsets import Pair, cut
from bsgap.errors import UsageError
from bsgap.seeding import global_seed

Split = Literal["train", "test", "validation", "sample"]


class ImageData(ExactData[TensorLoader]):
    """A data set on the device, cut into training, validation and test examples, and the loaders over it.

    The batch size is that of one optimizer step, over all devices. Subsets are fixed by `subset_seed`, not by the run's
    seed: every run of a study sees the same examples. In all of them each class keeps its share, and a larger subset
    contains the smaller. Validation examples are cut from the training data, so that nothing is chosen on test data.

    Args:
        source: Data set: digits, mnist, fashion-mnist, cifar10, cifar100, svhn, svhn-extra (its training images and the
            531,131 extra ones) or timit.
        batch_size: Examples in one optimizer step, over all devices.
        root: Folder of the data sets; none means the environment variable BSGAP_DATA, else the folder data.
        download: Fetch missing files from their home, checked by digest, into the root.
        train_examples: Train on a subset of this many examples.
        train_fraction: Train on this share of the examples, in (0, 1]; instead of train_examples.
        test_examples: Test on a subset of this many examples.
        validation_examples: Cut this many examples from the training data for validation; 0 for none.
        subset_seed: Decides which examples the subsets hold.
        normalise: unit divides pixels by their maximum (255) only, as Keskar's code does; standard then brings each
            channel to mean 0 and standard deviation 1 over the source's training images.
        augment: crop-flip draws a zero-padded crop and a horizontal flip of each training image; none does not.
        last: What to do with the smaller batch at the end of an epoch: keep or drop it.
        evaluation_batch_size: Examples in a batch of the validation and test data, and of batches given to measures.
        sample_examples: Size of the fixed sample of training examples on which loss curves are taken.
        seed: Decides the order and augmentation of the training data; none means the seed of seed_everything.

    Raises:
        UsageError: An option that cannot be honoured; those that depend on the data are checked in `setup`.
    """

    def __init__(
        self,
        source: str = "digits",
        batch_size: int = 64,
        *,
        root: str | None = None,
        download: bool = False,
        train_examples: int | None = None,
        train_fraction: float | None = None,
        test_examples: int | None = None,
        validation_examples: int = 0,
        subset_seed: int = 0,
        normalise: Literal["unit", "standard"] = "unit",
        augment: Literal["none", "crop-flip"] = "none",
        last: Literal["keep", "drop"] = "keep",
        evaluation_batch_size: int = 5000,
        sample_examples: int = 2000,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        sources.get(source)
        at_least(1, batch_size=batch_size, evaluation_batch_size=evaluation_batch_size)
        at_least(1, train_examples=train_examples, test_examples=test_examples, sample_examples=sample_examples)
        at_least(0, validation_examples=validation_examples)
        check_share(train_examples, train_fraction)
        one_of(("unit", "standard"), normalise=normalise)
        one_of(("none", "crop-flip"), augment=augment)
        one_of(("keep", "drop"), last=last)
        self.source = source
        self.batch_size = batch_size
        self.root = root
        self.download = download
        self.train_examples = train_examples
        self.train_fraction = train_fraction
        self.test_examples = test_examples
        self.validation_examples = validation_examples
        self.subset_seed = subset_seed
        self.normalise = normalise
        self.augment = augment
        self.last = last
        self.evaluation_batch_size = evaluation_batch_size
        self.sample_examples = sample_examples
        self.seed = seed
        self._set: ImageSet | None = None
        self._splits: dict[str, Pair] = {}
        self._prepare: Normalise | None = None

    def prepare_data(self) -> None:
        """Fetch what is missing, once a machine, if `download` is set."""
        if self.download:
            sources.load(self.source, data_root(self.root), download=True)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self._data.classes

    @property
    def in_shape(self) -> tuple[int, ...]:
        """Shape of one example: (channels, height, width) or (features,)."""
        return tuple(self._split("train")[0].shape[1:])

    @property
    def n_train(self) -> int:
        """Number of training examples, without those cut for validation."""
        return len(self._split("train")[1])

    @property
    def n_test(self) -> int:
        """Number of test examples."""
        return len(self._split("test")[1])

    def describe(self) -> dict[str, Any]:
        """What a run keeps about its data: JSON values, no path."""
        return {
            "source": self.source,
            "fingerprint": self.fingerprint,
            "note": self.note,
            "classes": self.classes,
            "in_shape": list(self.in_shape),
            "train_examples": self.n_train,
            "validation_examples": self.validation_examples,
            "test_examples": self.n_test,
            "sample_examples": len(self._split("sample")[1]),
            "subset_seed": self.subset_seed,
            "normalise": self.normalise,
            "augment": self.augment,
            "batch_size": self.batch_size,
            "last": self.last,
            "evaluation_batch_size": self.evaluation_batch_size,
        }

    def batches(
        self,
        split: Split,
        examples: int | None = None,
        batch_size: int | None = None,
        *,
        device: torch.device | str | None = None,
    ) -> Batches:
        """Prepared batches of fixed composition and order, without augmentation, for measures and curves.

        Args:
            split: `"train"`, `"test"`, `"validation"`, or `"sample"`, the fixed sample of training examples.
            examples: Only the first this many of the split's fixed order, in which every class keeps its share.
            batch_size: Examples in a batch; `evaluation_batch_size` by default. A last one alone joins those before.
            device: Where the batches lie; by default on the trainer's device, without a trainer on the CPU.

        Returns:
            `(input, target)` pairs: inputs float32 `[k, ...]`, targets int64 `[k]`. All examples on every rank.

        Raises:
            UsageError: No such split, or more examples than it has.
        """
        one_of(("train", "test", "validation", "sample"), split=split)
        at_least(1, examples=examples, batch_size=batch_size)
        return list(self._fixed(split, examples, batch_size, device=device, share=False))

    @property
    def _data(self) -> ImageSet:
        self._cut()
        assert self._set is not None
        return self._set

    def _split(self, split: str) -> Pair:
        self._cut()
        if split not in self._splits:
            raise no_examples(split)
        return self._splits[split]

    def _cut(self) -> None:
        """Read the source and cut the splits, once."""
        if self._splits:
            return
        images = sources.load(self.source, data_root(self.root), download=self.download)
        splits = cut(
            images,
            train_examples=self.train_examples,
            train_fraction=self.train_fraction,
            test_examples=self.test_examples,
            validation_examples=self.validation_examples,
            seed=self.subset_seed,
        )
        inputs, targets = splits["train"]
        splits["sample"] = inputs[: self.sample_examples], targets[: self.sample_examples]
        unit = Normalise(images.scale)
        self._prepare = unit if self.normalise == "unit" else standard(images.train_inputs, images.scale)
        self._set, self._splits = images, splits

    def _training(self) -> TensorLoader:
        inputs, targets = self._split("train")
        rank, world_size = self._ranks()
        device = self._device()
        return TensorLoader(
            inputs,
            targets,
            batch_size=self.batch_size,
            shuffle=True,
            seed=global_seed() if self.seed is None else self.seed,
            last=self.last,
            augment=crop_flip if self.augment == "crop-flip" else None,
            prepare=self._preparation(device),
            rank=rank,
            world_size=world_size,
            device=device,
        )

    def _check_training(self) -> None:
        """Whether the training options fit the data and the number of devices."""
        self._check_batches(self.n_train, self.batch_size, self.last)
        if self.augment == "crop-flip" and len(self.in_shape) != 3:
            raise UsageError(f"augment crop-flip needs images, and {self.source} has none. Set augment to none.")

    def _fixed(
        self,
        split: str,
        examples: int | None = None,
        batch_size: int | None = None,
        *,
        device: torch.device | str | None = None,
        share: bool = True,
    ) -> FixedLoader:
        inputs, targets = self._split(split)
        if examples is not None and examples > len(targets):
            raise UsageError(f"examples must be at most the {len(targets)} of the {split} split, got {examples}.")
        rank, world_size = self._ranks() if share else (0, 1)
        device = device or self._device()
        return FixedLoader(
            inputs[:examples],
            targets[:examples],
            batch_size=batch_size or self.evaluation_batch_size,
            prepare=self._preparation(device),
            rank=rank,
            world_size=world_size,
            device=device,
        )

    def _preparation(self, device: torch.device | str | None) -> Normalise:
        self._cut()
        assert self._prepare is not None
        return self._prepare.to(device)
