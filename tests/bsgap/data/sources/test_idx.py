import dataclasses
import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from bsgap.data import sources
from bsgap.data.sources.idx import FASHION, FILES, MNIST
from bsgap.errors import CorruptData, MissingData

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, _ = FILES


@pytest.mark.parametrize("folder", ["MNIST/raw", "MNIST", "mnist", "."])
@pytest.mark.parametrize("ending", [".gz", ""])
def test_synthetic_files_in_every_layout(synthetic_idx, tmp_path, folder, ending):
    arrays = synthetic_idx(tmp_path / folder, ending)
    images = sources.load("mnist", tmp_path)
    assert np.array_equal(images.train_inputs.squeeze(1).numpy(), arrays[TRAIN_IMAGES])
    assert np.array_equal(images.test_inputs.squeeze(1).numpy(), arrays[TEST_IMAGES])
    assert np.array_equal(images.train_targets.numpy(), arrays[TRAIN_LABELS])
    assert (images.train_inputs.dtype, images.train_targets.dtype) == (torch.uint8, torch.int64)
    assert (images.classes, images.scale) == (10, 255.0)


def test_other_files_are_a_stated_subset_with_a_fingerprint_of_their_own(synthetic_idx, tmp_path):
    official = sources.fingerprint("mnist", tmp_path)
    synthetic_idx(tmp_path / "one" / "MNIST", ".gz")
    synthetic_idx(tmp_path / "two" / "MNIST", "")
    images = sources.load("mnist", tmp_path / "one")
    assert images.note.startswith("subset: 40 training examples (4 a class) and 20 test examples (2 a class)")
    prints = [sources.fingerprint("mnist", tmp_path / name) for name in ("one", "two")]
    assert prints == [images.fingerprint] * 2  # the content counts, not the compression
    assert official != images.fingerprint


def test_names_of_the_two_sets_do_not_share_a_folder(synthetic_idx, tmp_path):
    synthetic_idx(tmp_path)
    with pytest.raises(MissingData, match="Fashion-MNIST is not at hand"):
        sources.load("fashion-mnist", tmp_path)
    synthetic_idx(tmp_path / "FashionMNIST" / "raw")
    assert sources.load("fashion-mnist", tmp_path).name == "fashion-mnist"


def test_missing_says_which_file_where_from_and_what_to_set(tmp_path):
    with pytest.raises(MissingData) as raised:
        sources.load("mnist", tmp_path)
    message = str(raised.value)
    for words in (f"{TRAIN_IMAGES}.gz", str(tmp_path), MNIST.home, "BSGAP_DATA", "--data.root", "download"):
        assert words in message
    assert "\n" not in message


def test_missing_names_the_one_file_that_is_missing(synthetic_idx, tmp_path):
    synthetic_idx(tmp_path / "MNIST")
    (tmp_path / "MNIST" / f"{TEST_IMAGES}.gz").unlink()
    with pytest.raises(MissingData, match=f"no {tmp_path}/MNIST/{TEST_IMAGES}.gz"):
        sources.load("mnist", tmp_path)


def truncated_compressed(path):
    path.write_bytes(path.read_bytes()[:-1000])


def truncated_content(path):
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-1]))


def too_long(path):
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + b"x"))


def header_only(path):
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:6]))


def empty(path):
    path.write_bytes(b"")


def web_page(path):
    path.write_bytes(b"<html>log in</html>")


def labels(path):
    shutil.copy(path.parent / f"{TRAIN_LABELS}.gz", path)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (truncated_compressed, "cannot be read"),
        (truncated_content, "promises 31360 bytes, it holds only 31359"),
        (too_long, "promises 31360 bytes, it holds more"),
        (header_only, "truncated within its header"),
        (empty, "is not the IDX file expected"),
        (web_page, "cannot be read"),
        (labels, "begins 00000801, not 00000803"),
    ],
)
def test_damaged_file_is_refused(synthetic_idx, tmp_path, damage, words):
    synthetic_idx(tmp_path / "MNIST")
    path = tmp_path / "MNIST" / f"{TRAIN_IMAGES}.gz"
    damage(path)
    with pytest.raises(CorruptData) as raised:
        sources.load("mnist", tmp_path)
    message = str(raised.value)
    assert words in message
    assert str(path) in message
    assert MNIST.home in message
    assert "\n" not in message


def test_truncated_unpacked_file_is_refused(synthetic_idx, tmp_path):
    synthetic_idx(tmp_path / "MNIST", "")
    path = tmp_path / "MNIST" / TRAIN_LABELS
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(CorruptData, match="promises 40 bytes, it holds only 37"):
        sources.load("mnist", tmp_path)


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        (TRAIN_IMAGES, np.zeros((40, 28, 27), np.uint8), "has images of 28 x 27"),
        (TRAIN_IMAGES, np.zeros((39, 28, 28), np.uint8), "has 40 labels for 39 images"),
        (TRAIN_LABELS, np.full(40, 10, np.uint8), "has a label 10, expected 0 to 9"),
    ],
)
def test_files_that_do_not_belong_together(synthetic_idx, write_idx, tmp_path, name, array, words):
    synthetic_idx(tmp_path / "MNIST")
    write_idx(tmp_path / "MNIST" / f"{name}.gz", array)
    with pytest.raises(CorruptData, match=words):
        sources.load("mnist", tmp_path)


def test_download_fetches_what_is_missing_and_checks_it(synthetic_idx, serve, sha, tmp_path):
    folder, address = serve
    arrays = synthetic_idx(folder)
    digests = {name: sha(folder / f"{name}.gz") for name in FILES}
    source = dataclasses.replace(MNIST, home=address, digests=digests)
    images = source.load(tmp_path / "root", download=True)
    assert np.array_equal(images.test_inputs.squeeze(1).numpy(), arrays[TEST_IMAGES])
    assert images.note == ""
    assert images.fingerprint == source.fingerprint(tmp_path / "root") == source.fingerprint(tmp_path / "nowhere")
    assert (tmp_path / "root" / "MNIST" / "raw" / f"{TRAIN_IMAGES}.gz").is_file()


def test_published_digests_are_of_eight_different_files():
    assert len({*MNIST.digests.values(), *FASHION.digests.values()}) == 8


@pytest.mark.realdata
def test_real_mnist(real_data):
    images = sources.load("mnist", Path(real_data))
    assert (images.train_inputs.shape, images.test_inputs.shape) == ((60000, 1, 28, 28), (10000, 1, 28, 28))
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]  # as published
    assert torch.bincount(images.train_targets).tolist() == counts
    assert images.train_targets[:5].tolist() == [5, 0, 4, 1, 9]
    assert float(images.train_inputs.double().mean()) / 255 == pytest.approx(0.1307, abs=5e-5)
    assert images.note == ""


@pytest.mark.realdata
def test_real_mnist_unpacked_is_the_same_data_set(real_data, tmp_path):
    for path in (Path(real_data) / "MNIST" / "raw").glob("*.gz"):
        (tmp_path / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    images = sources.load("mnist", tmp_path)
    assert images.note == ""
    assert images.fingerprint == sources.fingerprint("mnist", tmp_path / "nowhere")


@pytest.mark.realdata
def test_real_mnist_files_do_not_pass_for_fashion_mnist_nor_for_each_other(real_data, tmp_path):
    shutil.copytree(Path(real_data) / "MNIST" / "raw", tmp_path / "FashionMNIST")
    with pytest.raises(CorruptData, match=r"is MNIST's train-images-idx3-ubyte.gz, not Fashion-MNIST's"):
        sources.load("fashion-mnist", tmp_path)
    shutil.copytree(Path(real_data) / "MNIST" / "raw", tmp_path / "MNIST")
    for kind in ("images-idx3", "labels-idx1"):
        shutil.copy(tmp_path / "MNIST" / f"t10k-{kind}-ubyte.gz", tmp_path / "MNIST" / f"train-{kind}-ubyte.gz")
    with pytest.raises(CorruptData, match=r"is MNIST's t10k-images-idx3-ubyte.gz, not MNIST's train-images"):
        sources.load("mnist", tmp_path)
