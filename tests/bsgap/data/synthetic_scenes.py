"""Writers of small synthetic scenes in the folder layouts of CamVid and Cityscapes. Nothing in them is real data."""

import numpy as np
from PIL import Image

COUNTS = {"train": 6, "val": 3, "test": 4}


def write_pair(image, mask, pixels, labels):
    for path, values in ((image, pixels), (mask, labels)):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(path)


def synthetic_camvid(root, size=(12, 16), counts=COUNTS):
    """Synthetic CamVid; by split, images [n, h, w, 3] and stored labels [n, h, w] in the order of the file names."""
    return {
        split: _pairs(
            root / "CamVid" / split, root / "CamVid" / f"{split}annot", count, size, 12, f"{split}_{{}}.png", "{}"
        )
        for split, count in counts.items()
    }


def synthetic_cityscapes(root, size=(12, 16), counts=COUNTS):
    """Synthetic Cityscapes of one city a split; as `synthetic_camvid`, with the 34 ids."""
    written = {}
    for split in ("train", "val"):
        image, mask = root / "leftImg8bit" / split / "ulm", root / "gtFine" / split / "ulm"
        name = f"{split}_{{}}_leftImg8bit.png"
        written[split] = _pairs(image, mask, counts[split], size, 34, name, ("leftImg8bit", "gtFine_labelIds"))
    return written


def _pairs(image_folder, mask_folder, count, size, labels, name, mask_name):
    random = np.random.default_rng(count)
    images = random.integers(0, 256, (count, *size, 3), dtype=np.uint8)
    masks = random.integers(0, labels, (count, *size), dtype=np.uint8)
    for number in range(count):
        image = name.format(number)
        mask = image.replace(*mask_name) if isinstance(mask_name, tuple) else mask_name.format(image)
        write_pair(image_folder / image, mask_folder / mask, images[number], masks[number])
    return images, masks
