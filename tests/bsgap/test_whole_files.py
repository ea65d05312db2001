"""Files appear whole or not at all."""

import pytest
import torch

from bsgap.errors import UsageError
from bsgap.files import check_writable, whole, write_text

resource = pytest.importorskip("resource")


def test_a_file_appears_whole(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with whole(path) as aside:
        aside.write_text("one")
        assert not path.exists()
        assert aside.parent == path.parent  # on one disk, or the renaming would not be atomic
    assert path.read_text() == "one"
    write_text(path, "two")
    assert path.read_text() == "two"
    assert [item.name for item in path.parent.iterdir()] == ["file.txt"]


def test_an_error_leaves_what_was_there(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "before")
    with pytest.raises(ZeroDivisionError), whole(path) as aside:
        assert [aside.write_text("half"), 1 / 0]
    assert path.read_text() == "before"
    assert [item.name for item in tmp_path.iterdir()] == ["file.txt"]


def test_what_cannot_be_written_is_a_usage_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"could not be written \(Not a directory\)"):
        write_text(tmp_path / "file" / "x" / "y.txt", "text")
    with pytest.raises(UsageError, match=r"is .* writable, and is there space"), whole(tmp_path / "nothing"):
        pass
    with pytest.raises(UsageError, match="cannot write to"):
        check_writable(tmp_path / "file" / "x")
    with pytest.raises(RuntimeError, match="other"), whole(tmp_path / "x"):
        raise RuntimeError("other")


def test_a_full_disk(tmp_path):
    """Where torch's zip writer raises a RuntimeError of its own; a limit on the size of files stands for the disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(UsageError, match=r"x.pt could not be written: is there space"):  # noqa: SIM117
            with whole(tmp_path / "x.pt") as aside:
                torch.save(torch.zeros(10000), aside)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


def test_a_writable_folder_is_made_and_left_empty(tmp_path):
    check_writable(tmp_path / "a" / "b")
    assert not list((tmp_path / "a" / "b").iterdir())
