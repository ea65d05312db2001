"""SVHN against small synthetic files that scipy writes in the original format. Nothing in them is real data."""

import numpy as np
import pytest
import torch
from scipy.io import savemat

from bsgap.data import ImageData, sources
from bsgap.data.sources import svhn
from bsgap.errors import CorruptData, MissingData

COUNTS = {"train_32x32.mat": 30, "extra_32x32.mat": 20, "test_32x32.mat": 20}


def synthetic(folder, names=tuple(COUNTS)):
    """Synthetic files; their pixels [n, 3, 32, 32] and labels by name."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    written = {}
    for name in names:
        pixels = random.integers(0, 256, (COUNTS[name], 3, 32, 32), dtype=np.uint8)
        labels = np.arange(COUNTS[name]) % 10
        # The original arrays: rows, columns, colours, images; and the digit 0 is written as 10.
        stored = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]
        savemat(folder / name, {"X": pixels.transpose(2, 3, 1, 0), "y": stored}, do_compression=True)
        written[name] = pixels, labels
    return written


@pytest.mark.parametrize("folder", ["SVHN", "svhn", "."])
def test_images_and_labels_are_those_written(tmp_path, folder):
    written = synthetic(tmp_path / folder)
    images = sources.load("svhn", tmp_path)
    for split, name in (("train", "train_32x32.mat"), ("test", "test_32x32.mat")):
        assert np.array_equal(getattr(images, f"{split}_inputs").numpy(), written[name][0])
        assert getattr(images, f"{split}_targets").tolist() == written[name][1].tolist()
    assert images.train_targets.dtype == torch.int64
    assert (images.classes, images.scale) == (10, 255.0)
    assert images.note == (
        "subset: 30 training examples (3 a class) and 20 test examples (2 a class), published 73257 and 26032"
    )


def test_extra_images_follow_the_training_images(tmp_path):
    written = synthetic(tmp_path / "SVHN")
    images = sources.load("svhn-extra", tmp_path)
    expected = np.concatenate([written[name][0] for name in ("train_32x32.mat", "extra_32x32.mat")])
    assert np.array_equal(images.train_inputs.numpy(), expected)
    assert len(images.test_targets) == 20
    assert "published 604388 and 26032" in images.note


def test_fingerprint_is_that_of_the_content_or_of_the_published_files(tmp_path, monkeypatch, sha):
    absent = {name: sources.fingerprint(name, tmp_path) for name in ("svhn", "svhn-extra")}
    assert absent["svhn"] != absent["svhn-extra"]
    synthetic(tmp_path / "SVHN")
    found = sources.load("svhn", tmp_path).fingerprint
    assert found == sources.fingerprint("svhn", tmp_path) != absent["svhn"]
    # As if these files were the published ones: no note, and the fingerprint is the digests', not the content's.
    monkeypatch.setattr(svhn, "DIGESTS", {name: sha(tmp_path / "SVHN" / name) for name in COUNTS})
    published = svhn.SVHN.load(tmp_path)
    assert (published.note, published.fingerprint) == ("", sources.fingerprint("svhn", tmp_path))
    assert published.fingerprint != found


def test_a_missing_file_is_named_with_its_home(tmp_path):
    with pytest.raises(MissingData, match=r"no .*train_32x32.mat. Get it from http://ufldl.stanford.edu/housenumbers/"):
        sources.load("svhn", tmp_path)
    synthetic(tmp_path / "SVHN", ["train_32x32.mat", "test_32x32.mat"])
    assert svhn.SVHN.files(tmp_path)
    assert not svhn.SVHN_EXTRA.files(tmp_path)
    with pytest.raises(MissingData, match=r"no .*extra_32x32.mat") as raised:
        sources.load("svhn-extra", tmp_path)
    assert "\n" not in str(raised.value)


def test_download_is_checked_by_digest(tmp_path, serve, monkeypatch, sha):
    home, address = serve
    written = synthetic(home)
    monkeypatch.setattr(svhn, "HOME", address)
    monkeypatch.setattr(svhn, "DIGESTS", {name: sha(home / name) for name in COUNTS})
    images = svhn.SVHN.load(tmp_path, download=True)
    assert np.array_equal(images.test_inputs.numpy(), written["test_32x32.mat"][0])
    monkeypatch.setitem(svhn.DIGESTS, "extra_32x32.mat", "sha256:" + "0" * 64)
    with pytest.raises(MissingData, match="could not download"):
        svhn.SVHN_EXTRA.load(tmp_path, download=True)


def _truncated(path):
    path.write_bytes(path.read_bytes()[:-500])


def _text(path):
    path.write_text("<html>404</html>")


def _written(**arrays):
    return lambda path: savemat(path, arrays)


PIXELS = np.zeros((32, 32, 3, 2), np.uint8)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_truncated, "truncated or not a MATLAB file"),
        (_text, "truncated or not a MATLAB file"),
        (_written(X=PIXELS), "does not hold the arrays X and y"),
        (_written(X=PIXELS[:16], y=np.ones((2, 1), np.uint8)), r"uint8 \[16, 32, 3, 2\] under X"),
        (_written(X=PIXELS.astype(np.float64), y=np.ones((2, 1), np.uint8)), "float64"),
        (_written(X=PIXELS, y=np.ones((3, 1), np.uint8)), "3 labels for 2 images"),
        (_written(X=PIXELS, y=np.full((2, 1), 11, np.uint8)), "labels from 11 to 11, expected 1 to 10"),
    ],
)
def test_a_file_that_is_not_what_it_should_be(tmp_path, damage, words):
    synthetic(tmp_path / "SVHN")
    damage(tmp_path / "SVHN" / "train_32x32.mat")
    with pytest.raises(CorruptData, match=words) as raised:
        sources.load("svhn", tmp_path)
    assert "train_32x32.mat" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_through_the_data_module(tmp_path):
    synthetic(tmp_path / "SVHN")
    images = ImageData("svhn", 8, root=str(tmp_path), train_fraction=0.5, augment="crop-flip")
    inputs, targets = next(iter(images.train_dataloader()))
    assert (inputs.shape, targets.shape, images.n_train) == ((8, 3, 32, 32), (8,), 15)
