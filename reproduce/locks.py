"""Claims on runs: one process at a time works on a run, and a killed process frees what it held."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from bsgap.errors import UsageError

_PROBE = 0.3  # seconds: longer than another process needs to ask, in `taken`, whether a lock is free


class Locks:
    """File locks of the runs of a store, under `<root>/locks`. The system frees them when their process ends."""

    def __init__(self, root: Path):
        self.root = root
        self._held: set[str] = set()

    def held(self, run_id: str) -> bool:
        """Whether this object holds the claim."""
        return run_id in self._held

    @contextmanager
    def claim(self, run_id: str, *, wait: bool) -> Iterator[bool]:
        """Hold the claim inside; see `Store.claim`."""
        if run_id in self._held and wait:
            raise RuntimeError(f"run {run_id} is already claimed by this store, and would wait for itself")
        lock = None if run_id in self._held else self._acquire(run_id, -1 if wait else _PROBE)
        if lock is None:
            yield False
            return
        self._held.add(run_id)
        try:
            yield True
        finally:
            self._held.discard(run_id)
            lock.release()

    @contextmanager
    def exclusively(self, run_id: str) -> Iterator[bool]:
        """As `claim` without waiting, and harmless inside one's own claim."""
        if self.held(run_id):
            yield True
            return
        with self.claim(run_id, wait=False) as free:
            yield free

    def taken(self, run_id: str) -> bool:
        """Whether a living process, this one or another, holds the claim."""
        path = self._path(run_id)
        if self.held(run_id):
            return True
        if not path.exists():
            return False
        lock = FileLock(path)
        try:
            lock.acquire(blocking=False)
        except (Timeout, OSError):  # OSError: a store that may only be read, so believe its record
            return True
        lock.release()
        return False

    def _path(self, run_id: str) -> Path:
        return self.root / "locks" / f"{run_id}.lock"

    def _acquire(self, run_id: str, timeout: float) -> FileLock | None:
        path = self._path(run_id)
        writable(path.parent, self.root)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=timeout)
        except Timeout:
            return None
        except OSError as error:
            raise UsageError(_unwritable(self.root, error.strerror)) from None
        return lock


def writable(folder: Path, root: Path) -> None:
    """Make `folder` of the store at `root`.

    Raises:
        UsageError: It cannot be made, or not be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(_unwritable(root, error.strerror)) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(_unwritable(root, "Permission denied"))


def _unwritable(root: Path, reason: str | None) -> str:
    return f"the run store {root} cannot be written to ({reason}). Choose another folder with --out."
