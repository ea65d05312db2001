"""Finished runs of another store: a cluster's, another machine's."""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bsgap.errors import CorruptData, UsageError
from reproduce import atomic, entry, identity, measurements
from reproduce.entry import CONFIG, DONE, MEASUREMENTS, RECORD
from reproduce.locks import writable
from reproduce.store import Store


@dataclass
class Imported:
    """What `import_runs` did: run ids, and the reason for each that was refused."""

    imported: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def import_runs(store: Store, folder: Path) -> Imported:
    """Copy the done runs in `folder` whose digests hold and whose id is that of their config.

    A run that is done in `store` is skipped, apart from measurements that it lacks and that were taken on the same
    training. A half-done one is replaced. A run that another process works on is refused, as is a corrupt one.

    Args:
        store: Where the runs go.
        folder: Another store, a published folder, or the `runs` folder of one.

    Raises:
        UsageError: There are no runs in `folder`, or the store cannot be written to.
    """
    base = folder / "runs" if (folder / "runs").is_dir() else folder
    sources = sorted(path.parent for path in base.glob(f"*/{RECORD}") if not path.parent.name.startswith("."))
    if not sources:
        raise UsageError(f"no runs in {folder}: expected a store, a folder with runs/<id>/{RECORD}.")
    if store.path("0").parent.resolve() == base.resolve():
        raise UsageError(f"{folder} is the store itself: give the folder of another one.")
    writable(store.path("0").parent, store.root)
    result = Imported()
    for source in sources:
        name = source.name
        try:
            record = _checked(source)
            if _local(store, name):
                result.skipped.append(name)
            elif not _take(store, source, record):
                result.refused[name] = "another process works on this run here"
                continue
            else:
                result.imported.append(name)
            _merge(store, source)
        except (CorruptData, UsageError) as error:
            result.refused[name] = str(error)
    return result


def _checked(source: Path) -> dict[str, Any]:
    """The record of a run that may be imported."""
    if not entry.ID.fullmatch(source.name):
        raise CorruptData(f"{source.name} is not the id of a run")
    record = entry.read_record(source)
    if record is None:
        raise CorruptData(f"{RECORD} is gone")
    if record["status"] not in DONE:
        raise CorruptData(f"it is {record['status']}, not finished")
    entry.verify(source, record, weights=True)
    if record.get("protocol") != identity.PROTOCOL:
        raise CorruptData(f"its protocol is {record.get('protocol')}, this version's is {identity.PROTOCOL}")
    try:
        expected = identity.run_id(atomic.read_yaml(source / CONFIG), record.get("fingerprint"))
    except ValueError as error:
        raise CorruptData(f"{CONFIG}: {error}") from None
    if expected != source.name:
        raise CorruptData(f"its config is that of run {expected}")
    return record


def _local(store: Store, name: str) -> bool:
    return store.is_done(name) and not store.run(name).published


def _take(store: Store, source: Path, record: dict[str, Any]) -> bool:
    """Copy a run aside, check the copy, and rename it into place; False when another process works on it."""
    target = store.path(source.name)
    with store.claim(source.name, wait=False) as held:
        if not held:
            return False
        aside = target.with_name(f".{source.name}.{os.getpid()}.part")
        try:
            shutil.rmtree(aside, ignore_errors=True)
            for name in (*record["digests"], RECORD):
                (aside / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / name, aside / name)
            entry.verify(aside, record, weights=True)
            if (target / MEASUREMENTS).is_dir():  # taken here on a published copy of this run
                shutil.copytree(target / MEASUREMENTS, aside / MEASUREMENTS)
            entry.remove(target)
            os.rename(aside, target)
        except OSError as error:
            raise UsageError(f"it could not be copied ({error.strerror})") from None
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return True


def _merge(store: Store, source: Path) -> None:
    """Copy the sound measurements that are missing here; one on another training is kept out by `holds` when read."""
    target = store.path(source.name) / MEASUREMENTS
    for path in sorted((source / MEASUREMENTS).glob("[!.]*.json")):
        if (target / path.name).exists():
            continue
        found = store.read_measurement(path)
        if found is not None and measurements.holds(found, store.numbers(found["runs"])):
            atomic.write_text(target / path.name, path.read_text(encoding="utf-8"))
