"""A family of data sources by name, with the one read last kept in memory."""

from collections.abc import Iterable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from bsgap.errors import UsageError

D = TypeVar("D")
C = TypeVar("C", covariant=True)

_State = tuple[str, tuple[tuple[str, int, int], ...]]


class Origin(Protocol[C]):
    """Where one data set comes from: knows its files, how to read them, and how to tell them from others."""

    @property
    def name(self) -> str:
        """What the options call it."""

    def files(self, root: Path) -> list[Path]:
        """Files that `load` would read; empty when the data set is not (wholly) under `root`."""

    def load(self, root: Path, *, download: bool) -> C:
        """Read the data set, after fetching it if asked and needed."""

    def fingerprint(self, root: Path) -> str:
        """Fingerprint of what `load` would return; of the published data set when nothing is under `root`."""


class Registry(Generic[D]):
    """The sources of one kind of data.

    Args:
        kind: What they hold, for messages: `text`.
        sources: The sources, in the order in which a message lists them.
    """

    def __init__(self, kind: str, sources: Iterable[Origin[D]]) -> None:
        self.kind = kind
        self._sources = {source.name: source for source in sources}
        self._latest: dict[_State, D] = {}  # one entry: a worker trains many runs on one data set

    @property
    def names(self) -> tuple[str, ...]:
        """What the options call the sources."""
        return tuple(self._sources)

    def get(self, name: str) -> Origin[D]:
        """The source of that name.

        Raises:
            UsageError: There is none.
        """
        try:
            return self._sources[name]
        except KeyError:
            choices = ", ".join(self._sources)
            raise UsageError(f"{self.kind} source must be one of {choices}, got {name!r}.") from None

    def load(self, name: str, root: Path, *, download: bool = False) -> D:
        """Read a data set from `root`; the last one is kept in memory until its files change.

        Args:
            name: One of `names`.
            root: Folder of the data sets.
            download: Fetch what is missing from its home, checked by digest, into `root`.

        Raises:
            UsageError: No source of that name.
            MissingData: Its files are not there.
            CorruptData: A file is not what it should be.
        """
        source = self.get(name)
        paths = source.files(root)
        if not paths:
            return source.load(root, download=download)
        state = (name, tuple((str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in paths))
        if state not in self._latest:
            found = source.load(root, download=download)
            self._latest.clear()
            self._latest[state] = found
        return self._latest[state]

    def fingerprint(self, name: str, root: Path) -> str:
        """Digest that tells the data apart, cheaply: the published data set's when its files are absent or official.

        Raises:
            UsageError: No source of that name.
            CorruptData: A file is there and is not what it should be.
        """
        return self.get(name).fingerprint(root)
