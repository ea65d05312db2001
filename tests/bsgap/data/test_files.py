import gc
import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from bsgap.data import files
from bsgap.errors import MissingData, UsageError


def test_root_is_the_option_then_the_variable_then_data(monkeypatch):
    monkeypatch.setenv("BSGAP_DATA", "elsewhere")
    assert files.data_root("here") == Path("here")
    assert files.data_root() == Path("elsewhere")
    monkeypatch.delenv("BSGAP_DATA")
    assert files.data_root(None) == Path("data")


def test_digest_is_of_the_content_and_follows_it(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"one")
    assert files.digest(path) == hashlib.sha256(b"one").hexdigest()
    assert files.digest(path, "md5") == hashlib.md5(b"one").hexdigest()
    path.write_bytes(b"two!")
    assert files.digest(path) == hashlib.sha256(b"two!").hexdigest()


def test_digest_of_an_unchanged_file_is_not_computed_again(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"one")
    files.digest(path)
    hits = files._digest.cache_info().hits
    files.digest(path)
    assert files._digest.cache_info().hits == hits + 1


def test_fetch_checks_what_comes(serve, sha, tmp_path):
    folder, address = serve
    (folder / "file").write_bytes(b"content")
    target = tmp_path / "root" / "file"
    assert (
        files.fetch(f"{address}file", "sha256:" + hashlib.sha256(b"content").hexdigest(), target).read_bytes()
        == b"content"
    )


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # pooch leaves the refused response to the collector
@pytest.mark.parametrize("name", ["file", "absent"])
def test_what_is_not_the_published_file_is_not_kept(serve, sha, tmp_path, name):
    folder, address = serve
    (folder / "file").write_bytes(b"a proxy's login page")
    target = tmp_path / "root" / name
    with pytest.raises(MissingData, match=r"could not download http.*by other means") as raised:
        files.fetch(f"{address}{name}", "sha256:" + hashlib.sha256(b"content").hexdigest(), target)
    assert "\n" not in str(raised.value)
    assert list(target.parent.iterdir()) == []
    gc.collect()


def make_archive(path, members):
    with tarfile.open(path, "w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def test_archive_is_unpacked_whole_and_removed(serve, sha, tmp_path):
    folder, address = serve
    make_archive(folder / "set.tar.gz", {"set/one": b"1", "set/two": b"2"})
    root = tmp_path / "root"
    target = files.fetch_archive(f"{address}set.tar.gz", sha(folder / "set.tar.gz"), root, "set")
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {"one": b"1", "two": b"2"}
    assert [path.name for path in root.iterdir()] == ["set"]


def test_archive_cannot_write_outside_its_folder(serve, sha, tmp_path):
    folder, address = serve
    make_archive(folder / "set.tar.gz", {"set/one": b"1", "../../escaped": b"2"})
    with pytest.raises(tarfile.OutsideDestinationError):
        files.fetch_archive(f"{address}set.tar.gz", sha(folder / "set.tar.gz"), tmp_path / "root", "set")
    assert not list(tmp_path.rglob("escaped"))


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="Choose another folder"):
        files.writable_folder(tmp_path / "file" / "data")


def test_folder_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # the superuser may write anywhere
    with pytest.raises(UsageError, match="cannot write"):
        files.writable_folder(tmp_path)
