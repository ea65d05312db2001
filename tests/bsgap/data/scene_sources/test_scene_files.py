"""What a pair of files must be: every way in which it is not gets one line."""

import numpy as np
import pytest
from PIL import Image
from synthetic_scenes import synthetic_camvid

from bsgap.data import SceneData
from bsgap.errors import CorruptData


def save(path, values, **options):
    Image.fromarray(values).save(path, **options)


def label(path):
    with Image.open(path) as mask:
        values = np.array(mask)
    values[3, 4] = 57
    save(path, values)


MASK = np.zeros((12, 16), np.uint8)
IMAGE = np.zeros((12, 16, 3), np.uint8)


@pytest.mark.parametrize(
    ("file", "damage", "words"),
    [
        ("trainannot/train_2.png", label, r"trainannot/train_2.png has a label 57, expected 0 to 11"),
        ("trainannot/train_2.png", lambda path: save(path, MASK[:6]),
         r"train/train_2.png is 16x12 pixels and its mask .*train_2.png is 16x6: they must be of one size"),
        ("trainannot/train_2.png", lambda path: save(path, IMAGE), "an image of kind RGB, expected 8 bits of class"),
        ("train/train_2.png", lambda path: save(path, MASK), "an image of kind L, expected RGB"),
        ("train/train_2.png", lambda path: path.write_bytes(path.read_bytes()[:120]), "is truncated or no image"),
        ("train/train_0.png", lambda path: path.write_text("404"), r"train_0.png is truncated or no image"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("resident", ["always", "never"])
def test_a_pair_that_cannot_be_trained_on(tmp_path, file, damage, words, resident):
    synthetic_camvid(tmp_path)
    damage(tmp_path / "CamVid" / file)
    with pytest.raises(CorruptData, match=words) as raised:
        list(SceneData("camvid", 2, root=str(tmp_path), resident=resident).train_dataloader())
    assert "\n" not in str(raised.value)


def test_images_of_two_sizes(tmp_path):
    synthetic_camvid(tmp_path)
    for folder, values in (("test", IMAGE[:6]), ("testannot", MASK[:6])):
        save(tmp_path / "CamVid" / folder / "test_3.png", values)
    with pytest.raises(CorruptData, match=r"test_3.png is 16x6 pixels, test_0.png 16x12: all images must be of one"):
        SceneData("camvid", 2, root=str(tmp_path)).setup()


def test_a_mask_with_a_palette_holds_its_numbers(tmp_path):
    written = synthetic_camvid(tmp_path)
    path = tmp_path / "CamVid" / "testannot" / "test_0.png"
    image = Image.fromarray(written["test"][1][0])
    image.putpalette([value for number in range(256) for value in (255 - number, 0, number)])
    image.save(path)
    with Image.open(path) as saved:
        assert saved.mode == "P"
    scenes = SceneData("camvid", 2, root=str(tmp_path))
    stored = written["test"][1]
    expected = {np.where(mask == 11, 255, mask).tobytes() for mask in stored}
    assert {mask.byte().numpy().tobytes() for _, masks in scenes.batches("test") for mask in masks} == expected
