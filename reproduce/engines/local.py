"""The engine that runs jobs in worker processes on this machine.

The parent only schedules, so it stays responsive. One worker is used even for `jobs=1`: a job computes the same bits
whatever the number of workers.
"""

import pickle
import time
import traceback
from collections.abc import Callable, Iterable
from multiprocessing.connection import wait
from typing import Any

from bsgap.errors import UsageError
from reproduce.engines.jobs import Job, Summary
from reproduce.engines.process import Worker
from reproduce.engines.schedule import Schedule
from reproduce.engines.signals import StopSignals
from reproduce.progress import Progress

OnDone = Callable[[Job, dict[str, Any]], Iterable[Job] | None]
OnFailed = Callable[[Job, str], None]

TICK_SECONDS = 0.2  # how soon a signal is noticed
QUIT_SECONDS = 5.0  # for an idle worker to end by itself


class LocalEngine:
    """Runs jobs in `jobs` worker processes, each computing with `threads` threads.

    Workers start when there is work for them and live until the last job. A job that fails, or whose worker dies, never
    stops the others; jobs that come after it are skipped.

    Args:
        jobs: Number of worker processes, at most.
        threads: Number of CPU threads of a job. It is explicit because it decides the bits of the result.
        task: `"module:function"` of what a job calls in the worker: `execute(kind, payload, notify) -> dict`, where
            `notify({"epoch": 3, "of": 10})` shows progress. Payload and result must be picklable.
        grace: Seconds that running jobs have to save their state when the run is told to stop; then they are killed.

    Raises:
        UsageError: `jobs` or `threads` is not positive.
    """

    def __init__(
        self, jobs: int, threads: int = 1, task: str = "reproduce.worker:execute", *, grace: float = 20.0
    ) -> None:
        for name, value in (("jobs", jobs), ("threads", threads)):
            if value < 1:
                raise UsageError(f"--{name} must be at least 1, got {value}")
        if not all(task.partition(":")):
            raise ValueError(f"task must read 'module:function', got {task!r}")
        self.jobs = jobs
        self.threads = threads
        self.task = task
        self.grace = grace

    def run(
        self,
        jobs: Iterable[Job],
        *,
        on_done: OnDone,
        on_failed: OnFailed,
        progress: Progress | None = None,
    ) -> Summary:
        """Run all jobs, those that come after others last, and otherwise the longest first.

        SIGINT (Ctrl-C) and SIGTERM stop the run: no job is started any more, and running ones are asked to save their
        state (`reproduce.engines.pool.should_stop`). After the grace period, or a second signal, they are killed. When
        this returns or raises, no worker process is left.

        Args:
            jobs: What to do, in any order.
            on_done: Called in this process with each job and its result; returns further jobs, which may come after
                any known job, also one that is already done. If it raises, the job counts as failed.
            on_failed: Called with each failed job and a text: the traceback and the end of the worker's output.
            progress: Display to keep up to date. It is started and stopped here.

        Returns:
            Which jobs are done, failed, skipped or left, and whether the run was interrupted.
        """
        run = _Run(self, on_done, on_failed, progress or Progress(silent=True))
        with run.progress, run.signals:
            try:
                run.add(jobs)
                run.loop()
            finally:
                run.close()
        return run.summary()


class _Run:
    """The state of one call of `LocalEngine.run`."""

    def __init__(self, engine: LocalEngine, on_done: OnDone, on_failed: OnFailed, progress: Progress) -> None:
        self.engine = engine
        self.on_done = on_done
        self.on_failed = on_failed
        self.progress = progress
        self.schedule = Schedule()
        self.signals = StopSignals(self.kill)
        self.workers: list[Worker] = []
        self.deadline: float | None = None  # set when the run is told to stop
        self.interrupted = False

    @property
    def busy(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.job is not None]

    def loop(self) -> None:
        while True:
            if self.signals.received and self.deadline is None:
                self.stop()
            if self.deadline is None:
                self.assign()
            elif self.signals.insistent or time.monotonic() > self.deadline:
                self.kill()
            if not self.busy:
                if self.deadline is not None or not self.unblock():
                    return
                continue
            wait([worker.connection for worker in self.workers], TICK_SECONDS)
            for worker in list(self.workers):
                self.listen(worker)

    def add(self, jobs: Iterable[Job]) -> None:
        new, skipped = self.schedule.add(jobs)
        self.progress.added(new)
        self.progress.skipped(skipped)

    def assign(self) -> None:
        """Give ready jobs to idle workers, and start workers while there are fewer than allowed."""
        while self.schedule.has_ready:
            worker = next((worker for worker in self.workers if worker.job is None), None)
            if worker is None and len(self.workers) >= self.engine.jobs:
                return
            job = self.schedule.pop()
            assert job is not None
            try:
                if worker is None:
                    worker = Worker(self.engine.task, self.engine.threads)
                    self.workers.append(worker)
                worker.give(job)
            except Exception:  # no process could be started, or the payload cannot be pickled
                self.failed(job, traceback.format_exc())
            else:
                self.progress.started(job)

    def unblock(self) -> bool:
        """Nothing runs. Whether there is still something to do, after failing jobs that can never start."""
        while stuck := self.schedule.stuck():
            job, reason = stuck
            self.failed(job, f"{job.key} cannot start: {reason}")
        return self.schedule.has_ready

    def listen(self, worker: Worker) -> None:
        """Take in what the worker has sent, and its death if it died."""
        ended = worker.ended  # asked first: what it sent before its end is read below
        while worker.connection.poll():
            message = worker.receive()
            if message is None:
                return self.bury(worker)
            self.handle(worker, *message)
        if ended:
            self.bury(worker)

    def handle(self, worker: Worker, what: str, seconds: float, content: Any) -> None:
        job = worker.job
        assert job is not None, "a worker answers only when it has a job"
        if what == "begun":
            worker.begun = True
            return
        if what == "progress":
            return self.progress.update(job, content)
        worker.job = None
        if what == "done":
            self.done(job, seconds, content)
        elif what == "failed":
            self.failed(job, content + worker.output())
        else:
            self.left(job)

    def bury(self, worker: Worker) -> None:
        self.workers.remove(worker)
        terminated, cause = worker.cause_of_death()
        text = f"{cause}\n{worker.output()}"
        worker.reap(0)
        if worker.job is None:
            return
        if terminated and not worker.begun:  # somebody ended it just as it was given the job
            self.schedule.put_back(worker.job.key)
        elif terminated or self.deadline is not None:
            self.left(worker.job)
        else:
            self.failed(worker.job, text)

    def done(self, job: Job, seconds: float, content: bytes) -> None:
        try:
            more = list(self.on_done(job, pickle.loads(content)) or ())
        except Exception:  # the result cannot be unpickled or stored: the other jobs go on
            return self.failed(job, traceback.format_exc())
        self.schedule.finish(job.key)
        self.progress.done(job, seconds)
        self.add(more)

    def failed(self, job: Job, text: str) -> None:
        self.on_failed(job, text)
        skipped = self.schedule.fail(job.key)
        self.progress.failed(job)
        self.progress.skipped(skipped)

    def left(self, job: Job) -> None:
        self.interrupted = True
        self.schedule.leave(job.key)
        self.progress.interrupted(job)

    def stop(self) -> None:
        self.deadline = time.monotonic() + self.engine.grace
        self.interrupted = True
        if running := len(self.busy):
            what = "one running job saves its state" if running == 1 else f"{running} running jobs save their state"
            self.progress.note(f"stopping: {what}; Ctrl-C again does not wait for that")
        for worker in self.workers:
            worker.stop()

    def kill(self) -> None:
        for worker in self.workers:
            worker.kill()

    def close(self) -> None:
        """Leave no process behind: idle workers end by themselves, others have no reason to be there any more."""
        end = time.monotonic() + QUIT_SECONDS
        for worker in self.workers:
            if worker.job is None:
                worker.quit()
            else:
                worker.kill()
        for worker in self.workers:
            worker.reap(end - time.monotonic())
        self.workers.clear()

    def summary(self) -> Summary:
        schedule = self.schedule
        return Summary(
            done=tuple(schedule.done),
            failed=tuple(schedule.failed),
            skipped=tuple(schedule.skipped),
            left=tuple(schedule.left()),
            interrupted=self.interrupted,
        )
