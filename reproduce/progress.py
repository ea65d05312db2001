"""What the user sees while jobs run, on standard error.

On a terminal: a bar over all jobs with the time that remains, and a line for each running job. Elsewhere (a file, a
batch system's log): one line for each job that ends.
"""

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from reproduce.engines.eta import RemainingTime, duration
from reproduce.engines.jobs import Job


class Progress:
    """Display of a run of an engine, which calls the methods below; a context while jobs run.

    Args:
        workers: Number of jobs that run at once, for the remaining time.
        console: Where to write; standard error by default.
        silent: Show nothing.
    """

    def __init__(self, workers: int = 1, console: Console | None = None, *, silent: bool = False) -> None:
        self._console = console or Console(stderr=True, quiet=silent)
        self._remaining = RemainingTime(workers)
        self._states: dict[str, tuple[str, str]] = {}  # key of a running job -> its label, how far it is
        self._total = 0
        self._ended = 0
        self._live: Live | None = None
        if self._console.is_terminal and not self._console.is_dumb_terminal and not silent:
            self._live = Live(console=self._console, get_renderable=self._render, refresh_per_second=4, transient=True)

    def __enter__(self) -> "Progress":
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def added(self, jobs: Iterable[Job]) -> None:
        """There are more jobs to do."""
        for job in jobs:
            self._total += 1
            self._remaining.add(job)

    def started(self, job: Job) -> None:
        """The job was given to a worker."""
        self._remaining.start(job)
        self._states[job.key] = (job.label, "")

    def update(self, job: Job, state: Mapping[str, Any]) -> None:
        """How far the job is: `{"epoch": 3, "of": 10}`, with any unit for "epoch"; further entries are shown too."""
        unit = next((name for name in state if name != "of"), None)
        if unit is None:
            return
        value, of = state[unit], state.get("of")
        text = f"{unit} {value}"
        if of:
            text += f"/{of}"
            if isinstance(value, int | float) and isinstance(of, int | float):
                self._remaining.advance(job, value / of)
        for name, value in state.items():
            if name not in (unit, "of"):
                text += f", {name} {value:.3g}" if isinstance(value, float) else f", {name} {value}"
        self._states[job.key] = (job.label, text)

    def done(self, job: Job, seconds: float) -> None:
        """The job is done and took so long."""
        self._end(job, seconds)
        if not self._live:
            left = self._remaining.seconds()
            rest = f", about {duration(left)} left" if self._ended < self._total else ""
            self._say(job, f"done in {duration(seconds)}{rest}")

    def failed(self, job: Job) -> None:
        """The job failed."""
        self._end(job)
        self._say(job, "failed", "red")

    def interrupted(self, job: Job) -> None:
        """The job was stopped before its end."""
        self._end(job)
        self._say(job, "interrupted")

    def skipped(self, jobs: Iterable[Job]) -> None:
        """The jobs will not run because one that they come after failed."""
        for job in jobs:
            self._end(job)
            self._say(job, "skipped, as a job that it needs failed", "yellow")

    def note(self, text: str) -> None:
        """Something else that the user should know."""
        self._console.print(Text(text), soft_wrap=True)

    def _end(self, job: Job, seconds: float | None = None) -> None:
        self._ended += 1
        self._states.pop(job.key, None)
        self._remaining.end(job, seconds)

    def _say(self, job: Job, text: str, style: str = "") -> None:
        self._console.print(Text(f"[{self._ended}/{self._total}] {job.label}: {text}", style), soft_wrap=True)

    def _render(self) -> Table:
        """Drawn by a thread of its own, a few times a second, so it works on copies."""
        bar = ProgressBar(total=1.0, completed=self._remaining.share_done(), width=30)
        table = Table.grid(padding=(0, 2))
        table.add_row(bar, Text(f"{self._ended}/{self._total} jobs, about {duration(self._remaining.seconds())} left"))
        for label, text in list(self._states.values()):
            table.add_row(Text(label, overflow="ellipsis", no_wrap=True), Text(text))
        return table
