"""One run's folder: what lies in it, and whether it is what was recorded."""

import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bsgap.errors import CorruptData
from reproduce import atomic

if TYPE_CHECKING:
    import pandas as pd  # half a second: only what reads curves pays for it

RECORD, CONFIG, CURVES, OUTCOME = "run.json", "config.yaml", "metrics.csv", "outcome.json"
RESUME, ERROR, WEIGHTS, MEASUREMENTS = "last.ckpt", "error.txt", "weights", "measurements"
COLUMNS = ("step", "epoch", "examples", "metric", "value")
DONE = ("finished", "diverged")
STATUSES = ("running", *DONE, "failed", "interrupted")
ID = re.compile(r"[0-9a-f]{16}")
_RECORDED = re.compile(r"config\.yaml|metrics\.csv|outcome\.json|weights/[\w.+-]+\.pt")


@dataclass(frozen=True)
class Run:
    """A run that is done: its numbers, and the weights that it kept.

    Attributes:
        id: Hash of its identity.
        status: `finished` or `diverged`.
        folder: Where its files lie.
        published: Whether it is a compact published copy, which has no weights.
        record: Its `run.json`: identity, machine, versions, commit, seconds, digests.
        on_corrupt: Called with a reason when kept weights turn out not to be what was recorded.
    """

    id: str
    status: str
    folder: Path
    published: bool
    record: dict[str, Any] = field(repr=False)
    on_corrupt: Callable[[str], None] = field(repr=False, compare=False)
    _sound: set[str] = field(default_factory=set, repr=False, compare=False)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved config that it ran with."""
        return atomic.read_yaml(self.folder / CONFIG)

    @cached_property
    def outcome(self) -> dict[str, Any]:
        """How it ended: stop reason, steps, epochs, examples, seconds, weights kept, data."""
        return atomic.read_json(self.folder / OUTCOME)

    @property
    def kept(self) -> tuple[str, ...]:
        """Names of the weights at hand: `initial`, `final`, `epoch-5`, `loss-0.1`."""
        return tuple(sorted(file.removeprefix(f"{WEIGHTS}/").removesuffix(".pt") for file in self._weight_files()))

    def metrics(self) -> "pd.DataFrame":
        """Its curves, tidy: step, epoch, examples, metric, value. Empty when it recorded none."""
        import pandas as pd

        path = self.folder / CURVES
        if CURVES not in self.record["digests"]:
            return pd.DataFrame(columns=list(COLUMNS))
        return pd.read_csv(path)

    def weights(self, name: str) -> Path | None:
        """File of the state dict kept as `name`; None when that moment was not kept or the run is a published copy.

        Raises:
            CorruptData: The file is not what was recorded. The run has been set aside: the next start trains it again.
        """
        file = f"{WEIGHTS}/{name}.pt"
        if file not in self._weight_files():
            return None
        path = self.folder / file
        if name not in self._sound:
            if not path.is_file() or atomic.sha256(path) != self.record["digests"][file]:
                reason = f"{file} is not what the run recorded"
                self.on_corrupt(reason)
                raise CorruptData(f"run {self.id}: {reason}. It was set aside; start again to train it again.")
            self._sound.add(name)
        return path

    def _weight_files(self) -> list[str]:
        return [file for file in self.record["digests"] if file.startswith(f"{WEIGHTS}/")]


def read_record(folder: Path) -> dict[str, Any] | None:
    """`run.json` of a run's folder; None when there is none.

    Raises:
        CorruptData: It cannot be read, or is not a record of a run.
    """
    try:
        record = atomic.read_json(folder / RECORD)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, OSError) as error:  # JSON and UTF-8 errors are ValueErrors
        raise CorruptData(f"{RECORD} cannot be read ({error})") from None
    if record.get("status") not in STATUSES:
        raise CorruptData(f"{RECORD} has no status that is one of {', '.join(STATUSES)}")
    if record.get("id", folder.name) != folder.name:
        raise CorruptData(f"{RECORD} is the record of {record['id']}")
    return record


def verify(folder: Path, record: dict[str, Any], *, weights: bool = False) -> None:
    """Check that a done run's files are what was recorded: small files by digest, weights by size.

    Args:
        folder: The run's folder.
        record: Its `run.json`.
        weights: Check weights by digest too, which reads them whole.

    Raises:
        CorruptData: A file is missing, truncated or altered.
    """
    digests, sizes = record.get("digests"), record.get("sizes")
    if not isinstance(digests, dict) or not isinstance(sizes, dict) or not {CONFIG, OUTCOME} <= set(digests):
        raise CorruptData(f"{RECORD} lacks the digests of {CONFIG} and {OUTCOME}")
    for name, expected in digests.items():
        if not _RECORDED.fullmatch(name):  # a record from elsewhere must not name files outside its folder
            raise CorruptData(f"{RECORD} names {name!r}, which is no file of a run")
        try:
            size = (folder / name).stat().st_size
            if size != sizes.get(name):
                raise CorruptData(f"{name} has {size} bytes, {sizes.get(name)} were recorded")
            if (weights or not name.startswith(WEIGHTS)) and atomic.sha256(folder / name) != expected:
                raise CorruptData(f"the digest of {name} is not the recorded one")
        except OSError as error:
            raise CorruptData(f"{name} cannot be read ({error.strerror})") from None


def seal(folder: Path) -> dict[str, Any]:
    """Digests and sizes of a run's files, for its record."""
    names = [name for name in (CONFIG, OUTCOME, CURVES) if (folder / name).is_file()]
    names += sorted(f"{WEIGHTS}/{path.name}" for path in (folder / WEIGHTS).glob("[!.]*.pt"))
    return {
        "digests": {name: atomic.sha256(folder / name) for name in names},
        "sizes": {name: (folder / name).stat().st_size for name in names},
    }


def remove(folder: Path) -> None:
    """Remove a run's folder, at one instant for everybody who looks: it is renamed out of sight first."""
    hidden = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    with suppress(FileNotFoundError):
        os.rename(folder, hidden)
        shutil.rmtree(hidden)
