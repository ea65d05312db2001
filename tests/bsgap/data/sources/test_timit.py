import numpy as np
import pytest
import torch

from bsgap.data import sources
from bsgap.errors import CorruptData, MissingData


@pytest.fixture
def folder(tmp_path):
    """A synthetic prepared folder: 30 + 10 frames of 7 classes."""
    random = np.random.default_rng(0)
    folder = tmp_path / "timit"
    folder.mkdir()
    for split, count in (("train", 30), ("test", 10)):
        np.save(folder / f"X_{split}.npy", random.normal(size=(count, 360)).astype(np.float32))
        np.save(folder / f"y_{split}.npy", (np.arange(count) % 7).astype(np.int32))
    return folder


def test_synthetic_frames(folder, tmp_path):
    images = sources.load("timit", tmp_path)
    assert torch.equal(images.train_inputs, torch.from_numpy(np.load(folder / "X_train.npy")))
    assert images.test_targets.tolist() == [index % 7 for index in range(10)]
    assert images.train_targets.dtype == torch.int64
    assert (images.classes, images.scale) == (7, 1.0)
    assert "30 training and 10 test frames, 7 classes" in images.note


def test_fingerprint_follows_the_files(folder, tmp_path):
    first = sources.fingerprint("timit", tmp_path)
    assert sources.load("timit", tmp_path).fingerprint == first
    np.save(folder / "y_test.npy", np.zeros(10, dtype=np.int64))
    assert sources.fingerprint("timit", tmp_path) != first
    assert sources.load("timit", tmp_path).test_targets.sum() == 0
    assert len({first, sources.fingerprint("timit", tmp_path), sources.fingerprint("timit", tmp_path / "no")}) == 3


@pytest.mark.parametrize("download", [False, True])
def test_missing_says_that_it_is_licensed_and_what_to_prepare(tmp_path, download):
    with pytest.raises(MissingData) as raised:
        sources.load("timit", tmp_path, download=download)
    message = str(raised.value)
    for words in ("licensed", "X_*.npy float32 [n, 360]", "X_train.npy", "LDC93S1", "BSGAP_DATA"):
        assert words in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("X_train", np.zeros((30, 359), np.float32), r"must be float32 \[n, 360\], got float32 \[30, 359\]"),
        ("X_test", np.zeros((10, 360)), r"must be float32 \[n, 360\], got float64"),
        ("X_train", np.full((30, 360), np.nan, np.float32), "not finite"),
        ("y_train", np.zeros(29, np.int64), "must be 30 integers"),
        ("y_test", np.zeros(10), "must be 10 integers, got float64"),
        ("y_test", np.full(10, -1), "negative class number -1"),
    ],
)
def test_wrong_arrays_are_refused(folder, tmp_path, name, array, words):
    np.save(folder / f"{name}.npy", array)
    with pytest.raises(CorruptData, match=words):
        sources.load("timit", tmp_path)


def test_truncated_array_is_refused(folder, tmp_path):
    path = folder / "X_train.npy"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CorruptData, match="cannot be read as a NumPy array"):
        sources.load("timit", tmp_path)


def test_pickled_array_is_refused(folder, tmp_path):
    np.save(folder / "X_train.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(CorruptData, match="cannot be read as a NumPy array"):
        sources.load("timit", tmp_path)
