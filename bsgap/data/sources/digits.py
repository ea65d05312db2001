"""The 8 x 8 digits that come with scikit-learn: real images, no download.

1,797 handwritten digits of the UCI set "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak 1998), the part
that scikit-learn ships. It has no split of its own: here 1,000 train and 797 test by a fixed permutation.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from bsgap.data.sources.imageset import ImageSet, content_fingerprint
from bsgap.seeding import generator

TRAIN_EXAMPLES = 1000


@dataclass(frozen=True)
class DigitsSource:
    """scikit-learn's digits as `[n, 1, 8, 8]` uint8 in 0 ... 16; there is no file to find."""

    name: str = "digits"

    def files(self, root: Path) -> list[Path]:
        """None: the data come with an installed package."""
        return []

    def load(self, root: Path, *, download: bool) -> ImageSet:
        """The digits, split by a fixed permutation."""
        return _load(self.name)

    def fingerprint(self, root: Path) -> str:
        """Digest of the content."""
        return _load(self.name).fingerprint


@lru_cache(maxsize=1)
def _load(name: str) -> ImageSet:
    from sklearn.datasets import load_digits  # half a second that other sources need not pay

    pixels, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(labels), generator=generator(0, "digits", "split")).numpy()
    images = pixels.astype(np.uint8).reshape(-1, 1, 8, 8)[order]
    targets = labels.astype(np.int64)[order]
    return ImageSet(
        name=name,
        train_inputs=torch.from_numpy(images[:TRAIN_EXAMPLES]),
        train_targets=torch.from_numpy(targets[:TRAIN_EXAMPLES]),
        test_inputs=torch.from_numpy(images[TRAIN_EXAMPLES:]),
        test_targets=torch.from_numpy(targets[TRAIN_EXAMPLES:]),
        classes=10,
        scale=16.0,
        note="",
        fingerprint=content_fingerprint(images, targets, np.array([TRAIN_EXAMPLES])),
    )
