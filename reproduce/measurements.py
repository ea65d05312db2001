"""Measurements: entries of their own, keyed by runs and specification, so that a new measure trains nothing again."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bsgap.errors import CorruptData
from reproduce import atomic
from reproduce.identity import canonical, digest
from reproduce.machine import machine, versions

Numbers = Mapping[str, str | None]
"""Run id -> digest of its curves as trained: which training of that run is meant."""


def key(run_ids: Sequence[str], specification: Mapping[str, Any]) -> str:
    """Name of a measurement's file, without ending: 16 hex digits of its runs, in order, and its specification."""
    return digest({"runs": list(run_ids), "specification": specification})[:16]


def write(
    folder: Path,
    run_ids: Sequence[str],
    specification: Mapping[str, Any],
    result: Any,
    seconds: float,
    numbers: Numbers,
) -> Path:
    """Write a measurement to `folder` and return its file."""
    path = folder / f"{key(run_ids, specification)}.json"
    entry = {
        "runs": list(run_ids),
        "specification": canonical(specification),
        "result": result,
        "seconds": round(seconds, 3),
        "numbers": {name: value for name, value in numbers.items() if value is not None},
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
    }
    atomic.write_json(path, entry | {"digest": _digest(atomic.plain(entry))})
    return path


def read(path: Path) -> dict[str, Any] | None:
    """A measurement's file; None when there is none.

    Raises:
        CorruptData: It cannot be read, or is not what was written.
    """
    try:
        entry = atomic.read_json(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, OSError) as error:
        raise CorruptData(f"it cannot be read ({error})") from None
    recorded = entry.pop("digest", None)
    if recorded != _digest(entry) or path.stem != key(entry["runs"], entry["specification"]):
        raise CorruptData("its content is not what was written")
    return entry


def holds(entry: Mapping[str, Any], numbers: Numbers) -> bool:
    """Whether a measurement was taken on the trainings that `numbers` names; what is unknown is no objection."""
    taken: Mapping[str, str] = entry.get("numbers", {})
    return all(numbers.get(name) in (None, value) for name, value in taken.items())


def _digest(entry: Any) -> str:
    return digest({"entry": entry})
