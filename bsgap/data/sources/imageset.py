"""What every source returns: training and test tensors with their provenance."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A labelled data set as stored: nothing scaled, nothing shuffled. Its tensors are shared, never written to.

    Attributes:
        name: Name of the source.
        train_inputs: `[n, c, h, w]` uint8, or `[n, features]` float32.
        train_targets: `[n]` int64 class numbers.
        test_inputs: As `train_inputs`.
        test_targets: As `train_targets`.
        classes: Number of classes.
        scale: What stored values are divided by to lie in [0, 1] (1 for features that are not pixels).
        note: Empty for the data set as published; otherwise how it differs, for instance `subset: 80 a class ...`.
        fingerprint: Hexadecimal digest that tells this data from any other.
    """

    name: str
    train_inputs: Tensor
    train_targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor
    classes: int
    scale: float
    note: str
    fingerprint: str


class Source(Protocol):
    """One data set: knows its files, how to read them, and how to tell them from others."""

    @property
    def name(self) -> str:
        """What the options call it."""

    def files(self, root: Path) -> list[Path]:
        """Files that `load` would read; empty when the data set is not (wholly) under `root`."""

    def load(self, root: Path, *, download: bool) -> ImageSet:
        """Read the data set, after fetching it if asked and needed."""

    def fingerprint(self, root: Path) -> str:
        """Fingerprint of what `load` would return; of the published data set when nothing is under `root`."""


def content_fingerprint(*arrays: np.ndarray) -> str:
    """SHA-256 over shapes, types and values: the same for one data set in two file formats."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.shape} {array.dtype.str} ".encode())
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def per_class(targets: Tensor, classes: int) -> str:
    """Examples a class in words: `80 a class`, or `3 to 7 a class`."""
    counts = torch.bincount(targets, minlength=classes)
    low, high = int(counts.min()), int(counts.max())
    return f"{low} a class" if low == high else f"{low} to {high} a class"


def provenance(train: Tensor, test: Tensor, classes: int, published: tuple[int, int]) -> str:
    """Note for data whose files are not the published ones: a stated subset, or other content of the same size."""
    if (len(train), len(test)) == published:
        return "not the published files, though as many examples"
    return (
        f"subset: {len(train)} training examples ({per_class(train, classes)}) and {len(test)} test examples "
        f"({per_class(test, classes)}), published {published[0]} and {published[1]}"
    )


def pairs(digests: dict[str, str]) -> Iterator[str]:
    """`name digest` lines in a fixed order, for an official fingerprint."""
    return (f"{name} {digests[name]}" for name in sorted(digests))
