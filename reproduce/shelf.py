"""Reading runs off a store: done or not, sound or corrupt, each checked once a process."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from bsgap.errors import CorruptData, UsageError
from reproduce import entry
from reproduce.aside import Aside
from reproduce.entry import DONE, RECORD, Run
from reproduce.locks import Locks

_Stamp = tuple[int, int, int]


class Shelf:
    """Runs at `root`, then in the `published` folders. What is corrupt at `root` is set aside when it is met.

    Args:
        root: Folder of the store.
        published: Read-only folders with the same layout.
        locks: Claims on the runs at `root`.
        aside: Where corrupt runs go, and where warnings are kept.
    """

    def __init__(self, root: Path, published: Sequence[Path], locks: Locks, aside: Aside):
        self.root, self.published = root, tuple(published)
        self._locks, self._aside = locks, aside
        self._done: dict[Path, tuple[_Stamp, Run]] = {}

    def find(self, run_id: str) -> Run | None:
        """The run if it is done, here or published, and sound."""
        for base in (self.root, *self.published):
            if run := self._read_done(base / "runs" / run_id, published=base is not self.root):
                return run
        return None

    def _read_done(self, folder: Path, *, published: bool) -> Run | None:
        stamp = _stamp(folder / RECORD)
        if stamp is None:
            return None
        known = self._done.get(folder)
        if known and known[0] == stamp:
            return known[1]
        try:
            record = entry.read_record(folder)
            if record is None or record["status"] not in DONE:
                return None
            entry.verify(folder, record)
        except CorruptData as error:
            if published:
                self._aside.warn(f"published run {folder} is corrupt ({error}) and not used")
            else:
                self.set_aside(folder.name, str(error), judged=stamp)
            return None
        on_corrupt = partial(self.set_aside, folder.name, judged=stamp)
        run = Run(folder.name, record["status"], folder, published, record, on_corrupt)
        self._done[folder] = (stamp, run)
        return run

    def record(self, run_id: str) -> dict[str, Any] | None:
        """The local record, of a sound run or of an unfinished one."""
        if run := self._read_done(self.root / "runs" / run_id, published=False):
            return run.record
        try:
            record = entry.read_record(self.root / "runs" / run_id)
        except CorruptData as error:
            self.set_aside(run_id, str(error))
            return None
        # One that says done although it was not read as done is corrupt, and could not be set aside.
        return None if record is None or record["status"] in DONE else record

    def set_aside(self, run_id: str, reason: str, *, judged: _Stamp | None = None) -> None:
        """Move a corrupt run at `root` to `corrupt/`, unless another process works on it or has begun it anew.

        Args:
            run_id: The run.
            reason: What is wrong with it.
            judged: Stamp of the record that was judged; None for the one that is there.
        """
        folder = self.root / "runs" / run_id
        judged = judged or _stamp(folder / RECORD)
        with suppress(UsageError), self._locks.exclusively(run_id) as held:
            if held and judged == _stamp(folder / RECORD):
                self._done.pop(folder, None)
                self._aside.move(run_id, folder, reason)
            return
        self._aside.warn(f"{folder} is corrupt ({reason}) and stays there, as the store cannot be written to")


def _stamp(path: Path) -> _Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
