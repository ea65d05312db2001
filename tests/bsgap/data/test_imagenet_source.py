import numpy as np
import pytest
from PIL import Image
from synthetic_photos import TRAIN, VAL, WNIDS, synthetic_imagenet

from bsgap.data import photo_sources
from bsgap.data.photo_sources import imagenet
from bsgap.errors import CorruptData, MissingData


def load(root):
    return photo_sources.load("imagenet", root)


@pytest.mark.parametrize("folder", imagenet.FOLDERS)
@pytest.mark.parametrize("flat", [False, True])
def test_every_photo_has_the_class_of_its_folder(tmp_path, folder, flat):
    written = synthetic_imagenet(tmp_path, flat, folder)
    found = load(tmp_path)
    assert found.classes == WNIDS
    for split, photos in (("train", found.train), ("val", found.test)):
        paths, targets = written[split]
        assert [photos.folder / name for name in photos.names] == paths
        assert photos.targets.tolist() == targets
        for number, path in enumerate(paths):
            assert np.array_equal(photos.read(number), Image.open(path).convert("RGB"))


def test_labels_may_lie_where_the_kaggle_release_has_them(tmp_path):
    written = synthetic_imagenet(tmp_path, flat=True, folder="ILSVRC/Data/CLS-LOC")
    (tmp_path / "ILSVRC/Data/CLS-LOC" / imagenet.LABELS).rename(tmp_path / imagenet.LABELS)
    assert load(tmp_path).test.targets.tolist() == written["val"][1]


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_print_photos_become_rgb(tmp_path, mode):
    paths, _ = synthetic_imagenet(tmp_path)["train"]
    Image.open(paths[0]).convert(mode).save(paths[0])
    assert load(tmp_path).train.read(0).mode == "RGB"


def test_the_note_says_what_there_is(tmp_path, monkeypatch):
    synthetic_imagenet(tmp_path)
    why = "test images are the official val split, as the test labels are not public"
    assert load(tmp_path).note == (
        "3 of 1000 classes, subset: 15 training examples (4 to 6 a class) and 6 test examples (1 to 3 a class), "
        f"published 1281167 and 50000; {why}"
    )
    monkeypatch.setattr(imagenet, "PUBLISHED", (sum(TRAIN), sum(VAL)))
    monkeypatch.setattr(imagenet, "CLASSES", 3)
    assert imagenet.ImageNetSource().load(tmp_path).note == why


def test_a_missing_set_says_where_from_and_in_which_layout(tmp_path):
    with pytest.raises(MissingData) as raised:
        photo_sources.load("imagenet", tmp_path, download=True)
    message = str(raised.value)
    assert "\n" not in message
    for words in ("imagenet/train/<wnid>/*.JPEG", "image-net.org", "with a login", "val/<wnid>/", "BSGAP_DATA",
                  "LOC_val_solution.csv", "one folder a class"):  # fmt: skip
        assert words in message


def test_what_is_missing_of_the_validation_images_is_named(tmp_path):
    synthetic_imagenet(tmp_path, flat=True)
    folder = tmp_path / "imagenet"
    (folder / imagenet.LABELS).unlink()
    with pytest.raises(MissingData, match=r"validation labels is not at hand: no .*imagenet/LOC_val_solution\.csv"):
        load(tmp_path)
    for path in (folder / "val").iterdir():
        path.unlink()
    assert photo_sources.get("imagenet").files(tmp_path) == []
    with pytest.raises(MissingData, match=r"no .*imagenet/val/<wnid>/\*\.JPEG"):
        load(tmp_path)
    (folder / "val" / WNIDS[0]).mkdir()
    with pytest.raises(MissingData, match=r"no .*imagenet/val/<wnid>/\*\.JPEG"):
        load(tmp_path)


def test_a_class_without_images_is_refused(tmp_path):
    synthetic_imagenet(tmp_path)
    (tmp_path / "imagenet/train/n00009999").mkdir()
    with pytest.raises(CorruptData, match=r"train/n00009999 has no \*\.JPEG\. .* or remove it"):
        load(tmp_path)


def test_a_validation_image_of_no_known_class_is_refused(tmp_path):
    synthetic_imagenet(tmp_path / "one")
    (tmp_path / "one/imagenet/val" / WNIDS[0]).rename(tmp_path / "one/imagenet/val/n00000001")
    with pytest.raises(
        CorruptData, match=r"val gives val/n00000001/.* class 'n00000001', which has no training images"
    ):
        load(tmp_path / "one")
    synthetic_imagenet(tmp_path / "two", flat=True)
    labels = tmp_path / "two/imagenet" / imagenet.LABELS
    labels.write_text("".join(labels.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(CorruptData, match=r"LOC_val_solution\.csv gives val/ILSVRC2012_val_00000020\.JPEG no class"):
        load(tmp_path / "two")


@pytest.mark.parametrize("text", ["", "a,b\n", "ImageId,PredictionString\nILSVRC2012_val_00000001\n"])
def test_labels_in_another_format_are_refused(tmp_path, text):
    synthetic_imagenet(tmp_path, flat=True)
    (tmp_path / "imagenet" / imagenet.LABELS).write_text(text)
    with pytest.raises(CorruptData, match="is not lines of ImageId,PredictionString") as raised:
        load(tmp_path)
    assert "\n" not in str(raised.value)


def test_a_damaged_photo_is_named_when_it_is_read(tmp_path):
    paths, _ = synthetic_imagenet(tmp_path)["train"]
    paths[2].write_bytes(paths[2].read_bytes()[:200])
    train = load(tmp_path).train
    train.read(1)
    with pytest.raises(CorruptData, match=rf"{paths[2].name} is truncated or no image .*image-net\.org"):
        train.read(2)


def test_fingerprint_tells_subsets_and_labels_apart_without_reading(tmp_path, monkeypatch):
    found = [photo_sources.fingerprint("imagenet", tmp_path)]
    written = synthetic_imagenet(tmp_path, flat=True)
    monkeypatch.setattr(Image, "open", None)
    found.append(photo_sources.fingerprint("imagenet", tmp_path))
    assert photo_sources.fingerprint("imagenet", tmp_path) == load(tmp_path).fingerprint == found[-1]
    labels = tmp_path / "imagenet" / imagenet.LABELS
    labels.write_text(labels.read_text().replace(WNIDS[0], WNIDS[1]))
    found.append(photo_sources.fingerprint("imagenet", tmp_path))
    path = written["train"][0][0]
    path.write_bytes(path.read_bytes() + b"0")
    found.append(photo_sources.fingerprint("imagenet", tmp_path))
    path.unlink()
    found.append(photo_sources.fingerprint("imagenet", tmp_path))
    assert len(set(found)) == len(found)
