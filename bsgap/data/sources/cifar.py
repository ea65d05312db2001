"""CIFAR-10 and CIFAR-100 in their original files: the Python version (pickles) or the binary version.

The binary version is a sequence of records: one label byte (CIFAR-10) or two, coarse and fine (CIFAR-100), then 3,072
pixel bytes, red plane first. The Python version holds the same bytes as an `[n, 3072]` array beside a list of labels.
A subset in either format is accepted and called one; it has a fingerprint of its own.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from bsgap.data.files import corrupt, fetch_archive, find_folder, matches, missing, official_fingerprint
from bsgap.data.sources.imageset import ImageSet, content_fingerprint, pairs, provenance
from bsgap.data.sources.unpickle import read_pickle

SIDE = 32
PIXELS = 3 * SIDE * SIDE
PUBLISHED = (50_000, 10_000)
HOME = "https://www.cs.toronto.edu/~kriz/"


@dataclass(frozen=True)
class CifarSource:
    """One of the two CIFAR sets.

    Attributes:
        name: Name of the source.
        title: The data set's name in messages.
        classes: Number of classes.
        labels: Key of the labels in the Python version.
        label_bytes: Label bytes of a record of the binary version; the last one is the class.
        folders: Folder of the Python version, and of the binary one.
        train: Training files of the Python version; the binary ones end in `.bin`.
        test: Test file of the Python version.
        archive: The Python version's archive and its digest.
        digests: Published digest of each file of the Python version.
        content: Fingerprint of the content, which tells that binary files are the published data; empty: not known.
    """

    name: str
    title: str
    classes: int
    labels: str
    label_bytes: int
    folders: tuple[str, str]
    train: tuple[str, ...]
    test: str
    archive: tuple[str, str]
    digests: dict[str, str] = field(hash=False)
    content: str = ""

    def files(self, root: Path) -> list[Path]:
        """Training files, then the test file; an empty list when one of them is missing."""
        paths = self._expected(root)
        return paths if all(path.is_file() for path in paths) else []

    def load(self, root: Path, *, download: bool = False) -> ImageSet:
        """Read the data set.

        Raises:
            MissingData: A file is not there (and could not be downloaded, where that was asked for).
            CorruptData: A file is truncated, malformed or unsafe.
        """
        address = HOME + self.archive[0]
        absent = [path for path in self._expected(root) if not path.is_file()]
        if absent and download:
            fetch_archive(address, self.archive[1], root, self.folders[0])
        elif absent:
            hint = ", or set download to true"
            if (root / self.archive[0]).is_file():
                hint = f"; {root / self.archive[0]} is there, but not unpacked: tar -xf {self.archive[0]}"
            raise missing(self.title, absent[0], address, hint=hint)
        paths = self.files(root)
        parts = [self._read(path, address) for path in paths]
        train_images = np.concatenate([images for images, _ in parts[:-1]])
        train_labels = np.concatenate([labels for _, labels in parts[:-1]])
        test_images, test_labels = parts[-1][0].copy(), parts[-1][1]  # a pickled array may be read-only
        official = self._published(paths)
        if official:
            fingerprint = self._official
        else:
            fingerprint = content_fingerprint(train_images, train_labels, test_images, test_labels)
        if fingerprint == self.content:
            official, fingerprint = True, self._official
        targets = torch.from_numpy(train_labels), torch.from_numpy(test_labels)
        return ImageSet(
            name=self.name,
            train_inputs=torch.from_numpy(train_images).view(-1, 3, SIDE, SIDE),
            train_targets=targets[0],
            test_inputs=torch.from_numpy(test_images).view(-1, 3, SIDE, SIDE),
            test_targets=targets[1],
            classes=self.classes,
            scale=255.0,
            note="" if official else provenance(*targets, self.classes, PUBLISHED),
            fingerprint=fingerprint,
        )

    def fingerprint(self, root: Path) -> str:
        """See `Source.fingerprint`; published files are recognised by their digests, without reading them as data."""
        paths = self.files(root)
        return self._official if not paths or self._published(paths) else self.load(root).fingerprint

    @property
    def _official(self) -> str:
        return official_fingerprint(self.name, pairs(self.digests))

    def _expected(self, root: Path) -> list[Path]:
        """Where the files are, or should be: the Python version's folder unless only the binary one is there."""
        names = [*self.train, self.test]
        binary = [f"{name}.bin" for name in names]
        if find_folder(root, self.folders[:1], names) is None and find_folder(root, self.folders[1:], binary):
            return [root / self.folders[1] / name for name in binary]
        return [root / self.folders[0] / name for name in names]

    def _published(self, paths: list[Path]) -> bool:
        return all(path.name in self.digests and matches(path, self.digests[path.name]) for path in paths)

    def _read(self, path: Path, source: str) -> tuple[np.ndarray, np.ndarray]:
        """Pixels `[n, 3072]` uint8 and labels `[n]` int64 of one file, checked."""
        images, labels = (self._read_binary if path.suffix == ".bin" else self._read_python)(path, source)
        if len(images) == 0 or len(images) != len(labels):
            raise corrupt(path, f"has {len(labels)} labels for {len(images)} images", source)
        if labels.min() < 0 or labels.max() >= self.classes:
            found = f"has labels from {labels.min()} to {labels.max()}, expected 0 to {self.classes - 1}"
            raise corrupt(path, found, source)
        return images, labels

    def _read_python(self, path: Path, source: str) -> tuple[np.ndarray, np.ndarray]:
        values = read_pickle(path, source)
        if "data" not in values or self.labels not in values:
            raise corrupt(path, f"is not {self.title}'s: it has {sorted(values)}, not data and {self.labels}", source)
        images, labels = values["data"], values[self.labels]
        if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape[1:] != (PIXELS,):
            raise corrupt(path, f"has no uint8 array of {PIXELS} pixels an image under data", source)
        if not isinstance(labels, list | np.ndarray) or not all(
            isinstance(label, int | np.integer) for label in labels
        ):
            raise corrupt(path, f"has no integers under {self.labels}", source)
        return images, np.asarray(labels, dtype=np.int64)

    def _read_binary(self, path: Path, source: str) -> tuple[np.ndarray, np.ndarray]:
        record = self.label_bytes + PIXELS
        data = np.fromfile(path, dtype=np.uint8)
        if len(data) % record:
            raise corrupt(path, f"is truncated: {len(data)} bytes are no multiple of the {record} of a record", source)
        records = data.reshape(-1, record)
        return np.ascontiguousarray(records[:, self.label_bytes :]), records[:, self.label_bytes - 1].astype(np.int64)


CIFAR10 = CifarSource(
    name="cifar10",
    title="CIFAR-10",
    classes=10,
    labels="labels",
    label_bytes=1,
    folders=("cifar-10-batches-py", "cifar-10-batches-bin"),
    train=tuple(f"data_batch_{part}" for part in range(1, 6)),
    test="test_batch",
    archive=(
        "cifar-10-python.tar.gz",
        "sha256:6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    ),
    digests={
        "data_batch_1": "sha256:54636561a3ce25bd3e19253c6b0d8538147b0ae398331ac4a2d86c6d987368cd",
        "data_batch_2": "sha256:766b2cef9fbc745cf056b3152224f7cf77163b330ea9a15f9392beb8b89bc5a8",
        "data_batch_3": "sha256:0f00d98ebfb30b3ec0ad19f9756dc2630b89003e10525f5e148445e82aa6a1f9",
        "data_batch_4": "sha256:3f7bb240661948b8f4d53e36ec720d8306f5668bd0071dcb4e6c947f78e9682b",
        "data_batch_5": "sha256:d91802434d8376bbaeeadf58a737e3a1b12ac839077e931237e0dcd43adcb154",
        "test_batch": "sha256:f53d8d457504f7cff4ea9e021afcf0e0ad8e24a91f3fc42091b8adef61157831",
    },
    content="3bde966bdeae90872ef8c15692d57a8a36d2e8afbe5fd099a7b182a2efeb8d32",
)
CIFAR100 = CifarSource(
    name="cifar100",
    title="CIFAR-100",
    classes=100,
    labels="fine_labels",
    label_bytes=2,
    folders=("cifar-100-python", "cifar-100-binary"),
    train=("train",),
    test="test",
    archive=(
        "cifar-100-python.tar.gz",
        "sha256:85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    ),
    digests={  # of the files within, only the MD5 sums are published
        "train": "md5:16019d7e3df5f24257cddd939b257f8d",
        "test": "md5:f0ef6b0ae62326f3e7ffdfab6717acfc",
    },
)
