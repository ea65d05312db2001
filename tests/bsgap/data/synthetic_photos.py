"""Writer of small synthetic photographs in the folder layout of ImageNet. Nothing in them is real data."""

import numpy as np
from PIL import Image

WNIDS = ("n00000007", "n00000123", "n00004567")
TRAIN, VAL = (6, 4, 5), (2, 3, 1)  # photographs of each class
SIZES = ((40, 30), (30, 45), (33, 33), (64, 24))  # width and height, in turn


def photo(number):
    """A picture of that number: its own colour, brighter to the right and below."""
    width, height = SIZES[number % len(SIZES)]
    row, column = np.mgrid[:height, :width]
    colour = np.random.default_rng(number).integers(0, 100, 3)
    return Image.fromarray((colour + (2 * column + row)[..., None]).clip(0, 255).astype(np.uint8))


def synthetic_imagenet(root, flat=False, folder="imagenet"):
    """Synthetic ImageNet of three classes; `flat` puts the validation images straight into `val` beside their labels.

    Returns:
        By split, the files in the order of class and name, and their classes.
    """
    written, lines, number = {"train": [], "val": []}, ["ImageId,PredictionString"], 0
    for split, counts in (("train", TRAIN), ("val", VAL)):
        for target, (wnid, count) in enumerate(zip(WNIDS, counts, strict=True)):
            for _ in range(count):
                name = f"ILSVRC2012_val_{number:08d}" if split == "val" else f"{wnid}_{number}"
                place = root / folder / split
                path = (place if flat and split == "val" else place / wnid) / f"{name}.JPEG"
                path.parent.mkdir(parents=True, exist_ok=True)
                photo(number).save(path, quality=95)
                written[split].append((path, target))
                if split == "val":
                    lines.append(f"{name},{wnid} 1 2 3 4 {wnid} 5 6 7 8 ")
                number += 1
    if flat:
        (root / folder / "LOC_val_solution.csv").write_text("\n".join(lines) + "\n")
    return {split: (sorted(p for p, _ in pairs), [t for _, t in sorted(pairs)]) for split, pairs in written.items()}
