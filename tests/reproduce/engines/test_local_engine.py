"""The local engine with real processes."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bsgap.errors import UsageError
from reproduce.engines import pool
from reproduce.engines.jobs import Job
from reproduce.engines.local import LocalEngine
from reproduce.progress import Progress

TASK = "engine_tasks:execute"


@pytest.fixture(autouse=True)
def _tasks(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


def job(key, kind="echo", *after, estimate=1.0, **payload):
    return Job(key, kind, key, payload, after, estimate)


class Record:
    """Callbacks that remember what they were called with."""

    def __init__(self, more=None):
        self.results, self.errors, self.more = {}, {}, more or {}

    def on_done(self, job, result):
        self.results[job.key] = result
        return self.more.get(job.key)

    def on_failed(self, job, text):
        self.errors[job.key] = text


def run(jobs, workers=1, *, record=None, threads=1, task=TASK, progress=None):
    record = record or Record()
    engine = LocalEngine(workers, threads, task)
    summary = engine.run(jobs, on_done=record.on_done, on_failed=record.on_failed, progress=progress)
    return summary, record


def children():
    """Processes of ours that have not ended; those that end are reaped by the engine, not here."""
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=True)
    rows = [line.split(None, 3) for line in listing.stdout.splitlines()]
    return [row for row in rows if int(row[1]) == os.getpid() and not row[3].startswith("ps -A")]


def test_workers_run_at_the_same_time():
    summary, record = run([job(name, "timed", seconds=0.5) for name in "abcd"], workers=2)
    assert sorted(summary.done) == list("abcd")
    spans = record.results.values()
    assert max(span["end"] for span in spans) - min(span["start"] for span in spans) < 1.8  # 2 s one after another
    assert len({span["pid"] for span in spans}) == 2


def test_one_worker_serves_many_jobs_and_is_not_this_process():
    _, record = run([job(name) for name in "abc"])
    (pid,) = {result["pid"] for result in record.results.values()}
    assert pid != os.getpid()


def test_no_more_workers_than_jobs_and_none_without():
    _, record = run([job("a")], workers=8)
    assert len(record.results) == 1
    before = children()
    summary, _ = run([], workers=8)
    assert summary == type(summary)()
    assert children() == before


def test_order_is_dependencies_then_longest_first():
    jobs = [
        job("short"),
        job("late", "echo", "early", estimate=99.0),
        job("long", estimate=9.0),
        job("early", estimate=2.0),
    ]
    summary, _ = run(jobs)
    assert summary.done == ("long", "early", "late", "short")


def test_on_done_adds_jobs_also_after_finished_ones():
    record = Record({"a": [job("b", "echo", "a"), job("a")], "b": [job("c", "echo", "a", "b")]})
    summary, _ = run([job("a", value=3)], record=record)
    assert summary.done == ("a", "b", "c")
    assert record.results["a"]["value"] == 3


def test_a_failing_job_fails_alone_and_its_output_comes_with_the_traceback():
    jobs = [job("before", estimate=9), job("bad", "fail", estimate=5), job("after"), job("needs", "echo", "bad")]
    summary, record = run(jobs)
    assert (summary.done, summary.failed, summary.skipped) == (("before", "after"), ("bad",), ("needs",))
    assert "RuntimeError: this job is meant to fail" in record.errors["bad"]
    assert 'raise RuntimeError("this job is meant to fail")' in record.errors["bad"]
    assert "printed before the failure\nand on standard error" in record.errors["bad"]
    assert record.results["before"]["pid"] == record.results["after"]["pid"]  # the worker went on


def test_output_of_other_jobs_is_not_quoted():
    _, record = run([job("first", "fail", estimate=5), job("second", "leave")])
    assert "printed before" not in record.errors["second"]
    assert "SystemExit: 2" in record.errors["second"]


def test_workers_print_nothing_here(capfd):
    run([job("bad", "fail")])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("number", "name"), [(signal.SIGKILL, "SIGKILL"), (signal.SIGSEGV, "SIGSEGV")])
def test_a_worker_that_dies_fails_its_job_only(number, name):
    jobs = [job("dies", "die", estimate=5, signal=number), job("needs", "echo", "dies"), job("a"), job("b")]
    summary, record = run(jobs)
    assert (summary.done, summary.failed, summary.skipped) == (("a", "b"), ("dies",), ("needs",))
    assert name in record.errors["dies"]
    assert "about to die" in record.errors["dies"]
    if number == signal.SIGSEGV:
        assert "engine_tasks.py" in record.errors["dies"]  # faulthandler's stack


def test_a_worker_that_is_terminated_leaves_its_job_for_the_next_time(tmp_path):
    def terminate():
        while not (file := tmp_path / "polite.pid").exists() or not file.read_text():
            time.sleep(0.02)
        os.kill(int(file.read_text()), signal.SIGTERM)

    thread = threading.Thread(target=terminate)
    thread.start()
    jobs = [
        job("polite", "polite", estimate=9, folder=str(tmp_path), name="polite"),
        job("needs", "echo", "polite"),
        job("a"),
    ]
    summary, record = run(jobs)
    thread.join()
    assert (tmp_path / "polite.saved").exists()
    assert summary.interrupted
    assert (summary.done, summary.failed, summary.left) == (("a",), (), ("polite", "needs"))
    assert not record.errors


def test_an_idle_worker_that_is_terminated_loses_no_job():
    class Killer(Record):
        def on_done(self, job, result):
            super().on_done(job, result)
            os.kill(result["pid"], signal.SIGTERM)
            time.sleep(float(job.key))  # the next job is given while the worker ends, or after its end

    record = Killer()
    jobs = [job(str(pause)) for pause in (0.0, 0.01, 0.03, 0.3)]
    summary, _ = run(jobs, record=record)
    assert len(summary.done) == 4
    assert not summary.interrupted
    assert len({result["pid"] for result in record.results.values()}) == 4


def test_results_and_payloads_that_cannot_travel_fail_their_job():
    jobs = [
        job("result", "unpicklable", estimate=3),
        job("reading", "ill", estimate=2),
        job("payload", function=lambda: None),
        job("fine", estimate=0.5),
    ]
    summary, record = run(jobs)
    assert (set(summary.failed), summary.done) == ({"result", "reading", "payload"}, ("fine",))
    assert "cannot be sent to the parent" in record.errors["result"]
    assert "refuses to be unpickled" in record.errors["reading"]
    assert "pickle" in record.errors["payload"]


def test_a_result_that_cannot_be_stored_fails_its_job():
    class Full(Record):
        def on_done(self, job, result):
            if job.key == "a":
                raise OSError("no space left on device")

    record = Full()
    summary, _ = run([job("a", estimate=2), job("b"), job("c", "echo", "a")], record=record)
    assert (summary.done, summary.failed, summary.skipped) == (("b",), ("a",), ("c",))
    assert "no space left" in record.errors["a"]


def test_jobs_that_can_never_start_fail_with_the_reason():
    jobs = [
        job("a", "echo", "nobody"),
        job("b", "echo", "a"),
        job("x", "echo", "y"),
        job("y", "echo", "x"),
        job("fine"),
    ]
    summary, record = run(jobs)
    assert summary.done == ("fine",)
    assert "nobody, which is not among the jobs" in record.errors["a"]
    assert "comes after itself" in record.errors["x"]
    assert (summary.failed, summary.skipped) == (("a", "x"), ("b", "y"))


def test_a_task_that_cannot_be_imported_is_each_jobs_failure():
    summary, record = run([job("a"), job("b")], task="no_such_module:execute")
    assert summary.failed == ("a", "b")
    assert "No module named 'no_such_module'" in record.errors["b"]


def test_jobs_do_not_see_each_other():
    """Same bits whatever ran before in the same worker."""
    _, alone = run([job("b", "state")])
    _, together = run([job("a", "state", estimate=2), job("b", "state")])
    assert together.results["b"] == alone.results["b"]
    assert together.results["a"]["draw"] != together.results["b"]["draw"]
    assert alone.results["b"]["leak"] is None
    assert alone.results["b"]["argv"] == []


def test_threads_are_set_before_torch_is_loaded(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    _, record = run([job("first", "threads", estimate=2), job("second", "threads")], threads=2)
    variables = {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    assert record.results["first"] == {"early": False, "torch": 2, "variables": variables}
    assert record.results["second"] == {"early": True, "torch": 2, "variables": variables}


def test_progress_reaches_the_display():
    states = []

    class Spy(Progress):
        def update(self, job, state):
            states.append((job.key, state))

    run([job("a", "report", of=3, pause=0.1)], progress=Spy(silent=True))
    assert states == [("a", {"epoch": epoch, "of": 3}) for epoch in (1, 2, 3)]


def test_a_flood_of_progress_is_thinned_out_and_slows_nothing():
    count = 0

    class Spy(Progress):
        def update(self, job, state):
            nonlocal count
            count += 1

    start = time.monotonic()
    run([job("a", "report", of=20_000)], progress=Spy(silent=True))
    assert count <= 1 + (time.monotonic() - start) / 0.05


def test_no_process_is_left_also_when_a_callback_breaks(tmp_path):
    class Broken(Record):
        def on_failed(self, job, text):
            raise LookupError("a fault of the caller")

    before = children()
    jobs = [job("deaf", "deaf", estimate=9, folder=str(tmp_path), name="deaf"), job("bad", "fail")]
    with pytest.raises(LookupError, match="a fault of the caller"):
        run(jobs, workers=2, record=Broken())
    assert children() == before


def test_a_job_costs_little_more_than_its_pickling():
    start = time.monotonic()
    _, record = run([job(str(i)) for i in range(200)])
    assert len(record.results) == 200
    assert (time.monotonic() - start) / 200 < 0.03


def test_runs_outside_of_the_main_thread():
    outcome = []
    thread = threading.Thread(target=lambda: outcome.append(run([job("a")])[0]))
    thread.start()
    thread.join()
    assert outcome[0].done == ("a",)


def test_the_callers_signal_handlers_come_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    run([job("a")])
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


@pytest.mark.parametrize(
    ("options", "flag"), [({"jobs": 0}, "--jobs"), ({"jobs": -2}, "--jobs"), ({"threads": 0}, "--threads")]
)
def test_counts_that_make_no_sense(options, flag):
    with pytest.raises(UsageError, match=f"{flag} must be at least 1, got"):
        LocalEngine(**{"jobs": 1, "threads": 1, **options})


def test_a_task_must_name_a_function():
    with pytest.raises(ValueError, match="module:function"):
        LocalEngine(1, 1, "reproduce.worker")


def test_nobody_is_asked_to_stop_outside_of_a_worker():
    assert not pool.should_stop()


def test_importing_the_engine_loads_no_torch():
    code = "import sys, reproduce.engines.local; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
