"""The LightningDataModule of the segmentation studies."""

from typing import Any, Literal

import torch
from torch import Tensor

from bsgap.data import scene_sources
from bsgap.data.files import data_root
from bsgap.data.module import Split
from bsgap.data.normalise import Normalise
from bsgap.data.options import at_least, one_of
from bsgap.data.scene_loader import FixedScenes, SceneLoader, check_crop
from bsgap.data.scene_sources import IGNORE, Scenes, SceneSet
from bsgap.data.scene_store import SceneStore, StreamedScenes, resident, shrunk_size, standard_of_scenes
from bsgap.data.stored import StoredData
from bsgap.errors import UsageError
from bsgap.seeding import generator, global_seed

RESIDENT_BYTES = 4 * 2**30


class SceneData(StoredData[SceneLoader, SceneStore]):
    """Scenes with a class for each pixel, cut into training, validation and test scenes, and the loaders over them.

    A training example is a crop of a scene, mirrored or not; an epoch has `crops_per_image` of each scene. All other
    batches are whole scenes as they are. A target is a mask `[h, w]` of class numbers, 255 where none counts. Subsets
    are fixed by `subset_seed`, not by the run's seed, and a larger one contains the smaller.

    Args:
        source: Data set: drawn (by a program, no download), camvid, or cityscapes (its val split is the test split).
        batch_size: Examples (crops) in one optimizer step, over all devices.
        root: Folder of the data sets; none means the environment variable BSGAP_DATA, else the folder data.
        download: Has no effect here: camvid and cityscapes must be fetched by hand, and a missing one says where from.
        train_examples: Train on a subset of this many scenes.
        test_examples: Test on a subset of this many scenes.
        validation_examples: Use this many of the source's own validation scenes (camvid), else cut them from the
            training scenes; 0 for none.
        subset_seed: Decides which scenes the subsets hold.
        shrink: Whole factor by which height and width are divided: images by means over squares, masks by the square's
            central pixel.
        crop: Height and width of the random training crop, after shrinking; none means the whole scene.
        flip: Mirror each training example left to right with probability 1/2.
        crops_per_image: Training examples that an epoch takes of each scene; above 1 only with a crop.
        normalise: unit divides pixels by 255; standard then brings each channel to mean 0 and standard deviation 1
            over the source's training scenes (200 evenly spaced ones, where it has more).
        last: What to do with the smaller batch at the end of an epoch: keep or drop it.
        evaluation_batch_size: Scenes in a batch of the validation and test data, and of batches given to measures.
        sample_examples: Size of the fixed sample of training scenes on which loss curves are taken.
        resident: Where the scenes are: always decoded on the device, never (decoded from their files batch by batch),
            or auto, on the device where all of them take at most 4 GiB there.
        seed: Decides the order, crops and flips of the training data; none means the seed of seed_everything.

    Raises:
        UsageError: An option that cannot be honoured; those that depend on the data are checked in `setup`.
    """

    def __init__(
        self,
        source: str = "drawn",
        batch_size: int = 2,
        *,
        root: str | None = None,
        download: bool = False,
        train_examples: int | None = None,
        test_examples: int | None = None,
        validation_examples: int = 0,
        subset_seed: int = 0,
        shrink: int = 1,
        crop: tuple[int, int] | None = None,
        flip: bool = True,
        crops_per_image: int = 1,
        normalise: Literal["unit", "standard"] = "unit",
        last: Literal["keep", "drop"] = "keep",
        evaluation_batch_size: int = 4,
        sample_examples: int = 2000,
        resident: Literal["auto", "always", "never"] = "auto",
        seed: int | None = None,
    ) -> None:
        super().__init__()
        scene_sources.get(source)
        at_least(1, batch_size=batch_size, evaluation_batch_size=evaluation_batch_size, shrink=shrink)
        at_least(1, train_examples=train_examples, test_examples=test_examples, sample_examples=sample_examples)
        at_least(1, crops_per_image=crops_per_image)
        at_least(0, validation_examples=validation_examples)
        one_of(("unit", "standard"), normalise=normalise)
        one_of(("keep", "drop"), last=last)
        one_of(("auto", "always", "never"), resident=resident)
        if crop is not None:
            if len(crop) != 2:
                raise UsageError(f"crop must be a height and a width, got {list(crop)}.")
            at_least(1, crop_height=crop[0], crop_width=crop[1])
        elif crops_per_image > 1:
            raise UsageError(
                f"crops_per_image {crops_per_image} without a crop would repeat whole scenes. Set crop to a height and"
                " width."
            )
        self.source = source
        self.batch_size = batch_size
        self.root = root
        self.download = download
        self.train_examples = train_examples
        self.test_examples = test_examples
        self.validation_examples = validation_examples
        self.subset_seed = subset_seed
        self.shrink = shrink
        self.crop = None if crop is None else (crop[0], crop[1])
        self.flip = flip
        self.crops_per_image = crops_per_image
        self.normalise = normalise
        self.last = last
        self.evaluation_batch_size = evaluation_batch_size
        self.sample_examples = sample_examples
        self.resident = resident
        self.seed = seed
        self._set: SceneSet | None = None
        self._kept = True

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class; its position is its number in the masks."""
        return self._data.classes

    @property
    def ignore_label(self) -> int:
        """What a mask holds where a pixel has no class that counts."""
        return IGNORE

    @property
    def in_shape(self) -> tuple[int, int, int]:
        """Shape of one training example: (channels, height, width)."""
        return 3, *(self.crop or self._split("train").size)

    @property
    def epoch_examples(self) -> int:
        """Number of training examples in an epoch: the crops of all training scenes."""
        return self.n_train * self.crops_per_image

    def describe(self) -> dict[str, Any]:
        """What a run keeps about its data: JSON values, no path."""
        return {
            "source": self.source,
            "fingerprint": self.fingerprint,
            "note": self.note,
            "classes": self.classes,
            "class_names": list(self.class_names),
            "in_shape": list(self.in_shape),
            "scene_size": list(self._split("train").size),
            "train_examples": self.n_train,
            "epoch_examples": self.epoch_examples,
            "validation_examples": self.validation_examples,
            "test_examples": self.n_test,
            "sample_examples": len(self._split("sample")),
            "subset_seed": self.subset_seed,
            "shrink": self.shrink,
            "crop": None if self.crop is None else list(self.crop),
            "flip": self.flip,
            "crops_per_image": self.crops_per_image,
            "normalise": self.normalise,
            "batch_size": self.batch_size,
            "last": self.last,
            "evaluation_batch_size": self.evaluation_batch_size,
            "kept": "on the device" if self._kept else "streamed from files",
        }

    def batches(
        self,
        split: Split,
        examples: int | None = None,
        batch_size: int | None = None,
        *,
        device: torch.device | str | None = None,
    ) -> list[tuple[Tensor, Tensor]] | FixedScenes:
        """Prepared batches of whole scenes, of fixed composition and order, for measures and curves.

        Args:
            split: `"train"`, `"test"`, `"validation"`, or `"sample"`, the fixed sample of training scenes.
            examples: Only the first this many scenes of the split's fixed order.
            batch_size: Scenes in a batch; `evaluation_batch_size` by default. A last one alone joins those before.
            device: Where the batches lie; by default on the trainer's device, without a trainer on the CPU.

        Returns:
            `(input, target)` pairs: inputs float32 `[k, 3, h, w]`, targets int64 `[k, h, w]`. All scenes on every rank.
            A list; where scenes are streamed, an iterable that makes each batch anew in every pass.

        Raises:
            UsageError: No such split, or more scenes than it has.
        """
        one_of(("train", "test", "validation", "sample"), split=split)
        at_least(1, examples=examples, batch_size=batch_size)
        fixed = self._fixed(split, examples, batch_size, device=device, share=False)
        return list(fixed) if self._kept else fixed

    @property
    def _data(self) -> SceneSet:
        self._cut()
        assert self._set is not None
        return self._set

    def _cut(self) -> None:
        if self._splits:
            return
        found = scene_sources.load(self.source, data_root(self.root), download=self.download)
        chosen = self._chosen(found)
        height, width = shrunk_size(found.train.size, self.shrink)
        if not height or not width:
            rows, columns = found.train.size
            raise UsageError(f"shrink must leave a pixel of the {rows}x{columns} scenes, got {self.shrink}.")
        check_crop(self.crop, (height, width))
        pixels = 4 * height * width * sum(len(numbers) for _, numbers in chosen.values())
        self._kept = self.resident == "always" or (self.resident == "auto" and pixels <= RESIDENT_BYTES)
        store = resident if self._kept else StreamedScenes
        splits: dict[str, SceneStore] = {
            split: store(scenes, numbers, self.shrink) for split, (scenes, numbers) in chosen.items()
        }
        splits["sample"] = splits["train"].first(self.sample_examples)
        unit = self.normalise == "unit"
        self._prepare = Normalise(255.0) if unit else standard_of_scenes(found.train, self.shrink)
        self._set, self._splits = found, splits

    def _chosen(self, found: SceneSet) -> dict[str, tuple[Scenes, tuple[int, ...]]]:
        """The scenes of each split, and which of them, in a fixed random order."""
        train = self._order(found.train, "train")
        held_out = self.validation_examples
        chosen: dict[str, tuple[Scenes, tuple[int, ...]]] = {}
        if held_out and found.validation is not None:
            order = self._order(found.validation, "validation")
            chosen["validation"] = found.validation, _first(order, held_out, "validation_examples", self.source)
        elif held_out:
            if held_out >= len(train):
                raise UsageError(
                    f"validation_examples must leave some of the {len(train)} training scenes, got {held_out}."
                )
            cut = self._order(found.train, "validation")[:held_out]
            chosen["validation"] = found.train, cut
            train = tuple(number for number in train if number not in set(cut))
        chosen["train"] = found.train, _first(train, self.train_examples, "train_examples", self.source)
        order = self._order(found.test, "test")
        chosen["test"] = found.test, _first(order, self.test_examples, "test_examples", self.source)
        return chosen

    def _order(self, scenes: Scenes, name: str) -> tuple[int, ...]:
        return tuple(torch.randperm(len(scenes), generator=generator(self.subset_seed, "subset", name)).tolist())

    def _training(self) -> SceneLoader:
        rank, world_size = self._ranks()
        device = self._device()
        return SceneLoader(
            self._split("train"),
            batch_size=self.batch_size,
            seed=global_seed() if self.seed is None else self.seed,
            crop=self.crop,
            flip=self.flip,
            crops_per_image=self.crops_per_image,
            last=self.last,
            prepare=self._preparation(device),
            rank=rank,
            world_size=world_size,
            device=device,
        )

    def _check_training(self) -> None:
        n, m = self.epoch_examples, self.batch_size
        if m > n:
            hint = "" if self.crop is None else " Raise crops_per_image, or choose a smaller batch_size."
            raise UsageError(f"batch_size must be at most the {n} training examples of an epoch, got {m}.{hint}")
        self._check_sharing(n, m, self.last)


def _first(order: tuple[int, ...], count: int | None, option: str, source: str) -> tuple[int, ...]:
    if count is not None and count > len(order):
        raise UsageError(f"{option} must be at most the {len(order)} scenes of {source}, got {count}.")
    return order[:count]
