import gc
import hashlib
import http.server
import io
import os
import tarfile
import threading
from functools import partial
from pathlib import Path

import pytest

from bsgap.data import files
from bsgap.errors import MissingData, UsageError


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture()
def home(tmp_path):
    """A folder and the address under which a local server hands it out."""
    folder = tmp_path / "home"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


def sha(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


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


def test_fetch_checks_what_comes(home, tmp_path):
    folder, address = home
    (folder / "file").write_bytes(b"content")
    target = tmp_path / "root" / "file"
    assert files.fetch(f"{address}file", sha(b"content"), target).read_bytes() == b"content"


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # pooch leaves the refused response to the collector
@pytest.mark.parametrize("name", ["file", "absent"])
def test_what_is_not_the_published_file_is_not_kept(home, tmp_path, name):
    folder, address = home
    (folder / "file").write_bytes(b"a proxy's login page")
    target = tmp_path / "root" / name
    with pytest.raises(MissingData, match="could not download http.*by other means") as raised:
        files.fetch(f"{address}{name}", sha(b"content"), target)
    assert "\n" not in str(raised.value)
    assert list(target.parent.iterdir()) == []
    gc.collect()


def make_archive(path, members):
    with tarfile.open(path, "w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def test_archive_is_unpacked_whole_and_removed(home, tmp_path):
    folder, address = home
    make_archive(folder / "set.tar.gz", {"set/one": b"1", "set/two": b"2"})
    root = tmp_path / "root"
    target = files.fetch_archive(f"{address}set.tar.gz", sha((folder / "set.tar.gz").read_bytes()), root, "set")
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {"one": b"1", "two": b"2"}
    assert [path.name for path in root.iterdir()] == ["set"]


def test_archive_cannot_write_outside_its_folder(home, tmp_path):
    folder, address = home
    make_archive(folder / "set.tar.gz", {"set/one": b"1", "../../escaped": b"2"})
    with pytest.raises(tarfile.OutsideDestinationError):
        files.fetch_archive(f"{address}set.tar.gz", sha((folder / "set.tar.gz").read_bytes()), tmp_path / "root", "set")
    assert not list(tmp_path.rglob("escaped"))


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="Choose another folder"):
        files.writable_folder(tmp_path / "file" / "data")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folder_that_cannot_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="cannot write"):
        files.writable_folder(tmp_path)
