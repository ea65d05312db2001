"""ImageNet of the ILSVRC 2012 challenge: 1.28 million photographs in 1,000 classes (Russakovsky et al. 2015).

`train/<wnid>/*.JPEG` are the training images, one folder a class, named by its WordNet id (n01440764). The labels of
the official test images are not public: the 50,000 of `val` are the test images here, as in all papers. They lie either
in `val/<wnid>/*.JPEG`, or flat in `val/`, as they are unpacked; their classes are then read from `LOC_val_solution.csv`
beside `val`, the file of the Kaggle release, in which a line names an image and, first of all, its wnid:

    ImageId,PredictionString
    ILSVRC2012_val_00048981,n03995372 85 1 499 272

Classes are numbered in the order of their wnids.
"""

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from bsgap.data.files import corrupt, digest, missing, official_fingerprint
from bsgap.data.photo_sources.photoset import Photos, PhotoSet
from bsgap.data.sources.imageset import provenance
from bsgap.errors import CorruptData

HOME = "https://image-net.org/download.php (free, with a login: ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar)"
FOLDERS = ("imagenet", "ImageNet", "ILSVRC/Data/CLS-LOC")
LABELS = "LOC_val_solution.csv"
LAYOUT = (
    f"; unpack one folder a class, and the validation images to val/<wnid>/ or flat to val/, with {LABELS} beside it"
)
CLASSES = 1000
PUBLISHED = (1_281_167, 50_000)
ENDINGS = (".jpeg", ".jpg")
# Of the authors' recipe: the constants of fb.resnet.torch, taken from a random subset of the training images.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ImageNetSource:
    """Training images, and the validation images in the place of test images; a subset of either is accepted."""

    name: str = "imagenet"

    def files(self, root: Path) -> list[Path]:
        """The folder of each class, and the labels of a flat `val`, in place of 1.3 million images; or nothing."""
        folder = _folder(root)
        train, val = _subfolders(folder / "train"), _subfolders(folder / "val")
        labels = _labels(root, folder)
        if not train or not (val or (labels.is_file() and _images(folder / "val"))):
            return []
        return [*train, *(val or [folder / "val", labels])]

    def load(self, root: Path, *, download: bool = False) -> PhotoSet:
        """List the images; nothing is decoded, and nothing can be downloaded.

        Raises:
            MissingData: A split has no images, or a flat `val` no labels.
            CorruptData: A class has no training images, or a validation image no known class.
        """
        folder = _folder(root)
        if not _subfolders(folder / "train"):
            raise missing("ImageNet", folder / "train" / "<wnid>" / "*.JPEG", HOME, hint=LAYOUT)
        if not self.files(root):
            flat = bool(_images(folder / "val"))
            wanted = _labels(root, folder) if flat else folder / "val" / "<wnid>" / "*.JPEG"
            raise missing("ImageNet's validation labels" if flat else "ImageNet", wanted, HOME, hint=LAYOUT)
        classes = tuple(place.name for place in _subfolders(folder / "train"))
        known = {name: number for number, name in enumerate(classes)}
        train, test = (_photos(folder, split, known, _labels(root, folder)) for split in ("train", "val"))
        present = set(train.targets.tolist())
        for number, name in enumerate(classes):
            if number not in present:
                raise CorruptData(f"{folder / 'train' / name} has no *.JPEG. Get its images from {HOME}, or remove it.")
        if not len(test):
            raise missing("ImageNet", folder / "val" / "<wnid>" / "*.JPEG", HOME, hint=LAYOUT)
        note = "test images are the official val split, as the test labels are not public"
        if (len(train), len(test), len(classes)) != (*PUBLISHED, CLASSES):
            counted = provenance(train.targets, test.targets, len(classes), PUBLISHED)
            note = f"{len(classes)} of {CLASSES} classes, {counted}; {note}"
        return PhotoSet(self.name, train, test, classes, MEAN, STD, note, self.fingerprint(root))

    def fingerprint(self, root: Path) -> str:
        """Digest of the names and sizes of all images (150 GB of them, too many to read for an id), and of the labels.

        Of the name and the published counts when they are not all there.
        """
        if not self.files(root):
            return official_fingerprint(self.name, [f"{count} images" for count in PUBLISHED])
        folder, labels = _folder(root), _labels(root, _folder(root))
        lines = []
        for split in ("train", "val"):
            for name, size in _all(folder / split):
                lines.append(f"{split}/{name} {size}")
        if not _subfolders(folder / "val"):
            lines.append(f"{LABELS} {digest(labels)}")
        return official_fingerprint(self.name, lines)


def _folder(root: Path) -> Path:
    return next((root / name for name in FOLDERS if (root / name / "train").is_dir()), root / FOLDERS[0])


def _labels(root: Path, folder: Path) -> Path:
    return next((place / LABELS for place in (folder, root) if (place / LABELS).is_file()), folder / LABELS)


def _subfolders(folder: Path) -> list[Path]:
    return sorted(place for place in folder.iterdir() if place.is_dir()) if folder.is_dir() else []


def _images(folder: Path) -> list[tuple[str, int]]:
    """Name and size in bytes of the images of one folder, by name."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:  # one pass without a Path for each of a million files
        return sorted((entry.name, entry.stat().st_size) for entry in entries if entry.name.lower().endswith(ENDINGS))


def _all(folder: Path) -> list[tuple[str, int]]:
    """Name below `folder` and size of a split's images: those of its subfolders where it has some, else its own."""
    places = _subfolders(folder)
    if not places:
        return _images(folder)
    return [(f"{place.name}/{name}", size) for place in places for name, size in _images(place)]


def _photos(folder: Path, split: str, known: dict[str, int], labels: Path) -> Photos:
    names = tuple(name for name, _ in _all(folder / split))
    if _subfolders(folder / split):
        stated, found_in = {name: name.partition("/")[0] for name in names}, folder / split
    else:
        table, found_in = _table(labels), labels
        stated = {name: table.get(name.rpartition(".")[0], "") for name in names}
    for name in names:
        if stated[name] not in known:
            what = f"class {stated[name]!r}, which has no training images," if stated[name] else "no class"
            raise CorruptData(f"{found_in} gives {split}/{name} {what} of the {len(known)}. Get both from {HOME}.")
    return Photos(folder / split, names, torch.tensor([known[stated[name]] for name in names], dtype=torch.int64), HOME)


def _table(labels: Path) -> dict[str, str]:
    """The wnid of each image by its name without ending."""
    with open(labels, newline="", encoding="utf-8", errors="replace") as file:
        rows = list(csv.reader(file))
    if not rows or rows[0] != ["ImageId", "PredictionString"] or any(len(row) != 2 or not row[1] for row in rows):
        raise corrupt(labels, "is not lines of ImageId,PredictionString", HOME)
    return {name: text.split()[0] for name, text in rows[1:]}
