import dataclasses
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from bsgap.data import sources
from bsgap.data.sources.cifar import CIFAR10, CIFAR100
from bsgap.errors import CorruptData, MissingData

FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
@pytest.mark.parametrize(("binary", "protocol"), [(True, 2), (False, 2), (False, 5)])
def test_synthetic_files_of_both_versions(synthetic_cifar, tmp_path, name, binary, protocol):
    arrays = synthetic_cifar(tmp_path, name, binary, protocol)
    *train, test = arrays.values()
    images = sources.load(name, tmp_path)
    assert np.array_equal(images.train_inputs.flatten(1).numpy(), np.concatenate([part[0] for part in train]))
    assert images.train_targets.tolist() == [label for part in train for label in part[1]]
    assert np.array_equal(images.test_inputs.flatten(1).numpy(), test[0])
    assert images.test_targets.tolist() == test[1]
    assert images.train_inputs.shape[1:] == (3, 32, 32)
    assert (images.train_inputs.dtype, images.train_targets.dtype) == (torch.uint8, torch.int64)
    assert (images.classes, images.scale) == ({"cifar10": 10, "cifar100": 100}[name], 255.0)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_both_versions_of_other_content_have_one_fingerprint_and_are_called_a_subset(synthetic_cifar, tmp_path, name):
    prints = {sources.fingerprint(name, tmp_path)}
    for version in ("python", "binary"):
        synthetic_cifar(tmp_path / version, name, version == "binary")
        images = sources.load(name, tmp_path / version)
        assert images.fingerprint == sources.fingerprint(name, tmp_path / version)
        assert images.note.startswith("subset: ")
        assert images.note.endswith("published 50000 and 10000")
        prints.add(images.fingerprint)
    assert len(prints) == 2


def test_missing_says_which_file_where_from_and_what_to_set(tmp_path):
    with pytest.raises(MissingData) as raised:
        sources.load("cifar10", tmp_path)
    message = str(raised.value)
    for words in (
        "cifar-10-batches-py/data_batch_1",
        "cifar-10-python.tar.gz",
        "BSGAP_DATA",
        "--data.root",
        "download",
    ):
        assert words in message
    assert "\n" not in message


def test_one_missing_part_is_named(synthetic_cifar, tmp_path):
    synthetic_cifar(tmp_path)
    (tmp_path / FOLDERS["cifar10"] / "data_batch_3").unlink()
    with pytest.raises(MissingData, match="data_batch_3"):
        sources.load("cifar10", tmp_path)


def test_archive_that_was_not_unpacked_is_pointed_out(tmp_path):
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"")
    with pytest.raises(MissingData, match=r"is there, but not unpacked: tar -xf cifar-10-python\.tar\.gz"):
        sources.load("cifar10", tmp_path)


@pytest.mark.parametrize("keep", [0, 10, 40_000, -1])
def test_truncated_pickle_is_refused(synthetic_cifar, tmp_path, keep):
    synthetic_cifar(tmp_path)
    path = tmp_path / FOLDERS["cifar10"] / "data_batch_2"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CorruptData, match="is truncated or not a pickle") as raised:
        sources.load("cifar10", tmp_path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_truncated_binary_is_refused(synthetic_cifar, tmp_path):
    synthetic_cifar(tmp_path, binary=True)
    path = tmp_path / "cifar-10-batches-bin" / "test_batch.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptData, match="is truncated: 61459 bytes are no multiple of the 3073"):
        sources.load("cifar10", tmp_path)


IMAGES = np.zeros((4, 3072), dtype=np.uint8)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1, 2], "holds a list, expected a dictionary"),
        ({b"data": IMAGES, b"fine_labels": [0] * 4}, "is not CIFAR-10's: it has"),
        ({b"data": IMAGES, b"labels": [0] * 3}, "has 3 labels for 4 images"),
        ({b"data": IMAGES[:0].copy(), b"labels": []}, "has 0 labels for 0 images"),
        ({b"data": IMAGES, b"labels": [0, 1, 2, 10]}, "labels from 0 to 10, expected 0 to 9"),
        ({b"data": IMAGES, b"labels": [0, 1, 2, -1]}, "labels from -1 to 2, expected 0 to 9"),
        ({b"data": IMAGES, b"labels": ["cat"] * 4}, "has no integers under labels"),
        ({b"data": IMAGES[:, 1:], b"labels": [0] * 4}, "has no uint8 array of 3072 pixels"),
        ({b"data": IMAGES.astype(float), b"labels": [0] * 4}, "has no uint8 array of 3072 pixels"),
        ({b"data": "pixels", b"labels": [0] * 4}, "has no uint8 array of 3072 pixels"),
    ],
)
def test_wrong_content_is_refused(synthetic_cifar, tmp_path, content, words):
    synthetic_cifar(tmp_path)
    (tmp_path / FOLDERS["cifar10"] / "test_batch").write_bytes(pickle.dumps(content, protocol=3))
    with pytest.raises(CorruptData, match=words):
        sources.load("cifar10", tmp_path)


def test_download_unpacks_the_checked_archive(synthetic_cifar, serve, sha, monkeypatch, tmp_path):
    folder, address = serve
    arrays = synthetic_cifar(tmp_path / "made", "cifar100")
    with tarfile.open(folder / "cifar-100-python.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "made" / "cifar-100-python", "cifar-100-python")
    monkeypatch.setattr("bsgap.data.sources.cifar.HOME", address)
    archive = ("cifar-100-python.tar.gz", sha(folder / "cifar-100-python.tar.gz"))
    digests = {name: sha(tmp_path / "made" / "cifar-100-python" / name) for name in ("train", "test")}
    source = dataclasses.replace(CIFAR100, archive=archive, digests=digests)
    images = source.load(tmp_path / "root", download=True)
    assert images.test_targets.tolist() == arrays["test"][1]
    assert images.note == ""
    assert images.fingerprint == source.fingerprint(tmp_path / "nowhere")


@pytest.mark.realdata
def test_real_cifar10(real_data):
    images = sources.load("cifar10", Path(real_data))
    assert torch.bincount(images.train_targets).tolist() == [5000] * 10
    assert torch.bincount(images.test_targets).tolist() == [1000] * 10
    assert images.train_targets[:5].tolist() == [6, 9, 9, 4, 1]
    assert images.test_targets[:5].tolist() == [3, 8, 8, 0, 6]
    channels = images.train_inputs.numpy().mean(axis=(0, 2, 3)) / 255
    assert channels.tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=5e-5)
    assert images.note == ""


@pytest.mark.realdata
def test_real_cifar10_in_the_binary_version_is_the_same_data_set(real_data, tmp_path):
    source = Path(real_data)
    folder = tmp_path / CIFAR10.folders[1]
    folder.mkdir()
    for path in CIFAR10.files(source):
        with open(path, "rb") as file:
            values = pickle.load(file, encoding="bytes")
        labels = np.asarray(values[b"labels"], dtype=np.uint8)
        np.column_stack([labels, values[b"data"]]).tofile(folder / f"{path.name}.bin")
    images = sources.load("cifar10", tmp_path)
    assert images.note == ""
    assert images.fingerprint == sources.fingerprint("cifar10", source)
    assert torch.equal(images.test_inputs, sources.load("cifar10", source).test_inputs)


@pytest.mark.realdata
def test_real_cifar100_subset_is_never_called_the_whole(real_data, tmp_path):
    images = sources.load("cifar100", Path(real_data))
    assert torch.bincount(images.train_targets).tolist() == [80] * 100
    assert torch.bincount(images.test_targets).tolist() == [20] * 100
    assert images.note.startswith("subset: 8000 training examples (80 a class) and 2000 test examples (20 a class)")
    assert images.fingerprint != sources.fingerprint("cifar100", tmp_path)
