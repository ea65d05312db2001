"""Small files that appear whole or not at all, and their digests."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from bsgap import files
from bsgap.errors import UsageError

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's are ten times as fast
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all, and on disk when this returns.

    Raises:
        UsageError: The folder cannot be written to.
    """
    files.write_text(path, text)
    sync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys; arrays, tensors and NumPy scalars become lists and numbers."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, default=_plain) + "\n")


def plain(value: Any) -> Any:
    """`value` as `write_json` followed by `read_json` gives it."""
    return json.loads(json.dumps(value, default=_plain))


def write_yaml(path: Path, value: Mapping[str, Any]) -> None:
    """Write a config as YAML in its own order.

    Raises:
        UsageError: It holds something other than mappings, lists, numbers, strings and booleans.
    """
    try:
        text = yaml.dump(dict(value), Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    except yaml.YAMLError as error:
        raise UsageError(f"expected a resolved config of plain values, got {' '.join(str(error).split())}.") from None
    write_text(path, text)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ValueError: It is no JSON, or no object.
    """
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, got {type(value).__name__}")
    return value


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        ValueError: It is no YAML, or no mapping.
    """
    try:
        value = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(value, dict):
        raise ValueError(f"expected a mapping, got {type(value).__name__}")
    return value


def sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"{type(value).__name__} has no place in a JSON file: {value!r}")
