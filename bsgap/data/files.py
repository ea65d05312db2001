"""Finding, checking and fetching the files of a data set.

Nothing is downloaded unless asked for. What is not there, or is not what it should be, is answered by one line that
names the file, what was expected, what was found, and where the data come from.
"""

import hashlib
import os
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from bsgap.errors import CorruptData, MissingData, UsageError

HOW_TO_POINT = "set BSGAP_DATA (or --data.root, --data-root) to the folder that holds it"


def data_root(root: str | os.PathLike[str] | None = None) -> Path:
    """Folder of the data sets: `root` if given, else the environment variable BSGAP_DATA, else `data`."""
    return Path(root or os.environ.get("BSGAP_DATA") or "data").expanduser()


def digest(path: Path, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file; remembered in memory until its size or modification time changes."""
    state = path.stat()
    return _digest(str(path.resolve()), state.st_size, state.st_mtime_ns, algorithm)


@lru_cache(maxsize=256)
def _digest(path: str, size: int, modified: int, algorithm: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def matches(path: Path, known: str) -> bool:
    """Whether a file has the known digest, written `algorithm:hexadecimal`."""
    algorithm, _, value = known.partition(":")
    return digest(path, algorithm) == value


def official_fingerprint(name: str, digests: Iterable[str]) -> str:
    """Fingerprint of a data set as published: a SHA-256 over its name and the published digests."""
    return hashlib.sha256("\n".join([name, *digests]).encode()).hexdigest()


def find_folder(root: Path, folders: Sequence[str], names: Iterable[str]) -> Path | None:
    """First of `folders` under `root` that holds at least one file called as in `names`."""
    names = list(names)
    for folder in folders:
        if any((root / folder / name).is_file() for name in names):
            return root / folder
    return None


def missing(what: str, path: Path, source: str, *, hint: str = "") -> MissingData:
    """Error for data that are not at hand: which file, where it was looked for, where it comes from."""
    return MissingData(f"{what} is not at hand: no {path}. Get it from {source}, and {HOW_TO_POINT}{hint}.")


def corrupt(path: Path, found: str, source: str) -> CorruptData:
    """Error for a file that is not what it should be."""
    return CorruptData(f"{path} {found}. Delete it and get it again from {source}.")


def fetch(url: str, known: str, target: Path) -> Path:
    """Download one file to `target`, checked against its known digest; a file that is there and right is kept.

    Raises:
        MissingData: It could not be downloaded, or what came has another digest.
        UsageError: The folder cannot be written.
    """
    import pooch  # only where something is downloaded

    writable_folder(target.parent)
    try:
        pooch.retrieve(url, known_hash=known, fname=target.name, path=target.parent, progressbar=sys.stderr.isatty())
    except Exception as error:  # pooch passes on whatever its transport raised: requests, urllib, ssl, OSError
        reason = " ".join(str(error).split())[:200]
        raise MissingData(
            f"could not download {url}: {reason or type(error).__name__}. Get it by other means, and {HOW_TO_POINT}."
        ) from None
    return target


def fetch_archive(url: str, known: str, root: Path, folder: str) -> Path:
    """Download a tar archive, unpack the files of its `folder` into `root / folder`, and remove the archive.

    Files appear whole: they are unpacked aside and moved into place.

    Raises:
        MissingData: It could not be downloaded, or what came has another digest.
        UsageError: The folder cannot be written.
    """
    archive = fetch(url, known, root / url.rsplit("/", 1)[-1])
    target = writable_folder(root / folder)
    with tempfile.TemporaryDirectory(dir=root, prefix=".unpack-") as aside:
        with tarfile.open(archive) as tar:
            tar.extractall(aside, filter="data")  # refuses links and paths that leave the folder
        for file in sorted((Path(aside) / folder).iterdir()):
            os.replace(file, target / file.name)
    archive.unlink()
    return target


def writable_folder(folder: Path) -> Path:
    """Make a folder if need be.

    Raises:
        UsageError: It cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make {folder}: {error.strerror}. Choose another folder for the data.") from None
    if not os.access(folder, os.W_OK):
        raise UsageError(f"cannot write to {folder}. Choose another folder for the data, or turn download off.")
    return folder
