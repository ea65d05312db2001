"""What an engine is given and what it gives back: `Job` and `Summary`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class Interrupted(Exception):
    """A job stopped because it was asked to, with its state saved: not done, and not failed either."""


@dataclass(frozen=True)
class Job:
    """One call of the engine's task, `execute(kind, payload, notify)`.

    Attributes:
        key: Name of the job, unique within a run of the engine. A job whose key is already known is taken to be the
            same job and is not run again.
        kind: What to do, for the task to decide; the remaining time is also estimated kind by kind.
        label: What the progress display calls it.
        payload: Arguments of the job; they travel to another process, so they must be picklable.
        after: Keys of the jobs that must be done before this one starts.
        estimate: Expected duration in seconds. Only the order (longest first) and the displayed remaining time
            depend on it, and the latter is corrected by measured durations.
    """

    key: str
    kind: str
    label: str
    payload: Mapping[str, Any] = field(default_factory=dict, hash=False)
    after: tuple[str, ...] = ()
    estimate: float = 1.0


@dataclass(frozen=True)
class Summary:
    """How a run of an engine ended; every job's key is in exactly one of the four tuples.

    Attributes:
        done: Jobs that finished, in the order in which they did.
        failed: Jobs that raised, died, or whose result could not be stored.
        skipped: Jobs that were not started because one that they come after failed.
        left: Jobs that were interrupted, or not started because of that. Running the same jobs again resumes them.
        interrupted: Whether the run was told to stop, or a worker was, before all was done.
    """

    done: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    interrupted: bool = False
