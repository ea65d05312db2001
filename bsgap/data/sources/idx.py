"""MNIST and Fashion-MNIST in their original IDX files, compressed or not.

IDX (LeCun): two zero bytes, a type byte (8: unsigned byte), the number of dimensions, each dimension as a big-endian
32-bit integer, then the values. Images are `[n, 28, 28]`, labels `[n]`.
"""

import gzip
import math
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from bsgap.data.files import corrupt, fetch, find_folder, matches, missing, official_fingerprint
from bsgap.data.sources.imageset import ImageSet, content_fingerprint, pairs, provenance

SIDE = 28
CLASSES = 10
PUBLISHED = (60_000, 10_000)
FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
MNIST_GZ = {
    "train-images-idx3-ubyte": "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte": "sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte": "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte": "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
FASHION_GZ = {
    "train-images-idx3-ubyte": "sha256:3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "train-labels-idx1-ubyte": "sha256:a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "t10k-images-idx3-ubyte": "sha256:346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "t10k-labels-idx1-ubyte": "sha256:67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}


@dataclass(frozen=True)
class IdxSource:
    """A data set of four IDX files.

    Attributes:
        name: Name of the source.
        title: The data set's name in messages.
        home: Address under which the four `.gz` files lie.
        folders: Where they may lie under the root, in order; the first is where a download goes.
        digests: Published digest of each `.gz` file.
        content: Fingerprint of the content, which tells that unpacked files are the published data; empty: not known.
    """

    name: str
    title: str
    home: str
    folders: tuple[str, ...]
    digests: dict[str, str] = field(hash=False)
    content: str = ""

    def files(self, root: Path) -> list[Path]:
        """The four files, compressed or not, or an empty list when one of them is missing."""
        folder = self._folder(root)
        found = [] if folder is None else [path for path in (_either(folder, name) for name in FILES) if path]
        return found if len(found) == len(FILES) else []

    def load(self, root: Path, *, download: bool = False) -> ImageSet:
        """Read the four files.

        Raises:
            MissingData: A file is not there (and could not be downloaded, where that was asked for).
            CorruptData: A file is truncated, malformed, or another data set's.
        """
        folder = self._folder(root) or root / self.folders[0]
        for name in FILES:
            if _either(folder, name) is None:
                if not download:
                    raise missing(self.title, folder / f"{name}.gz", self.home, hint=", or set download to true")
                fetch(f"{self.home}{name}.gz", self.digests[name], folder / f"{name}.gz")
        paths = self.files(root)
        self._refuse_strangers(paths)
        arrays = [read_idx(path, 3 if "images" in path.name else 1, self.home) for path in paths]
        for images, labels, path in ((arrays[0], arrays[1], paths[1]), (arrays[2], arrays[3], paths[3])):
            _check(images, labels, path, self.home)
        inputs = [torch.from_numpy(array).view(-1, 1, SIDE, SIDE) for array in (arrays[0], arrays[2])]
        targets = [torch.from_numpy(array).long() for array in (arrays[1], arrays[3])]
        official = self._published(paths)
        fingerprint = self._official if official else content_fingerprint(*arrays)
        if fingerprint == self.content:
            official, fingerprint = True, self._official
        return ImageSet(
            name=self.name,
            train_inputs=inputs[0],
            train_targets=targets[0],
            test_inputs=inputs[1],
            test_targets=targets[1],
            classes=CLASSES,
            scale=255.0,
            note="" if official else provenance(targets[0], targets[1], CLASSES, PUBLISHED),
            fingerprint=fingerprint,
        )

    def fingerprint(self, root: Path) -> str:
        """See `Source.fingerprint`; published files are recognised by their digests, without reading them as data."""
        paths = self.files(root)
        return self._official if not paths or self._published(paths) else self.load(root).fingerprint

    @property
    def _official(self) -> str:
        return official_fingerprint(self.name, pairs(self.digests))

    def _folder(self, root: Path) -> Path | None:
        return find_folder(root, self.folders, [name + ending for name in FILES for ending in ("", ".gz")])

    def _published(self, paths: list[Path]) -> bool:
        known = zip(FILES, paths, strict=True)
        return all(path.suffix == ".gz" and matches(path, self.digests[name]) for name, path in known)

    def _refuse_strangers(self, paths: list[Path]) -> None:
        """A file of another set, or under another name, is well formed and would be trained on without a word."""
        for name, path in zip(FILES, paths, strict=True):
            for source in (MNIST, FASHION):
                for other, known in source.digests.items():
                    if (source.name, other) != (self.name, name) and matches(path, known):
                        raise corrupt(path, f"is {source.title}'s {other}.gz, not {self.title}'s {name}.gz", self.home)


def read_idx(path: Path, dimensions: int, source: str) -> np.ndarray:
    """Values of an IDX file of unsigned bytes, decompressed if it ends in `.gz`.

    Args:
        path: The file.
        dimensions: How many dimensions it must have.
        source: Where it comes from, for the message.

    Raises:
        CorruptData: Not such a file, truncated, or with bytes left over.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            magic = file.read(4)
            if magic != bytes((0, 0, 8, dimensions)):
                expected = bytes((0, 0, 8, dimensions)).hex()
                raise corrupt(path, f"is not the IDX file expected: it begins {magic.hex()}, not {expected}", source)
            header = file.read(4 * dimensions)
            if len(header) < 4 * dimensions:
                raise corrupt(path, "is truncated within its header", source)
            shape = struct.unpack(f">{dimensions}I", header)
            size = math.prod(shape)
            data = file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise corrupt(path, f"cannot be read: {error}", source) from None
    if len(data) != size:
        came = f"only {len(data)}" if len(data) < size else "more"
        raise corrupt(path, f"is truncated or malformed: its header promises {size} bytes, it holds {came}", source)
    return np.frombuffer(bytearray(data), dtype=np.uint8).reshape(shape)


def _either(folder: Path, name: str) -> Path | None:
    """The compressed file, else the unpacked one: only the former has a published digest."""
    return next((path for path in (folder / f"{name}.gz", folder / name) if path.is_file()), None)


def _check(images: np.ndarray, labels: np.ndarray, path: Path, source: str) -> None:
    if images.shape[1:] != (SIDE, SIDE):
        size = " x ".join(map(str, images.shape[1:]))
        raise corrupt(path.with_name(path.name.replace("labels-idx1", "images-idx3")), f"has images of {size}", source)
    if len(images) != len(labels) or len(labels) == 0:
        raise corrupt(path, f"has {len(labels)} labels for {len(images)} images", source)
    if labels.max() >= CLASSES:
        raise corrupt(path, f"has a label {labels.max()}, expected 0 to {CLASSES - 1}", source)


MNIST = IdxSource(
    name="mnist",
    title="MNIST",
    home="https://ossci-datasets.s3.amazonaws.com/mnist/",
    folders=("MNIST/raw", "MNIST", "mnist", "."),
    digests=MNIST_GZ,
    content="a7f6505f6aa6af0afb576e1a0dae9f0b356f5dd2166c1e7cecd2d6ed8eafb326",
)
FASHION = IdxSource(
    name="fashion-mnist",
    title="Fashion-MNIST",
    home="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    folders=("FashionMNIST/raw", "FashionMNIST", "fashion-mnist"),
    digests=FASHION_GZ,
)
