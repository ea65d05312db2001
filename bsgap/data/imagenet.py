"""The LightningDataModule of ImageNet, and of any photographs in files."""

from typing import Any, Literal

import torch

from bsgap.data import photo_sources
from bsgap.data.files import data_root
from bsgap.data.module import Split
from bsgap.data.normalise import Normalise
from bsgap.data.options import at_least, check_share, one_of
from bsgap.data.photo_loader import PhotoLoader, PhotoStore
from bsgap.data.photo_sources import PhotoSet
from bsgap.data.scene_loader import FixedScenes
from bsgap.data.stored import StoredData
from bsgap.data.subsets import cut
from bsgap.errors import UsageError
from bsgap.seeding import global_seed


class ImageNetData(StoredData[PhotoLoader, PhotoStore]):
    """Photographs in files, cut into training, validation and test examples, and the loaders over them.

    A training example is a random window of a photograph, brought to `crop` x `crop` pixels and mirrored or not: the
    scale and aspect augmentation of Szegedy et al. 2015, as in Goyal et al. 2017, without changes of colour. In all
    other batches it is the central window of the photograph at `resize` pixels. Nothing is kept in memory: batches are
    decoded from their files by as many threads as torch may use (`--threads`), the next one while this one is trained
    on.

    Subsets are fixed by `subset_seed`, not by the run's seed. In all of them each class keeps its share, and a larger
    one contains the smaller. The official validation images are the test examples; validation examples are cut from the
    training images.

    Args:
        source: Data set: imagenet.
        batch_size: Examples in one optimizer step, over all devices.
        root: Folder of the data sets; none means the environment variable BSGAP_DATA, else the folder data.
        download: Has no effect here: the images must be fetched by hand, and what is missing says where from.
        train_examples: Train on a subset of this many examples.
        train_fraction: Train on this share of the examples, in (0, 1]; instead of train_examples.
        test_examples: Test on a subset of this many examples.
        validation_examples: Cut this many examples from the training images for validation; 0 for none.
        subset_seed: Decides which examples the subsets hold.
        crop: Side of the square that the network sees, in pixels.
        resize: Pixels to which the shorter side of an image is brought before its centre is cut out; at least crop.
        normalise: unit divides pixels by 255; standard then subtracts the mean of each channel, (0.485, 0.456, 0.406),
            and divides by its standard deviation, (0.229, 0.224, 0.225), those of the code that Goyal et al. follow.
        augment: scale-aspect-flip draws a window and a flip of each training image; none takes the centre.
        last: What to do with the smaller batch at the end of an epoch: keep or drop it.
        evaluation_batch_size: Examples in a batch of the validation and test data, and of batches given to measures.
        sample_examples: Size of the fixed sample of training examples, without augmentation, for loss curves.
        seed: Decides the order and augmentation of the training data; none means the seed of seed_everything.

    Raises:
        UsageError: An option that cannot be honoured; those that depend on the data are checked in `setup`.
    """

    def __init__(
        self,
        source: str = "imagenet",
        batch_size: int = 256,
        *,
        root: str | None = None,
        download: bool = False,
        train_examples: int | None = None,
        train_fraction: float | None = None,
        test_examples: int | None = None,
        validation_examples: int = 0,
        subset_seed: int = 0,
        crop: int = 224,
        resize: int = 256,
        normalise: Literal["unit", "standard"] = "standard",
        augment: Literal["none", "scale-aspect-flip"] = "scale-aspect-flip",
        last: Literal["keep", "drop"] = "keep",
        evaluation_batch_size: int = 250,
        sample_examples: int = 2000,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        photo_sources.get(source)
        at_least(1, batch_size=batch_size, evaluation_batch_size=evaluation_batch_size, crop=crop)
        at_least(1, train_examples=train_examples, test_examples=test_examples, sample_examples=sample_examples)
        at_least(0, validation_examples=validation_examples)
        if resize < crop:
            raise UsageError(f"resize must be at least crop, {crop} pixels, got {resize}.")
        check_share(train_examples, train_fraction)
        one_of(("unit", "standard"), normalise=normalise)
        one_of(("none", "scale-aspect-flip"), augment=augment)
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
        self.crop = crop
        self.resize = resize
        self.normalise = normalise
        self.augment = augment
        self.last = last
        self.evaluation_batch_size = evaluation_batch_size
        self.sample_examples = sample_examples
        self.seed = seed
        self._set: PhotoSet | None = None

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def class_names(self) -> tuple[str, ...]:
        """WordNet id of each class; its position is its number."""
        return self._data.classes

    @property
    def in_shape(self) -> tuple[int, int, int]:
        """Shape of one example: (channels, height, width)."""
        return 3, self.crop, self.crop

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
            "sample_examples": len(self._split("sample")),
            "subset_seed": self.subset_seed,
            "resize": self.resize,
            "normalise": self.normalise,
            "augment": self.augment,
            "batch_size": self.batch_size,
            "last": self.last,
            "evaluation_batch_size": self.evaluation_batch_size,
            "kept": "streamed from files",
        }

    def batches(
        self,
        split: Split,
        examples: int | None = None,
        batch_size: int | None = None,
        *,
        device: torch.device | str | None = None,
    ) -> FixedScenes:
        """Prepared batches of central windows, of fixed composition and order, for measures and curves.

        Args:
            split: `"train"`, `"test"`, `"validation"`, or `"sample"`, the fixed sample of training examples.
            examples: Only the first this many of the split's fixed order, in which every class keeps its share.
            batch_size: Examples in a batch; `evaluation_batch_size` by default. A last one alone joins those before.
            device: Where the batches lie; by default on the trainer's device, without a trainer on the CPU.

        Returns:
            An iterable that decodes each batch anew in every pass: inputs float32 `[k, 3, crop, crop]`, targets int64
            `[k]`. All examples on every rank.

        Raises:
            UsageError: No such split, or more examples than it has.
        """
        one_of(("train", "test", "validation", "sample"), split=split)
        at_least(1, examples=examples, batch_size=batch_size)
        return self._fixed(split, examples, batch_size, device=device, share=False)

    @property
    def _data(self) -> PhotoSet:
        self._cut()
        assert self._set is not None
        return self._set

    def _cut(self) -> None:
        if self._splits:
            return
        found = photo_sources.load(self.source, data_root(self.root), download=self.download)
        chosen = cut(
            found.numbers(),
            train_examples=self.train_examples,
            train_fraction=self.train_fraction,
            test_examples=self.test_examples,
            validation_examples=self.validation_examples,
            seed=self.subset_seed,
        )
        splits = {
            split: PhotoStore(found.test if split == "test" else found.train, numbers, self.crop, self.resize)
            for split, (numbers, _) in chosen.items()
        }
        splits["sample"] = splits["train"].first(self.sample_examples)
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (found.mean, found.std))
        self._prepare = Normalise(255.0) if self.normalise == "unit" else Normalise(255.0, mean, std)
        self._set, self._splits = found, splits

    def _training(self) -> PhotoLoader:
        rank, world_size = self._ranks()
        device = self._device()
        return PhotoLoader(
            self._split("train"),
            batch_size=self.batch_size,
            seed=global_seed() if self.seed is None else self.seed,
            augment=self.augment != "none",
            last=self.last,
            prepare=self._preparation(device),
            rank=rank,
            world_size=world_size,
            device=device,
        )

    def _check_training(self) -> None:
        self._check_batches(self.n_train, self.batch_size, self.last)
