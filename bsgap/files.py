"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bsgap.errors import UsageError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a path aside to write to; on leaving without an error, flush it to disk and rename it to `path`.

    Raises:
        UsageError: Nothing was written, or the folder cannot be written to.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        if not aside.exists():  # Lightning saves nothing, silently, where it may not write
            raise UsageError(f"{path} could not be written: is {path.parent} writable, and is there space?")
        with aside.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(aside, path)
    except OSError as error:
        raise UsageError(f"{path} could not be written ({error.strerror}). Choose another folder.") from None
    except RuntimeError as error:
        if "inline_container" not in str(error):  # what torch's zip writer says when the disk is full
            raise
        raise UsageError(f"{path} could not be written: is there space in {path.parent}?") from None
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all."""
    with whole(path) as aside:
        aside.write_text(text, encoding="utf-8")


def check_writable(folder: Path) -> None:
    """Make `folder` if it is absent, and write in it, so that a run fails at its start and not at its end.

    Raises:
        UsageError: It cannot be made or written to.
    """
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write to {folder} ({error.strerror}). Choose another folder.") from None
