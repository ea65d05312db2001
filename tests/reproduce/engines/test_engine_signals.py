"""Stopping: a script runs the engine, the test signals it as a terminal, a batch system or the kernel would."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = """
import signal, sys
for number in (signal.SIGINT, signal.SIGHUP):  # as a terminal leaves them, also when the tests run under nohup
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
from reproduce.engines.jobs import Job
from reproduce.engines.local import LocalEngine
from reproduce.progress import Progress

folder, kind, grace = sys.argv[1], sys.argv[2], float(sys.argv[3])
jobs = [Job(name, kind, name, {"folder": folder, "name": name}) for name in ("one", "two", "three")]
engine = LocalEngine(2, 1, "engine_tasks:execute", grace=grace)
errors = []
def failed(job, text):
    errors.append(text)
summary = engine.run(jobs, on_done=lambda job, result: (), on_failed=failed, progress=Progress(2))
print(summary.interrupted, *summary.left, sep=",", flush=True)
sys.exit(len(errors))
"""


class Run:
    """The script, in a session of its own as under a terminal, with two jobs running."""

    def __init__(self, folder, kind, grace):
        here = Path(__file__).parent
        path = os.pathsep.join([str(here), str(here.parents[2])])
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(folder), kind, str(grace)],
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        wait_until(lambda: len(self.pids()) == 2, 20.0)

    def pids(self):
        return [int(text) for file in self.folder.glob("*.pid") if (text := file.read_text())]

    def alive(self):
        """Workers that run; one that has ended and waits for init to collect it does not."""
        states = [
            subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
            for pid in self.pids()
        ]
        return [state for state in states if state.strip() and not state.startswith("Z")]

    def end(self, seconds):
        """Exit code, standard output and error, and how long it took."""
        start = time.monotonic()
        out, err = self.process.communicate(timeout=seconds)
        return self.process.returncode, out, err, time.monotonic() - start

    def saved(self):
        return sorted(file.stem for file in self.folder.glob("*.saved"))


@pytest.fixture
def start(tmp_path):
    runs = []

    def begin(kind, grace=20.0):
        runs.append(Run(tmp_path, kind, grace))
        return runs[-1]

    yield begin
    for run in runs:
        if run.process.poll() is None:
            os.killpg(run.process.pid, signal.SIGKILL)
        run.process.communicate()


def wait_until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_ctrl_c_lets_jobs_save_their_state(start):
    run = start("polite")
    os.killpg(run.process.pid, signal.SIGINT)  # a terminal signals the whole group, workers too
    code, out, err, seconds = run.end(10)
    assert (code, out) == (0, "True,one,two,three\n")
    assert run.saved() == ["one", "two"]
    assert seconds < 5
    assert not run.alive()
    assert "Traceback" not in err
    assert "stopping: 2 running jobs save their state" in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_termination_of_the_parent_lets_jobs_save_their_state(start, number):
    run = start("polite")
    run.process.send_signal(number)
    code, out, err, _ = run.end(10)
    assert (code, out) == (0, "True,one,two,three\n")
    assert run.saved() == ["one", "two"]
    assert not run.alive()
    assert "Traceback" not in err


def test_termination_of_the_whole_group_is_no_failure(start):
    """As batch systems do it."""
    run = start("polite")
    os.killpg(run.process.pid, signal.SIGTERM)
    code, out, err, _ = run.end(10)
    assert (code, run.saved()) == (0, ["one", "two"])
    assert out.startswith("True,one,two")
    assert "Traceback" not in err


def test_a_signal_that_arrives_twice_is_one(start):
    """`timeout` and launchers pass on what the process has already got."""
    run = start("polite")
    run.process.send_signal(signal.SIGINT)
    time.sleep(0.03)
    run.process.send_signal(signal.SIGTERM)
    assert run.end(10)[0] == 0
    assert run.saved() == ["one", "two"]


def test_jobs_that_do_not_stop_are_killed_after_the_grace_period(start):
    run = start("deaf", grace=1.0)
    run.process.send_signal(signal.SIGINT)
    code, out, err, seconds = run.end(10)
    assert (code, out) == (0, "True,one,two,three\n")
    assert 0.8 < seconds < 4
    assert not run.alive()
    assert "Traceback" not in err


def test_a_second_ctrl_c_kills_at_once(start):
    run = start("deaf", grace=60.0)
    run.process.send_signal(signal.SIGINT)
    time.sleep(0.6)
    run.process.send_signal(signal.SIGINT)
    code, out, err, seconds = run.end(10)
    assert (code, out) == (0, "True,one,two,three\n")
    assert seconds < 3
    assert not run.alive()
    assert "Traceback" not in err


def test_workers_of_a_killed_parent_save_their_state_and_end(start):
    run = start("polite")
    run.process.kill()
    wait_until(lambda: not run.alive(), 4.0)
    assert run.saved() == ["one", "two"]


def test_workers_of_a_killed_parent_end_in_any_case(start):
    run = start("deaf")
    run.process.kill()
    wait_until(lambda: not run.alive(), 9.0)
