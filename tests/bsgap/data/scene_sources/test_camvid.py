import numpy as np
import pytest
from synthetic_scenes import synthetic_camvid

from bsgap.data import SceneData, scene_sources
from bsgap.data.scene_sources.camvid import CLASSES
from bsgap.errors import CorruptData, MissingData


def test_images_and_masks_are_those_written_and_void_is_ignored(tmp_path):
    written = synthetic_camvid(tmp_path)
    found = scene_sources.load("camvid", tmp_path)
    for split, scenes in (("train", found.train), ("val", found.validation), ("test", found.test)):
        images, labels = written[split]
        assert (len(scenes), scenes.size) == (len(images), (12, 16))
        for number in range(len(scenes)):
            image, mask = scenes.read(number)
            assert np.array_equal(image.transpose(1, 2, 0), images[number])
            assert np.array_equal(mask, np.where(labels[number] == 11, 255, labels[number]))
    assert len(found.classes) == 11


def test_a_subset_is_called_one(tmp_path):
    synthetic_camvid(tmp_path)
    assert scene_sources.load("camvid", tmp_path).note == (
        "subset: 6 training, 3 validation and 4 test images, published 367 training, 101 validation and 233 test images"
    )


def test_as_many_images_as_published_are_no_subset(tmp_path):
    synthetic_camvid(tmp_path, size=(2, 2), counts={"train": 367, "val": 101, "test": 233})
    assert scene_sources.load("camvid", tmp_path).note == ""


def test_a_missing_set_says_where_from(tmp_path):
    with pytest.raises(
        MissingData, match=r"no .*CamVid/train/\*.png. Get it from https://github.com/.*SegNet"
    ) as raised:
        scene_sources.load("camvid", tmp_path)
    assert "\n" not in str(raised.value)
    assert scene_sources.get("camvid").files(tmp_path) == []


def test_an_image_without_a_mask_is_named(tmp_path):
    synthetic_camvid(tmp_path)
    (tmp_path / "CamVid" / "valannot" / "val_1.png").unlink()
    with pytest.raises(CorruptData, match=r"val/val_1.png has no mask: there is no .*valannot/val_1.png"):
        scene_sources.load("camvid", tmp_path)


def test_fingerprint_follows_the_content(tmp_path):
    absent = scene_sources.fingerprint("camvid", tmp_path)
    written = synthetic_camvid(tmp_path)
    found = scene_sources.fingerprint("camvid", tmp_path)
    assert len({absent, found}) == 2
    path = tmp_path / "CamVid" / "trainannot" / "train_0.png"
    data = bytearray(path.read_bytes())
    data[-20] ^= 1  # of the same size
    path.write_bytes(data)
    assert scene_sources.fingerprint("camvid", tmp_path) != found
    synthetic_camvid(tmp_path)
    assert scene_sources.fingerprint("camvid", tmp_path) == found
    assert written["train"][0].shape == (6, 12, 16, 3)


@pytest.mark.realdata
def test_the_real_subset(real_data):
    scenes = SceneData("camvid", 2, root=real_data, shrink=4, validation_examples=17)
    assert scenes.note.startswith("subset: 62 training, 17 validation and 20 test images")
    assert (scenes.n_train, scenes.n_test, scenes.in_shape, scenes.class_names) == (62, 20, (3, 90, 120), CLASSES)
    inputs, targets = next(iter(scenes.batches("train", batch_size=62)))
    counts = np.bincount(targets.flatten().numpy(), minlength=256)
    assert set(np.flatnonzero(counts)) == {*range(11), 255}
    # Road, building and sky are the three most frequent classes of CamVid; the sky is bright, and above the road.
    assert {CLASSES[number] for number in counts[:11].argsort()[-3:]} == {"road", "building", "sky"}
    brightness, (_, rows, _) = inputs.mean(1), np.indices(targets.shape)
    sky, road = targets == CLASSES.index("sky"), targets == CLASSES.index("road")
    assert brightness[sky].mean() > 1.5 * brightness[road].mean()
    assert rows[sky.numpy()].mean() < 30 < 60 < rows[road.numpy()].mean()
