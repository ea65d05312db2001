"""Which job is next: dependencies first, then the longest estimate, then the order in which jobs came.

Longest first keeps the workers busy to the end: a long job that starts last would run on alone.
"""

import heapq
from collections.abc import Iterable

from reproduce.engines.jobs import Job


class Schedule:
    """Jobs and their states, without processes or clocks.

    A job moves from waiting (for others) to ready, by `pop` to running, and by `finish`, `fail` or `leave` to its end.
    Jobs may be added at any time, also ones that come after jobs already finished.
    """

    def __init__(self) -> None:
        self.done: list[str] = []
        self.failed: list[str] = []
        self.skipped: list[str] = []
        self._jobs: dict[str, Job] = {}
        self._order: dict[str, int] = {}
        self._ready: list[tuple[float, int, str]] = []
        self._missing: dict[str, set[str]] = {}  # waiting job -> what it still waits for
        self._followers: dict[str, list[str]] = {}
        self._interrupted: set[str] = set()

    def add(self, jobs: Iterable[Job]) -> tuple[list[Job], list[Job]]:
        """Take in jobs, in any order among themselves; known keys are ignored.

        Returns:
            The jobs that are new, and those of them that are skipped at once because a job they come after failed.
        """
        new = []
        for job in jobs:
            if job.key not in self._jobs:
                self._order[job.key] = len(self._jobs)
                self._jobs[job.key] = job
                new.append(job)
        done, lost = set(self.done), {*self.failed, *self.skipped}
        doomed = []
        for job in new:
            self._missing[job.key] = set(job.after) - done
            for key in self._missing[job.key]:
                self._followers.setdefault(key, []).append(job.key)
            if self._missing[job.key] & lost:
                doomed.append(job)
            elif not self._missing[job.key]:
                del self._missing[job.key]
                self._push(job.key)
        skipped = [gone for job in doomed for gone in self._skip(job.key)]
        return new, skipped

    def pop(self) -> Job | None:
        """The next job to start, or None when none is ready."""
        return self._jobs[heapq.heappop(self._ready)[2]] if self._ready else None

    def put_back(self, key: str) -> None:
        """The popped job was not begun after all: it is ready again."""
        self._push(key)

    @property
    def has_ready(self) -> bool:
        """Whether a job could start now."""
        return bool(self._ready)

    def finish(self, key: str) -> None:
        """The job is done: what waited for it alone becomes ready."""
        self.done.append(key)
        for follower in self._followers.get(key, ()):
            missing = self._missing.get(follower)
            if missing is not None:
                missing.discard(key)
                if not missing:
                    del self._missing[follower]
                    self._push(follower)

    def fail(self, key: str) -> list[Job]:
        """The job failed. Returns what is skipped because of that, directly or not."""
        self._missing.pop(key, None)
        self.failed.append(key)
        return [gone for follower in self._followers.get(key, ()) for gone in self._skip(follower)]

    def leave(self, key: str) -> None:
        """The job was interrupted: neither done nor failed, and what comes after it stays waiting."""
        self._interrupted.add(key)

    def stuck(self) -> tuple[Job, str] | None:
        """A job that waits for what can never come, with the reason, or None.

        Call it when nothing is ready and nothing runs, and again after that job has been failed.
        """
        held = set(self._interrupted)  # and what comes after them
        pending = list(held)
        while pending:
            new = set(self._followers.get(pending.pop(), ())) - held
            held |= new
            pending += new
        waiting = {key: missing for key, missing in self._missing.items() if key not in held}
        for key, missing in waiting.items():
            if unknown := sorted(missing - self._jobs.keys()):
                return self._jobs[key], f"it comes after {', '.join(unknown)}, which is not among the jobs"
        path: list[str] = []
        key = next(iter(waiting), "")
        while waiting and key not in path:  # everyone waits for another who waits: this walk ends in a circle
            path.append(key)
            key = min(waiting[key])
        if not path:
            return None
        return self._jobs[key], f"it comes after itself: {' after '.join([*path[path.index(key) :], key])}"

    def left(self) -> list[str]:
        """Keys of the jobs that have come to no end, in the order in which they were added."""
        ended = {*self.done, *self.failed, *self.skipped}
        return [key for key in self._jobs if key not in ended]

    def _push(self, key: str) -> None:
        heapq.heappush(self._ready, (-self._jobs[key].estimate, self._order[key], key))

    def _skip(self, key: str) -> list[Job]:
        if self._missing.pop(key, None) is None:
            return []
        self.skipped.append(key)
        return [self._jobs[key], *(gone for follower in self._followers.get(key, ()) for gone in self._skip(follower))]
