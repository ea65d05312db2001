"""What every source of photographs returns: files with a class each, decoded when they are asked for."""

from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from bsgap.data.pictures import picture
from bsgap.data.sources.imageset import ImageSet


@dataclass(frozen=True, eq=False)
class Photos:
    """The photographs of one split, each of its own size.

    Attributes:
        folder: Where the names begin.
        names: Paths below `folder`.
        targets: `[n]` int64 class numbers.
        home: Where the data come from, for messages.
    """

    folder: Path
    names: tuple[str, ...]
    targets: Tensor
    home: str

    def __len__(self) -> int:
        return len(self.names)

    def read(self, number: int) -> Image.Image:
        """The photograph of that number, decoded, in RGB.

        Raises:
            CorruptData: Its file is truncated or no image.
        """
        with picture(self.folder / self.names[number], self.home) as file:
            return file.convert("RGB")  # some are grey, some for print (CMYK)


@dataclass(frozen=True, eq=False)
class PhotoSet:
    """A set of labelled photographs as stored.

    Attributes:
        name: Name of the source.
        train: Training photographs.
        test: Test photographs.
        classes: Name of each class; its position is its number.
        mean: Mean of each channel over the training photographs, of values in [0, 1].
        std: Standard deviation, as `mean`.
        note: Empty for the data set as published; otherwise how it differs.
        fingerprint: Hexadecimal digest that tells these data from any other.
    """

    name: str
    train: Photos
    test: Photos
    classes: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    note: str
    fingerprint: str

    def numbers(self) -> ImageSet:
        """The set with the number of each photograph in the place of its pixels, for `bsgap.data.subsets.cut`."""
        return ImageSet(
            name=self.name,
            train_inputs=torch.arange(len(self.train)),
            train_targets=self.train.targets,
            test_inputs=torch.arange(len(self.test)),
            test_targets=self.test.targets,
            classes=len(self.classes),
            scale=1.0,
            note=self.note,
            fingerprint=self.fingerprint,
        )
