"""The data sets by name: where they lie, how they are read, and what tells them apart."""

from pathlib import Path

from bsgap.data.sources.cifar import CIFAR10, CIFAR100
from bsgap.data.sources.digits import DigitsSource
from bsgap.data.sources.idx import FASHION, MNIST
from bsgap.data.sources.imageset import ImageSet, Source
from bsgap.data.sources.timit import TimitSource
from bsgap.errors import UsageError

__all__ = ["NAMES", "ImageSet", "Source", "fingerprint", "get", "load"]

_SOURCES: dict[str, Source] = {
    source.name: source for source in (DigitsSource(), MNIST, FASHION, CIFAR10, CIFAR100, TimitSource())
}
NAMES = tuple(_SOURCES)

_State = tuple[str, tuple[tuple[str, int, int], ...]]
_latest: dict[_State, ImageSet] = {}  # one entry: a worker trains many runs on one data set, and re-reading costs 1 s


def get(name: str) -> Source:
    """The source of that name.

    Raises:
        UsageError: There is none.
    """
    try:
        return _SOURCES[name]
    except KeyError:
        raise UsageError(f"data source must be one of {', '.join(NAMES)}, got {name!r}.") from None


def load(name: str, root: Path, *, download: bool = False) -> ImageSet:
    """Read a data set from `root`; the last one is kept in memory until its files change.

    Args:
        name: One of `NAMES`.
        root: Folder of the data sets.
        download: Fetch what is missing from its home, checked by digest, into `root`.

    Raises:
        UsageError: No source of that name.
        MissingData: Its files are not there.
        CorruptData: A file is not what it should be.
    """
    source = get(name)
    paths = source.files(root)
    if not paths:
        return source.load(root, download=download)
    state = (name, tuple((str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in paths))
    if state not in _latest:
        images = source.load(root, download=download)
        _latest.clear()
        _latest[state] = images
    return _latest[state]


def fingerprint(name: str, root: Path) -> str:
    """Digest that tells the data apart, cheaply: the published data set's when its files are absent or official.

    Otherwise that of the content found, which then has to be read.

    Raises:
        UsageError: No source of that name.
        CorruptData: A file is there and is not what it should be.
    """
    return get(name).fingerprint(root)
