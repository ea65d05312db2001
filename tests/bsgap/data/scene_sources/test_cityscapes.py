import numpy as np
import pytest
from synthetic_scenes import synthetic_cityscapes

from bsgap.data import scene_sources
from bsgap.data.scene_sources import cityscapes
from bsgap.errors import CorruptData, MissingData

# The `trainId` of each id 0 to 33 in cityscapesscripts/helpers/labels.py of the data set's authors.
TRAIN_IDS = [255, 255, 255, 255, 255, 255, 255, 0, 1, 255, 255, 2, 3, 4, 255, 255, 255, 5, 255, 6, 7, 8, 9, 10, 11, 12,
             13, 14, 15, 255, 255, 16, 17, 18]  # fmt: skip


@pytest.mark.parametrize("folder", ["cityscapes", "Cityscapes", "."])
def test_ids_become_training_classes(tmp_path, folder):
    written = synthetic_cityscapes(tmp_path / folder)
    found = scene_sources.load("cityscapes", tmp_path)
    for split, scenes in (("train", found.train), ("val", found.test)):
        images, ids = written[split]
        for number in range(len(scenes)):
            image, mask = scenes.read(number)
            assert np.array_equal(image.transpose(1, 2, 0), images[number])
            assert np.array_equal(mask, np.array(TRAIN_IDS)[ids[number]])
    assert found.validation is None
    assert len(found.classes) == 19
    assert (found.classes[0], found.classes[13], found.classes[18]) == ("road", "car", "bicycle")


def test_the_note_says_what_the_test_images_are(tmp_path, monkeypatch):
    synthetic_cityscapes(tmp_path)
    why = "test images are the official val split, as the test labels are not public"
    note = scene_sources.load("cityscapes", tmp_path).note
    assert note == f"subset: 6 training and 3 val images, published 2975 and 500; {why}"
    monkeypatch.setattr(cityscapes, "PUBLISHED", {"train": 6, "val": 3})
    assert cityscapes.CityscapesSource().load(tmp_path).note == why


def test_a_missing_set_says_where_from_and_in_which_layout(tmp_path):
    with pytest.raises(MissingData) as raised:
        scene_sources.load("cityscapes", tmp_path, download=True)
    message = str(raised.value)
    assert "\n" not in message
    for words in ("leftImg8bit/train/<city>/*_leftImg8bit.png", "www.cityscapes-dataset.com", "with a login",
                  "gtFine/train/<city>/*_gtFine_labelIds.png", "BSGAP_DATA"):  # fmt: skip
        assert words in message


def test_masks_of_another_kind_are_not_enough(tmp_path):
    synthetic_cityscapes(tmp_path)
    for mask in (tmp_path / "gtFine" / "train" / "ulm").iterdir():
        mask.rename(mask.with_name(mask.name.replace("labelIds", "color")))
    with pytest.raises(CorruptData, match=r"there is no .*train_0_gtFine_labelIds.png"):
        scene_sources.load("cityscapes", tmp_path)


def test_fingerprint_tells_subsets_apart_without_reading(tmp_path):
    found = {scene_sources.fingerprint("cityscapes", tmp_path)}
    synthetic_cityscapes(tmp_path)
    found.add(scene_sources.fingerprint("cityscapes", tmp_path))
    for path in tmp_path.rglob("train_5_*"):
        path.unlink()
    found.add(scene_sources.fingerprint("cityscapes", tmp_path))
    assert len(found) == 3
