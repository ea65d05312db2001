import io
import time

import pytest
from rich.console import Console

from reproduce.engines.jobs import Job
from reproduce.progress import Progress


def job(key):
    return Job(key, "train", f"[bold]network {key}", {}, (), 10.0)


@pytest.fixture
def stream():
    return io.StringIO()


def test_elsewhere_than_on_a_terminal_one_line_for_each_job_that_ends(stream):
    progress = Progress(1, Console(file=stream, width=20))
    with progress:
        progress.added([job("a"), job("b"), job("c"), job("d")])
        progress.started(job("a"))
        progress.update(job("a"), {"epoch": 1, "of": 2})
        progress.done(job("a"), 40.0)
        progress.started(job("b"))
        progress.failed(job("b"))
        progress.skipped([job("c")])
        progress.interrupted(job("d"))
    assert stream.getvalue().splitlines() == [
        "[1/4] [bold]network a: done in 40 s, about 2 min left",
        "[2/4] [bold]network b: failed",
        "[3/4] [bold]network c: skipped, as a job that it needs failed",
        "[4/4] [bold]network d: interrupted",
    ]


def test_on_a_terminal_a_bar_and_a_line_for_each_running_job(stream):
    progress = Progress(2, Console(file=stream, force_terminal=True, width=100, _environ={"TERM": "xterm"}))
    with progress:
        progress.added([job("a"), job("b")])
        progress.started(job("a"))
        progress.update(job("a"), {"epoch": 3, "of": 8, "loss": 0.12345, "split": "train"})
        time.sleep(0.4)
        progress.failed(job("b"))
    text = stream.getvalue()
    assert "0/2 jobs, about" in text
    assert "[bold]network a" in text
    assert "epoch 3/8, loss 0.123, split train" in text
    assert "[1/2] [bold]network b: failed" in text


@pytest.mark.parametrize(
    "state", [{}, {"of": 3}, {"phase": "sharpness"}, {"epoch": 1, "of": 0}, {"epoch": "?", "of": "?"}]
)
def test_odd_progress_is_no_error(stream, state):
    progress = Progress(1, Console(file=stream))
    progress.added([job("a")])
    progress.started(job("a"))
    progress.update(job("a"), state)
    progress.done(job("a"), 1.0)


def test_silent(capfd):
    with Progress(silent=True) as progress:
        progress.added([job("a")])
        progress.done(job("a"), 1.0)
        progress.note("nobody hears this")
    assert capfd.readouterr() == ("", "")


def test_writes_to_standard_error_by_default(capfd):
    with Progress() as progress:
        progress.added([job("a")])
        progress.done(job("a"), 1.0)
    assert capfd.readouterr() == ("", "[1/1] [bold]network a: done in 1.0 s\n")
