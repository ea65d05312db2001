"""The run store: finished runs are never trained again, half-done ones continue, failed ones keep their traceback.

Layout under the root:

    runs/<id>/config.yaml            the resolved config
    runs/<id>/run.json               status, identity, machine, versions, commit, digests of the files below
    runs/<id>/metrics.csv            curves: step, epoch, examples, metric, value
    runs/<id>/outcome.json           how it ended
    runs/<id>/weights/<name>.pt      state dicts that a figure needs
    runs/<id>/last.ckpt              resume point, only while unfinished
    runs/<id>/error.txt              traceback of the last failure
    runs/<id>/measurements/<key>.json
    locks/<id>.lock                  held by the process that works on the run
    corrupt/<id>-<n>/                what was found altered or truncated

`run.json` is written last and names the digest of everything else, so a run is done from one instant to the next.
Digests are checked once a process, when a run is first read as done: small files by content, weights by size and, when
they are opened, by content.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bsgap.errors import CorruptData, UsageError
from reproduce import atomic, entry, identity, measurements
from reproduce.aside import Aside
from reproduce.entry import DONE, ERROR, MEASUREMENTS, OUTCOME, RECORD, RESUME, Run
from reproduce.locks import Locks, writable
from reproduce.machine import commit, machine, threads, versions
from reproduce.shelf import Shelf


class Store:
    """Runs and measurements under `root`, with `published` folders of compact finished runs behind it.

    A run that is done here counts before its published copy; a published copy counts before a local run that is not
    done. Reading creates nothing, so a store may be looked at where one may not write.

    Args:
        root: Folder of the store; it is made when the first thing is written.
        published: Read-only folders with the same layout, in the order in which they are asked.
    """

    def __init__(self, root: Path | str, published: Sequence[Path | str] = ()):
        self.root = Path(root)
        self.published = tuple(Path(folder) for folder in published)
        self._locks = Locks(self.root)
        self._aside = Aside(self.root)
        self._shelf = Shelf(self.root, self.published, self._locks, self._aside)

    @property
    def warnings(self) -> list[str]:
        """One line for each corrupt thing found so far, with where it was set aside."""
        return self._aside.warnings

    # Reading

    def path(self, run_id: str) -> Path:
        """Folder of a run in this store, whether or not it exists."""
        return self.root / "runs" / run_id

    def ids(self) -> list[str]:
        """Ids of all runs known here or published, sorted."""
        found = {path.parent.name for base in (self.root, *self.published) for path in base.glob(f"runs/*/{RECORD}")}
        return sorted(name for name in found if entry.ID.fullmatch(name))

    def fingerprints(self, source: str) -> list[str]:
        """Fingerprints under which published runs have a data set, sorted: of subsets, beside that of the whole."""
        found = set()
        for base in self.published:
            for path in base.glob(f"runs/*/{RECORD}"):
                try:
                    numbers = json.loads(path.read_text(encoding="utf-8")).get("identity", {})
                except ValueError:  # such a run is no run: it is named where it is asked for
                    continue
                if numbers.get("data", {}).get("init_args", {}).get("source") == source:
                    found.add(str(numbers.get("fingerprint")))
        return sorted(found)

    def status(self, run_id: str) -> str:
        """`absent`, `running`, `finished`, `diverged`, `failed` or `interrupted`.

        `running` means that a living process holds the run's claim; when it was killed, the run is `interrupted`.
        """
        if done := self._shelf.find(run_id):
            return done.status
        record = self._shelf.record(run_id)
        if record is None:
            return "absent"
        status = str(record["status"])
        return "interrupted" if status == "running" and not self._locks.taken(run_id) else status

    def is_done(self, run_id: str, weights: Iterable[str] = ()) -> bool:
        """Whether a run is finished or diverged, its digests hold, and it has kept `weights` (names)."""
        run = self._shelf.find(run_id)
        return run is not None and set(weights) <= set(run.kept)

    def run(self, run_id: str) -> Run:
        """A run that is done.

        Raises:
            UsageError: It is not done.
        """
        if run := self._shelf.find(run_id):
            return run
        raise UsageError(f"run {run_id} is {self.status(run_id)}, expected a finished one. Train it first.")

    def record(self, run_id: str) -> dict[str, Any]:
        """`run.json` of a run, done or not; empty when there is none."""
        run = self._shelf.find(run_id)
        return run.record if run else self._shelf.record(run_id) or {}

    def error(self, run_id: str) -> str | None:
        """Traceback of a run's last failure; None when it has none."""
        try:
            return (self.path(run_id) / ERROR).read_text(encoding="utf-8")
        except OSError:
            return None

    # Running

    @contextmanager
    def claim(self, run_id: str, *, wait: bool = True) -> Iterator[bool]:
        """Hold a run against every other process on this store; a killed process frees what it held.

        Ask `is_done` again once inside: another process may have finished the run meanwhile.

        Args:
            run_id: The run.
            wait: When another process holds it, wait until it lets go. Otherwise go on at once and give False.

        Yields:
            Whether the claim is held.

        Raises:
            UsageError: The store cannot be written to.
            RuntimeError: This store holds the claim already and would wait for itself.
        """
        with self._locks.claim(run_id, wait=wait) as held:
            yield held

    def open(self, run_id: str, config: Mapping[str, Any], fingerprint: str | None, *, again: bool = False) -> Path:
        """Begin or continue a run: write its config and a record that says `running`; call it inside `claim`.

        A resume point stays; the traceback of an earlier failure goes.

        Args:
            run_id: `identity.run_id(config, fingerprint)`.
            config: The resolved config.
            fingerprint: Fingerprint of its data.
            again: Train a done run again, for weights that it did not keep. Its measurements hold on if its curves
                come out the same.

        Returns:
            The run's folder.

        Raises:
            UsageError: The id is not that of the config, the run is done already, or the store cannot be written to.
        """
        if run_id != (expected := identity.run_id(config, fingerprint)):
            raise UsageError(f"run {run_id} was opened with the config of {expected}: an id is the hash of its config.")
        folder, before = self.path(run_id), self._shelf.record(run_id)
        if before is None:
            self._set_strays_aside(run_id)
        elif before["status"] in DONE:
            if not again:
                raise UsageError(f"run {run_id} is {before['status']} already: finished runs are not trained again.")
            before = None
        writable(folder, self.root)
        for name in (ERROR, OUTCOME, *(path.name for path in folder.glob(".*.part"))):
            (folder / name).unlink(missing_ok=True)
        atomic.write_yaml(folder / entry.CONFIG, config)
        started = {"started": _now()} if before is None else {"started": before.get("started"), "resumed": _now()}
        record = {
            "identity": identity.identity(config, fingerprint),
            "fingerprint": fingerprint,
            "seconds": 0.0 if before is None else _elapsed(before),
            "threads": config.get("threads") or threads(),
        }
        self._write(run_id, record | started, "running")
        return folder

    def finish(self, run_id: str, status: str, outcome: Mapping[str, Any] | None = None) -> Run:
        """Seal a run as `finished` or `diverged`; from here on it is never trained again.

        Args:
            run_id: The run.
            status: `finished` or `diverged`.
            outcome: How it ended, for `outcome.json`; None when the training has written that file.

        Raises:
            UsageError: The status is another one, the run is not open, or there is no outcome.
        """
        if status not in DONE:
            raise UsageError(f"expected the status finished or diverged, got {status!r}. Use fail or interrupt.")
        folder, record = self.path(run_id), self._shelf.record(run_id)
        if record is None or record["status"] in DONE:
            raise UsageError(f"run {run_id} is {self.status(run_id)}, so it cannot be finished: open it first.")
        if outcome is not None:
            atomic.write_json(folder / OUTCOME, dict(outcome))
        elif not (folder / OUTCOME).is_file():
            raise UsageError(f"run {run_id} has no {OUTCOME}: give its outcome.")
        sealed = entry.seal(folder)
        summary = {
            "seconds": atomic.read_json(folder / OUTCOME).get("seconds") or _elapsed(record),
            "numbers": sealed["digests"].get(entry.CURVES),
            "finished": _now(),
        }
        self._write(run_id, record | sealed | summary, status)
        for name in (RESUME, ERROR):
            (folder / name).unlink(missing_ok=True)
        return self.run(run_id)

    def fail(self, run_id: str, traceback_text: str) -> None:
        """Mark a run as failed and keep the traceback; one that is done, or in another process's hands, stays as it is.

        Raises:
            UsageError: The store cannot be written to.
        """
        with self._unfinished(run_id) as record:
            if record is not None:
                writable(self.path(run_id), self.root)
                atomic.write_text(self.path(run_id) / ERROR, traceback_text.rstrip() + "\n")
                self._write(run_id, record | {"seconds": _elapsed(record)}, "failed")

    def interrupt(self, run_id: str) -> None:
        """Mark a run as interrupted: the next start continues it. One that is done, or not begun, stays as it is."""
        with self._unfinished(run_id) as record:
            if record:
                self._write(run_id, record | {"seconds": _elapsed(record)}, "interrupted")

    def set_aside(self, run_id: str, reason: str) -> None:
        """Move a corrupt run to `corrupt/` and name it in `warnings`; it counts as absent from then on.

        A run that another process works on is left to that process.
        """
        self._shelf.set_aside(run_id, reason)

    # Measurements

    def measurement(self, run_ids: Sequence[str], specification: Mapping[str, Any]) -> Any | None:
        """Result of a measurement on one or several runs; None when it was not taken on the runs that count here.

        Args:
            run_ids: The runs, in the order that the measurement means.
            specification: What was measured and how; spelling of numbers and order of keys do not matter.
        """
        found = self.measurement_entry(run_ids, specification)
        return None if found is None else found["result"]

    def measurement_entry(self, run_ids: Sequence[str], specification: Mapping[str, Any]) -> dict[str, Any] | None:
        """As `measurement`, with runs, specification, seconds, machine and versions around the `result`."""
        name = f"{measurements.key(run_ids, specification)}.json"
        for base in (self.root, *self.published):
            found = self.read_measurement(base / "runs" / run_ids[0] / MEASUREMENTS / name)
            if found is not None and measurements.holds(found, self.numbers(run_ids)):
                return found
        return None

    def put_measurement(
        self, run_ids: Sequence[str], specification: Mapping[str, Any], result: Any, seconds: float
    ) -> None:
        """Store a measurement under the first run, which may itself be a published one.

        Args:
            run_ids: The runs, in the order that the measurement means.
            specification: What was measured and how.
            result: JSON-like; arrays, tensors and NumPy scalars become lists and numbers.
            seconds: How long it took.

        Raises:
            UsageError: No run is named, or the store cannot be written to.
        """
        if not run_ids:
            raise UsageError("a measurement needs at least one run id, got none.")
        folder = self.path(run_ids[0]) / MEASUREMENTS
        writable(folder, self.root)
        measurements.write(folder, run_ids, specification, result, seconds, self.numbers(run_ids))

    def read_measurement(self, path: Path) -> dict[str, Any] | None:
        """A measurement's file, here or elsewhere; None when there is none, or a corrupt one, which is named."""
        try:
            return measurements.read(path)
        except CorruptData as error:
            if path.parents[3] == self.root:
                self._aside.move(path.parents[1].name, path, str(error), inside=MEASUREMENTS)
            else:
                self._aside.warn(f"the measurement {path} is corrupt ({error}) and not used")
            return None

    def numbers(self, run_ids: Iterable[str]) -> dict[str, str | None]:
        """Run id -> digest of its curves as trained, None where it is not done: which training counts here."""
        runs = {name: self._shelf.find(name) for name in run_ids}
        return {name: run.record.get("numbers") if run else None for name, run in runs.items()}

    # Inside

    @contextmanager
    def _unfinished(self, run_id: str) -> Iterator[dict[str, Any] | None]:
        """Record of a run that may be marked, empty when there is none; None when it is done or not ours to mark."""
        with self._locks.exclusively(run_id) as free:
            record = self._shelf.record(run_id) or {} if free else None
            yield None if record is not None and record.get("status") in DONE else record

    def _write(self, run_id: str, record: Mapping[str, Any], status: str) -> None:
        everywhere = {
            "id": run_id,
            "status": status,
            "protocol": identity.PROTOCOL,
            "machine": machine(),
            "versions": versions(),
            "commit": commit(),
            "updated": _now(),
        }
        atomic.write_json(self.path(run_id) / RECORD, {**record, **everywhere})

    def _set_strays_aside(self, run_id: str) -> None:
        """A folder without a record keeps measurements (of a published run); what else is in it is of no known run."""
        folder = self.path(run_id)
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.name not in (MEASUREMENTS, entry.CONFIG) and not path.name.endswith(".part"):
                self._aside.move(run_id, path, f"there is no {RECORD} beside it", inside="")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _elapsed(record: Mapping[str, Any]) -> float:
    """Seconds of a run so far: those of earlier starts, and those since the last one."""
    before = float(record.get("seconds") or 0.0)
    since = record.get("resumed") or record.get("started")
    if record.get("status") != "running" or since is None:
        return before
    return round(before + (datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds(), 3)
