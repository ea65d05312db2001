"""Scenes in PNG files, one image and one mask of class numbers each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bsgap.data.files import corrupt
from bsgap.data.pictures import picture
from bsgap.data.scene_sources.sceneset import IGNORE
from bsgap.errors import CorruptData

UNKNOWN = -1


def table_of(classes: dict[int, int], ignored: Sequence[int]) -> np.ndarray:
    """Table `[256]` from what a mask stores to the class number, `IGNORE`, or `UNKNOWN` for what it must not store."""
    table = np.full(256, UNKNOWN, dtype=np.int16)
    table[list(ignored)] = IGNORE
    table[list(classes)] = list(classes.values())
    return table


@dataclass(frozen=True, eq=False)
class SceneFiles:
    """Pairs of files, decoded one at a time.

    Attributes:
        images: RGB images.
        masks: The mask of each image: 8 bits a pixel.
        table: See `table_of`.
        home: Where the data come from, for messages.
        size: Height and width of the first image, which all others must have.
    """

    images: tuple[Path, ...]
    masks: tuple[Path, ...]
    table: np.ndarray
    home: str
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.images)

    def read(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Image `[3, h, w]` and mask `[h, w]` of class numbers.

        Raises:
            CorruptData: A file is no such image, the sizes differ, or the mask holds an unknown label.
        """
        image, mask = self.images[number], self.masks[number]
        pixels = _decode(image, ("RGB",), "RGB", self.home)
        labels = _decode(mask, ("L", "P"), "8 bits of class number a pixel", self.home)
        if pixels.shape[:2] != labels.shape:
            raise CorruptData(
                f"{image} is {_size(pixels)} pixels and its mask {mask} is {_size(labels)}: they must be of one size."
                " Get both from the same release of the data."
            )
        if pixels.shape[:2] != self.size:
            raise CorruptData(
                f"{image} is {_size(pixels)} pixels, {self.images[0].name} {self.size[1]}x{self.size[0]}: all images"
                " must be of one size. Leave the odd one out, or bring all to one size."
            )
        classes = self.table[labels]
        if classes.min() == UNKNOWN:
            known = np.flatnonzero(self.table != UNKNOWN)
            value = labels[classes == UNKNOWN].flat[0]
            raise corrupt(mask, f"has a label {value}, expected {known.min()} to {known.max()}", self.home)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1)), classes.astype(np.uint8)


def scene_files(images: Sequence[Path], masks: Sequence[Path], table: np.ndarray, home: str) -> SceneFiles:
    """The pairs as scenes, of the size of the first image; nothing else is decoded yet.

    Raises:
        CorruptData: An image has no mask, or the first image is none.
    """
    for image, mask in zip(images, masks, strict=True):
        if not mask.is_file():
            raise CorruptData(f"{image} has no mask: there is no {mask}. Get it from {home}.")
    first = _decode(images[0], ("RGB",), "RGB", home)
    return SceneFiles(tuple(images), tuple(masks), table, home, (first.shape[0], first.shape[1]))


def whole(splits: Iterable[tuple[Sequence[Path], Sequence[Path]]]) -> list[Path]:
    """Images and masks of all splits; an empty list when a split has no images, or an image no mask."""
    paths: list[Path] = []
    for images, masks in splits:
        if not images or not all(mask.is_file() for mask in masks):
            return []
        paths += [*images, *masks]
    return paths


def _decode(path: Path, modes: tuple[str, ...], expected: str, home: str) -> np.ndarray:
    with picture(path, home) as file:
        mode, values = file.mode, np.asarray(file)
    if mode not in modes:
        raise corrupt(path, f"is an image of kind {mode}, expected {expected}", home)
    return values


def _size(values: np.ndarray) -> str:
    return f"{values.shape[1]}x{values.shape[0]}"
