"""Cityscapes with fine annotations: street scenes of 2048 x 1024 pixels in 19 training classes (Cordts et al. 2016).

`leftImg8bit/{train,val}/<city>/*_leftImg8bit.png` are the images, `gtFine/{train,val}/<city>/*_gtFine_labelIds.png` the
masks. They hold 34 ids, of which 19 are the classes of the benchmark and the rest is ignored. The labels of the
official test images are not public: the `val` images are the test images here, as in most papers.
"""

from dataclasses import dataclass
from pathlib import Path

from bsgap.data.files import missing, official_fingerprint
from bsgap.data.scene_sources.files import scene_files, table_of, whole
from bsgap.data.scene_sources.sceneset import SceneSet

HOME = "https://www.cityscapes-dataset.com/downloads/ (free, with a login: leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip)"  # noqa: E501
FOLDERS = ("cityscapes", "Cityscapes", ".")
PUBLISHED = {"train": 2975, "val": 500}
IDS = 34
CLASSES = {
    7: "road", 8: "sidewalk", 11: "building", 12: "wall", 13: "fence", 17: "pole", 19: "traffic light",
    20: "traffic sign", 21: "vegetation", 22: "terrain", 23: "sky", 24: "person", 25: "rider", 26: "car", 27: "truck",
    28: "bus", 31: "train", 32: "motorcycle", 33: "bicycle",
}  # fmt: skip
IMAGE, MASK = "_leftImg8bit.png", "_gtFine_labelIds.png"


@dataclass(frozen=True)
class CityscapesSource:
    """Training images, and the validation images in the place of test images."""

    name: str = "cityscapes"

    def files(self, root: Path) -> list[Path]:
        """All images and masks; an empty list when a split has no images, or an image no mask."""
        return whole(_pairs(_folder(root), split) for split in PUBLISHED)

    def load(self, root: Path, *, download: bool = False) -> SceneSet:
        """Find the images; nothing can be downloaded.

        Raises:
            MissingData: A split has no images.
            CorruptData: An image has no mask, or is none.
        """
        folder = _folder(root)
        for split in PUBLISHED:
            if not _pairs(folder, split)[0]:
                layout = folder / "leftImg8bit" / split / "<city>" / f"*{IMAGE}"
                hint = f"; the masks lie in gtFine/{split}/<city>/*{MASK}"
                raise missing("Cityscapes", layout, HOME, hint=hint)
        known = {value: number for number, value in enumerate(CLASSES)}
        table = table_of(known, range(IDS))
        train, test = (scene_files(*_pairs(folder, split), table, HOME) for split in PUBLISHED)
        note = "test images are the official val split, as the test labels are not public"
        if (len(train), len(test)) != tuple(PUBLISHED.values()):
            note = f"subset: {len(train)} training and {len(test)} val images, published 2975 and 500; {note}"
        return SceneSet(
            name=self.name,
            train=train,
            test=test,
            validation=None,
            classes=tuple(CLASSES.values()),
            note=note,
            fingerprint=self.fingerprint(root),
        )

    def fingerprint(self, root: Path) -> str:
        """Digest of the names and sizes of all files: there are 12 GB of them, too many to read for an id.

        Of the name and the published counts when they are not all there.
        """
        folder = _folder(root)
        lines = [f"{path.relative_to(folder).as_posix()} {path.stat().st_size}" for path in self.files(root)]
        return official_fingerprint(self.name, lines or [f"{split} {count}" for split, count in PUBLISHED.items()])


def _folder(root: Path) -> Path:
    return next((root / name for name in FOLDERS if (root / name / "leftImg8bit").is_dir()), root / FOLDERS[0])


def _pairs(folder: Path, split: str) -> tuple[list[Path], list[Path]]:
    images = sorted((folder / "leftImg8bit" / split).glob(f"*/*{IMAGE}"))
    masks = folder / "gtFine" / split
    return images, [masks / image.parent.name / (image.name.removesuffix(IMAGE) + MASK) for image in images]
