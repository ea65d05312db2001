"""TIMIT frames for the network F2, from a folder that the user prepares.

TIMIT (LDC93S1) is licensed and cannot be fetched. Keskar et al. (2016) classify 721,329 training and 310,621 test
frames of 360 features into 1,973 classes; how the features are made is up to the user's own (Kaldi-like) recipe.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from bsgap.data.files import digest, missing, official_fingerprint
from bsgap.data.sources.imageset import ImageSet
from bsgap.errors import CorruptData

FEATURES = 360
FILES = ("X_train.npy", "y_train.npy", "X_test.npy", "y_test.npy")


@dataclass(frozen=True)
class TimitSource:
    """A folder `timit/` with X_train.npy and X_test.npy, float32 `[n, 360]`, and y_train.npy and y_test.npy, ints."""

    name: str = "timit"

    def files(self, root: Path) -> list[Path]:
        """The four arrays, or an empty list when one of them is missing."""
        paths = self._expected(root)
        return paths if all(path.is_file() for path in paths) else []

    def load(self, root: Path, *, download: bool = False) -> ImageSet:
        """Read the four arrays.

        Raises:
            MissingData: An array is not there; nothing can be downloaded.
            CorruptData: An array is truncated, or not of the expected type and shape.
        """
        for path in self._expected(root):
            if not path.is_file():
                what = "TIMIT, which is licensed and must be prepared by hand (X_*.npy float32 [n, 360], y_*.npy ints),"
                raise missing(what, path, "https://catalog.ldc.upenn.edu/LDC93S1")
        arrays = [_read(path) for path in self.files(root)]
        for inputs, targets, split in ((arrays[0], arrays[1], "train"), (arrays[2], arrays[3], "test")):
            _check(inputs, targets, self._expected(root)[0].parent, split)
        classes = int(max(arrays[1].max(), arrays[3].max())) + 1
        return ImageSet(
            name=self.name,
            train_inputs=torch.from_numpy(arrays[0]),
            train_targets=torch.from_numpy(arrays[1].astype(np.int64)),
            test_inputs=torch.from_numpy(arrays[2]),
            test_targets=torch.from_numpy(arrays[3].astype(np.int64)),
            classes=classes,
            scale=1.0,
            note=f"prepared by the user: {len(arrays[0])} training and {len(arrays[2])} test frames, {classes} classes",
            fingerprint=self.fingerprint(root),
        )

    def fingerprint(self, root: Path) -> str:
        """Digest of the four files; of the name alone when they are not there."""
        return official_fingerprint(self.name, [f"{path.name} {digest(path)}" for path in self.files(root)])

    def _expected(self, root: Path) -> list[Path]:
        folder = next((root / name for name in ("timit", "TIMIT") if (root / name).is_dir()), root / "timit")
        return [folder / name for name in FILES]


def _read(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        reason = " ".join(str(error).split())[:120]
        raise CorruptData(
            f"{path} cannot be read as a NumPy array ({reason}). Write it again with numpy.save."
        ) from None


def _check(inputs: np.ndarray, targets: np.ndarray, folder: Path, split: str) -> None:
    x, y = folder / f"X_{split}.npy", folder / f"y_{split}.npy"
    if inputs.dtype != np.float32 or inputs.ndim != 2 or inputs.shape[1] != FEATURES or len(inputs) == 0:
        raise CorruptData(
            f"{x} must be float32 [n, {FEATURES}], got {inputs.dtype} {list(inputs.shape)}. Prepare it so."
        )
    if targets.dtype.kind not in "iu" or targets.shape != (len(inputs),):
        raise CorruptData(
            f"{y} must be {len(inputs)} integers, got {targets.dtype} {list(targets.shape)}. Prepare it so."
        )
    if targets.min() < 0:
        raise CorruptData(f"{y} has a negative class number {targets.min()}. Number the classes from 0.")
    if not np.isfinite(inputs).all():
        raise CorruptData(f"{x} has values that are not finite. Prepare it without them.")
