"""The data sets of all kinds by name: images, text, scenes and photographs."""

from pathlib import Path
from typing import Any

from bsgap.errors import UsageError


def fingerprint(name: str, root: Path) -> str:
    """Digest of a data set's content: of what is found, or the published one where nothing is.

    Raises:
        UsageError: No data set of that name.
        CorruptData: A file is there and is not what it should be.
    """
    return _registry(name).fingerprint(name, root)


def files(name: str, root: Path) -> list[Path]:
    """Files of a data set under `root`; empty when it is not (wholly) there.

    Raises:
        UsageError: No data set of that name.
    """
    return _registry(name).get(name).files(root)


def make_sure(name: str, root: Path, *, download: bool = False) -> None:
    """Make sure that a data set is at hand, without reading it.

    Raises:
        MissingData: It is not, and could not be downloaded where that was asked for.
    """
    if not files(name, root):
        _registry(name).load(name, root, download=download)


def _registry(name: str) -> Any:  # a module with NAMES, get, load and fingerprint
    # torch takes seconds; `reproduce list` needs none
    from bsgap.data import photo_sources, scene_sources, sources, text_sources

    registries = (sources, text_sources, scene_sources, photo_sources)
    for registry in registries:
        if name in registry.NAMES:
            return registry
    names = [name for registry in registries for name in registry.NAMES]
    raise UsageError(f"unknown data set {name!r}: expected one of {', '.join(names)}.")
