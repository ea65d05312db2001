import os
import shutil

import pytest

from bsgap.data import sources
from bsgap.errors import UsageError


def test_names():
    known = ("digits", "mnist", "fashion-mnist", "cifar10", "cifar100", "svhn", "svhn-extra", "timit")
    assert known == sources.NAMES


@pytest.mark.parametrize("function", [sources.load, sources.fingerprint])
def test_unknown_name(tmp_path, function):
    with pytest.raises(UsageError, match=r"must be one of digits, mnist.* got 'minst'"):
        function("minst", tmp_path)


@pytest.mark.parametrize("name", sources.NAMES)
def test_fingerprint_without_the_files(tmp_path, name):
    assert len(sources.fingerprint(name, tmp_path)) == 64


def test_fingerprints_differ(tmp_path):
    assert len({sources.fingerprint(name, tmp_path) for name in sources.NAMES}) == len(sources.NAMES)


def test_the_latest_set_is_kept_until_its_files_change(synthetic_cifar, tmp_path):
    synthetic_cifar(tmp_path, "cifar100")
    first = sources.load("cifar100", tmp_path)
    assert sources.load("cifar100", tmp_path) is first
    shutil.rmtree(tmp_path / "cifar-100-python")
    synthetic_cifar(tmp_path, "cifar100")
    os.utime(tmp_path / "cifar-100-python" / "train", ns=(0, 0))
    assert sources.load("cifar100", tmp_path) is not first
