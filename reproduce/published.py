"""Published runs: compact copies, without weights, small enough to live beside the code.

A published run has the resolved config without this machine's paths, curves rounded to six significant digits, the
outcome, the measurements, and a record with digests of these files. Its id is that of the run it was made from.
"""

import copy
import csv
import io
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bsgap.errors import CorruptData, UsageError
from reproduce import atomic, entry, identity, measurements
from reproduce.entry import CONFIG, CURVES, MEASUREMENTS, OUTCOME, RECORD, Run
from reproduce.store import Store

DIGITS = 6
"""Significant digits of published curves."""

_ABSOLUTE = re.compile(r"(/|[A-Za-z]:[\\/]|~|file:)")
_UNPUBLISHED = ("config", "ckpt_path", "wandb", "resume")  # of a config: where it ran, and who watched
_PASSING = ("started", "resumed", "updated")  # of a record


def publish_runs(store: Store, run_ids: Iterable[str], folder: Path) -> list[str]:
    """Write compact copies of done runs, with their measurements and without weights, to `folder`.

    Returns:
        The ids for which something was written: a new copy, or measurements that it lacked.

    Raises:
        UsageError: A run is not done, or `folder` cannot be written to.
    """
    return [name for name in dict.fromkeys(run_ids) if publish_run(store, name, folder)]


def publish_run(store: Store, run_id: str, folder: Path) -> bool:
    """Write the compact copy of a run to `folder/runs/<id>`, or the measurements that are missing there.

    Another training of the same run that was published before is replaced, with its measurements.

    Returns:
        Whether anything was written.

    Raises:
        UsageError: The run is not done, its config does not give its id, or `folder` cannot be written to.
    """
    run, target = store.run(run_id), folder / "runs" / run_id
    try:
        (folder / "runs").mkdir(parents=True, exist_ok=True)
        new = _numbers(target) != (run.status, run.record.get("numbers"))
        if new:
            _replace(run, target)
        missing = [path for path in _measurements(store, run) if not (target / MEASUREMENTS / path.name).exists()]
        for path in missing:
            atomic.write_text(target / MEASUREMENTS / path.name, path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{target} cannot be written ({error.strerror}). Publish to another folder.") from None
    return new or bool(missing)


def compact(config: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved config without the paths of the machine; its id stays the same."""
    found = {name: copy.deepcopy(value) for name, value in config.items() if name not in _UNPUBLISHED}
    arguments = (found.get("model") or {}).get("init_args") or {}
    if start := arguments.get("initial_weights"):
        arguments["initial_weights"] = identity.initial_weights(start)
    ((found.get("data") or {}).get("init_args") or {}).pop("root", None)
    (found.get("trainer") or {}).pop("default_root_dir", None)
    return _without_paths(found)


def rounded(curves: str, digits: int = DIGITS) -> str:
    r"""Tidy curves (CSV text) with values of `digits` significant digits.

    >>> rounded("step,epoch,examples,metric,value\n1,0.5,64,train_loss,2.3025850929940455\n")
    'step,epoch,examples,metric,value\n1,0.5,64,train_loss,2.30259\n'
    """
    rows = list(csv.reader(io.StringIO(curves)))
    numeric = [index for index, name in enumerate(rows[0]) if name in ("epoch", "value")] if rows else []
    for row in rows[1:]:
        for index in numeric:
            row[index] = f"{float(row[index]):.{digits}g}"
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _replace(run: Run, target: Path) -> None:
    """Build the copy aside and put it in the place of what was there, so that readers see the one or the other."""
    aside = target.with_name(f".{run.id}.{os.getpid()}.part")
    shutil.rmtree(aside, ignore_errors=True)
    config = compact(run.config)
    if identity.run_id(config, run.record.get("fingerprint")) != run.id:
        raise UsageError(f"run {run.id} has a config of another id or protocol and cannot be published. Train it anew.")
    atomic.write_yaml(aside / CONFIG, config)
    atomic.write_json(aside / OUTCOME, _without_paths(run.outcome))
    if CURVES in run.record["digests"]:
        atomic.write_text(aside / CURVES, rounded((run.folder / CURVES).read_text(encoding="utf-8")))
    kept = {name: value for name, value in run.record.items() if name not in _PASSING}
    atomic.write_json(aside / RECORD, kept | entry.seal(aside))
    entry.remove(target)
    os.rename(aside, target)
    atomic.sync_folder(target.parent)


def _numbers(folder: Path) -> tuple[Any, Any] | None:
    """Status and training of the sound copy in `folder`; None when there is none."""
    with suppress(CorruptData):
        if record := entry.read_record(folder):
            entry.verify(folder, record)
            return record["status"], record.get("numbers")
    return None


def _measurements(store: Store, run: Run) -> Iterator[Path]:
    """Files of the sound measurements, taken on this training, that are stored under the run."""
    for base in (store.root, *store.published):
        for path in sorted((base / "runs" / run.id / MEASUREMENTS).glob("[!.]*.json")):
            found = store.read_measurement(path)
            if found is not None and measurements.holds(found, store.numbers(found["runs"])):
                yield path


def _without_paths(value: Any) -> Any:
    """`value` with null for every absolute path."""
    if isinstance(value, Mapping):
        return {name: _without_paths(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_paths(item) for item in value]
    return None if isinstance(value, str) and _ABSOLUTE.match(value) else value
