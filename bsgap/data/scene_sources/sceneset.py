"""What every source of scenes returns: images and masks by number, read when they are asked for."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

IGNORE = 255  # what a mask holds where a pixel has no class that counts


class Scenes(Protocol):
    """The scenes of one split, all of one size; what is decoded of them is kept by their identity."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""

    def __len__(self) -> int: ...

    def __hash__(self) -> int: ...

    def read(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Image `[3, h, w]` and mask `[h, w]`, both uint8; the mask holds class numbers and `IGNORE`."""


@dataclass(frozen=True, eq=False)
class SceneSet:
    """A set of labelled scenes as stored.

    Attributes:
        name: Name of the source.
        train: Training scenes.
        test: Test scenes.
        validation: The source's own validation scenes, where it has some.
        classes: Name of each class; its position is its number.
        note: Empty for the data set as published; otherwise how it differs.
        fingerprint: Hexadecimal digest that tells these data from any other.
    """

    name: str
    train: Scenes
    test: Scenes
    validation: Scenes | None
    classes: tuple[str, ...]
    note: str
    fingerprint: str
