"""An engine that does the jobs in the test's own process, one after another, and remembers which."""

import traceback
from typing import ClassVar

from reproduce import worker
from reproduce.engines.jobs import Interrupted, Summary
from reproduce.engines.schedule import Schedule


class InlineEngine:
    """Stands in for `LocalEngine`, whose workers take seconds to start; the jobs themselves are the real ones."""

    log: ClassVar[list] = []  # every job of every engine, in the order in which they were done; a fixture empties it
    before = None  # called with each job: a test makes it fail, or stop the run

    def __init__(self, jobs, threads):
        self.schedule = Schedule()

    @classmethod
    def trained(cls):
        """Labels of the trainings."""
        return [job.label for job in cls.log if job.kind == "train"]

    @classmethod
    def measured(cls):
        """Labels of the measurements."""
        return [job.label for job in cls.log if job.kind != "train"]

    def run(self, jobs, *, on_done, on_failed, progress):
        done, failed = [], []
        self.schedule.add(jobs)
        while (job := self.schedule.pop()) is not None:
            self.log.append(job)
            try:
                if self.before is not None:
                    type(self).before(job)
                result = worker.execute(job.kind, job.payload, lambda state: None)
            except Interrupted:
                return Summary(tuple(done), tuple(failed), (), (job.key,), interrupted=True)
            except Exception:
                on_failed(job, traceback.format_exc())
                self.schedule.fail(job.key)
                failed.append(job.key)
                continue
            more = on_done(job, result)
            self.schedule.finish(job.key)
            self.schedule.add(more or ())
            done.append(job.key)
        return Summary(tuple(done), tuple(failed), tuple(self.schedule.skipped))
