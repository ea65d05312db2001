"""How long the jobs will still take: their estimates, corrected by the times measured so far."""

import time
from collections import defaultdict
from collections.abc import Callable

from reproduce.engines.jobs import Job

_ENOUGH = 0.05  # share of a job after which its own pace says more than its estimate


class RemainingTime:
    """Estimate of the time until all known jobs have ended.

    The correction of a kind of job is the ratio r = (sum of measured seconds) / (sum of their estimates), over finished
    jobs and those far enough under way to be projected; a kind without any takes the ratio over all kinds. With W
    workers, what remains takes at least max(sum of remaining seconds / W, longest remaining job).

    Args:
        workers: W, the number of jobs that run at once.
        clock: Seconds, from any origin.
    """

    def __init__(self, workers: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._workers = workers
        self._clock = clock
        self._open: dict[str, Job] = {}
        self._started: dict[str, float] = {}
        self._shares: dict[str, float] = {}
        self._measured: dict[str, float] = defaultdict(float)  # kind -> seconds of its finished jobs
        self._estimated: dict[str, float] = defaultdict(float)

    def add(self, job: Job) -> None:
        """A job that has yet to run."""
        self._open[job.key] = job

    def start(self, job: Job) -> None:
        """The job begins now."""
        self._started[job.key] = self._clock()

    def advance(self, job: Job, share: float) -> None:
        """This share of the running job, in [0, 1], is behind it."""
        self._shares[job.key] = share

    def end(self, job: Job, seconds: float | None = None) -> None:
        """The job takes no more time; `seconds` is what it took if it was done, None if it says nothing."""
        self._open.pop(job.key, None)
        self._started.pop(job.key, None)
        self._shares.pop(job.key, None)
        if seconds is not None:
            self._measured[job.kind] += seconds
            self._estimated[job.kind] += job.estimate

    def seconds(self) -> float:
        """Seconds from now until all is done."""
        remaining = self._remaining()
        return max(sum(remaining) / min(self._workers, len(remaining)), max(remaining)) if remaining else 0.0

    def share_done(self) -> float:
        """Share of all work, in [0, 1], that is behind us."""
        done, remaining = sum(self._measured.values()), sum(self._remaining())
        done += sum(self._clock() - start for start in list(self._started.values()))
        return done / (done + remaining) if done + remaining > 0 else 0.0

    def _remaining(self) -> list[float]:
        now = self._clock()
        projected = {
            key: (now - self._started[key]) / share
            for key, share in list(self._shares.items())
            if share >= _ENOUGH and key in self._started
        }
        measured, estimated = self._measured.copy(), self._estimated.copy()
        for key, seconds in projected.items():
            if job := self._open.get(key):
                measured[job.kind] += seconds
                estimated[job.kind] += job.estimate
        overall = _ratio(sum(measured.values()), sum(estimated.values()), 1.0)
        remaining = []
        for key, job in list(self._open.items()):
            whole = projected.get(key, job.estimate * _ratio(measured[job.kind], estimated[job.kind], overall))
            remaining.append(max(whole - (now - self._started.get(key, now)), 0.0))
        return remaining


def _ratio(measured: float, estimated: float, default: float) -> float:
    return measured / estimated if estimated > 0 else default


def duration(seconds: float) -> str:
    """Seconds in words: `0.4 s`, `42 s`, `7 min`, `1 h 05 min`.

    >>> duration(0.42), duration(42.4), duration(430), duration(3900)
    ('0.4 s', '42 s', '7 min', '1 h 05 min')
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
