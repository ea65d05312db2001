"""Street View House Numbers, cropped digits, in the original MATLAB files.

`train_32x32.mat`, `test_32x32.mat` and `extra_32x32.mat` (Netzer et al. 2011) each hold `X`, `[32, 32, 3, n]` unsigned
bytes, and `y`, `[n, 1]`, in which the digit 0 is written as 10. The extra images are easier ones.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from bsgap.data.files import corrupt, fetch, find_folder, matches, missing, official_fingerprint
from bsgap.data.sources.imageset import ImageSet, content_fingerprint, pairs, provenance

SIDE = 32
CLASSES = 10
HOME = "http://ufldl.stanford.edu/housenumbers/"
FOLDERS = ("SVHN", "svhn", ".")
DIGESTS = {
    "train_32x32.mat": "sha256:435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
    "extra_32x32.mat": "sha256:a133a4beb38a00fcdda90c9489e0c04f900b660ce8a316a5e854838379a71eb3",
    "test_32x32.mat": "sha256:cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
}


@dataclass(frozen=True)
class SvhnSource:
    """The cropped digits, with or without the extra images.

    Attributes:
        name: Name of the source.
        train: Training files, whose images follow one another in this order.
        published: Training and test images of the published data.
    """

    name: str
    train: tuple[str, ...]
    published: tuple[int, int]

    def files(self, root: Path) -> list[Path]:
        """Training files, then the test file; an empty list when one of them is missing."""
        paths = self._expected(root)
        return paths if all(path.is_file() for path in paths) else []

    def load(self, root: Path, *, download: bool = False) -> ImageSet:
        """Read the data set.

        Raises:
            MissingData: A file is not there (and could not be downloaded, where that was asked for).
            CorruptData: A file is truncated, malformed, or not of this data set.
        """
        for path in self._expected(root):
            if not path.is_file():
                if not download:
                    raise missing("SVHN", path, HOME, hint=", or set download to true")
                fetch(HOME + path.name, DIGESTS[path.name], path)
        paths = self.files(root)
        parts = [read_mat(path) for path in paths]
        train_images = np.concatenate([images for images, _ in parts[:-1]])
        train_labels = np.concatenate([labels for _, labels in parts[:-1]])
        test_images, test_labels = parts[-1]
        official = self._official(paths)
        if official:
            fingerprint = self._official_fingerprint
        else:
            fingerprint = content_fingerprint(train_images, train_labels, test_images, test_labels)
        targets = torch.from_numpy(train_labels), torch.from_numpy(test_labels)
        return ImageSet(
            name=self.name,
            train_inputs=torch.from_numpy(train_images),
            train_targets=targets[0],
            test_inputs=torch.from_numpy(test_images),
            test_targets=targets[1],
            classes=CLASSES,
            scale=255.0,
            note="" if official else provenance(*targets, CLASSES, self.published),
            fingerprint=fingerprint,
        )

    def fingerprint(self, root: Path) -> str:
        """See `Source.fingerprint`; published files are recognised by their digests, without reading them as data."""
        paths = self.files(root)
        return self._official_fingerprint if not paths or self._official(paths) else self.load(root).fingerprint

    @property
    def _official_fingerprint(self) -> str:
        names = (*self.train, "test_32x32.mat")
        return official_fingerprint(self.name, pairs({name: DIGESTS[name] for name in names}))

    def _expected(self, root: Path) -> list[Path]:
        folder = find_folder(root, FOLDERS, DIGESTS) or root / FOLDERS[0]
        return [folder / name for name in (*self.train, "test_32x32.mat")]

    def _official(self, paths: list[Path]) -> bool:
        return all(matches(path, DIGESTS[path.name]) for path in paths)


def read_mat(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images `[n, 3, 32, 32]` uint8 and labels `[n]` int64 from 0 to 9 of one file.

    Raises:
        CorruptData: Truncated, not a MATLAB file, or without the two arrays.
    """
    from scipy.io import loadmat  # only where such a file is read

    try:
        values = loadmat(path, variable_names=("X", "y"))
    except Exception as error:  # a damaged file raises almost anything: zlib.error, struct.error, TypeError, ...
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise corrupt(path, f"is truncated or not a MATLAB file ({reason})", HOME) from None
    if not {"X", "y"} <= set(values):
        raise corrupt(path, "does not hold the arrays X and y", HOME)
    images, labels = values["X"], values["y"].ravel()
    if images.dtype != np.uint8 or images.shape[:-1] != (SIDE, SIDE, 3) or images.ndim != 4 or images.shape[-1] == 0:
        raise corrupt(path, f"has {images.dtype} {list(images.shape)} under X, expected uint8 [32, 32, 3, n]", HOME)
    if labels.dtype.kind not in "iu" or len(labels) != images.shape[-1]:
        raise corrupt(path, f"has {len(labels)} labels for {images.shape[-1]} images", HOME)
    if labels.min() < 0 or labels.max() > CLASSES:
        raise corrupt(path, f"has labels from {labels.min()} to {labels.max()}, expected 1 to 10", HOME)
    return np.ascontiguousarray(images.transpose(3, 2, 0, 1)), labels.astype(np.int64) % CLASSES


SVHN = SvhnSource("svhn", ("train_32x32.mat",), (73_257, 26_032))
SVHN_EXTRA = SvhnSource("svhn-extra", ("train_32x32.mat", "extra_32x32.mat"), (604_388, 26_032))
