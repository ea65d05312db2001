"""Two processes on one store, for real."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from store_cases import CURVES, FINGERPRINT, OUTCOME, config, finished, identifier, train

from bsgap.errors import CorruptData
from reproduce.store import Store

KEY = identifier(config())
NO_TORCH = "from reproduce import machine; machine._accelerator = lambda: None\n"  # seconds of import a process
HOLD = """
import sys
from store_cases import *
from reproduce.store import Store
store = Store(sys.argv[1])
key = identifier(config())
with store.claim(key):
    train(store.open(key, config(), FINGERPRINT))
    print("held", flush=True)
    sys.stdin.readline()
    store.finish(key, "finished", OUTCOME)
"""
COMPETE = """
import sys, os
from store_cases import *
from reproduce.store import Store
store = Store(sys.argv[1])
trained = 0
for seed in range(6):
    key = identifier(config(seed=seed))
    with store.claim(key, wait=sys.argv[2] == "wait") as held:
        if held and not store.is_done(key):
            train(store.open(key, config(seed=seed), FINGERPRINT), curves=CURVES * 50)
            store.finish(key, "finished", OUTCOME)
            trained += 1
    store.put_measurement([key], {"kind": "sharpness", "by": "both"}, {"value": list(range(500))}, 1)
    store.status(key)
assert store.warnings == [], store.warnings
print(trained)
"""


@pytest.fixture
def start(tmp_path):
    """Start a Python process on the store; what is left of them is ended with the test."""
    started = []

    def run(code, *arguments):
        path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])])
        process = subprocess.Popen(
            [sys.executable, "-c", NO_TORCH + code, str(tmp_path), *arguments],
            env=os.environ | {"PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def test_another_process_is_seen_and_waited_for(tmp_path, start):
    process = start(HOLD)
    assert process.stdout.readline() == "held\n"
    store = Store(tmp_path)
    assert store.status(KEY) == "running"
    with store.claim(KEY, wait=False) as held:
        assert not held
    store.fail(KEY, "not mine to fail")
    store.interrupt(KEY)
    store.set_aside(KEY, "not mine to judge")
    assert store.status(KEY) == "running"
    process.stdin.write("finish\n")
    process.stdin.flush()
    with store.claim(KEY) as held:
        assert held
        assert store.is_done(KEY)
    assert process.wait(10) == 0


def test_a_killed_process_frees_its_run(tmp_path, start):
    process = start(HOLD)
    assert process.stdout.readline() == "held\n"
    store = Store(tmp_path)
    assert store.status(KEY) == "running"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert store.status(KEY) == "interrupted"
    with store.claim(KEY, wait=False) as held:
        assert held
        folder = store.open(KEY, config(), FINGERPRINT)
        assert (folder / "last.ckpt").exists()


@pytest.mark.parametrize("how", ["wait", "skip"])
def test_processes_that_want_the_same_runs_train_each_once(tmp_path, start, how):
    processes = [start(COMPETE, how) for _ in range(3)]
    trained = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert all(process.returncode == 0 for process in processes)
    assert sum(trained) == 6
    store = Store(tmp_path)
    for seed in range(6):
        key = identifier(config(seed=seed))
        assert store.is_done(key, ["final"])
        assert store.measurement([key], {"by": "both", "kind": "sharpness"})["value"][-1] == 499
    assert store.warnings == []


def test_a_status_that_is_asked_for_does_not_take_the_run_away(tmp_path, start):
    store = Store(tmp_path)
    with store.claim(KEY):
        store.open(KEY, config(), FINGERPRINT)
    asking = start(
        "import sys, time\nfrom store_cases import *\nfrom reproduce.store import Store\nstore = Store(sys.argv[1])\n"
        "print('asking', flush=True)\nwhile True: store.status(identifier(config()))"
    )
    assert asking.stdout.readline() == "asking\n"
    for _ in range(20):
        with store.claim(KEY, wait=False) as held:
            assert held


def test_files_are_whole_to_whoever_reads_while_they_are_written(tmp_path, start):
    rewrite = """
import sys
from store_cases import *
from reproduce.store import Store
store = Store(sys.argv[1])
key = identifier(config())
print("writing", flush=True)
while True:
    with store.claim(key):
        train(store.open(key, config(), FINGERPRINT))
        store.interrupt(key)
    store.put_measurement([key], {"kind": "path"}, {"value": list(range(3000))}, 1)
"""
    process = start(rewrite)
    assert process.stdout.readline() == "writing\n"
    store, seen, end = Store(tmp_path), set(), time.monotonic() + 1.0
    while time.monotonic() < end:
        seen.add(store.status(KEY))
        found = store.measurement([KEY], {"kind": "path"})
        assert found is None or len(found["value"]) == 3000
    assert seen <= {"absent", "running", "interrupted"}
    assert store.warnings == []


def test_a_claim_is_not_taken_twice_by_its_holder(tmp_path):
    store = Store(tmp_path)
    with store.claim(KEY):
        with store.claim(KEY, wait=False) as held:
            assert not held
        with pytest.raises(RuntimeError, match="wait for itself"), store.claim(KEY):
            pass
    with store.claim(KEY, wait=False) as held:
        assert held


def test_a_claim_is_freed_by_an_error(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(ZeroDivisionError), store.claim(KEY):
        raise ZeroDivisionError
    with Store(tmp_path).claim(KEY, wait=False) as held:
        assert held


def test_a_run_set_aside_and_begun_anew_elsewhere_is_not_set_aside_again(tmp_path):
    first, second = Store(tmp_path), Store(tmp_path)
    finished(first)
    (first.path(KEY) / "metrics.csv").write_text("short")
    first = Store(tmp_path)  # digests are checked once a process
    assert first.status(KEY) == "absent"
    with first.claim(KEY):
        train(first.open(KEY, config(), FINGERPRINT))
        assert second.status(KEY) == "running"
        first.finish(KEY, "finished", OUTCOME)
    assert second.is_done(KEY)
    assert second.run(KEY).metrics().to_csv(index=False) == CURVES
    assert len(list((tmp_path / "corrupt").iterdir())) == 1


def test_a_judgement_on_a_run_that_was_trained_anew_meanwhile_does_not_hold(tmp_path):
    finished(Store(tmp_path))
    slow, quick = Store(tmp_path), Store(tmp_path)
    run = slow.run(KEY)
    weights = slow.path(KEY) / "weights" / "final.pt"
    weights.write_bytes(b"x" * weights.stat().st_size)
    quick.set_aside(KEY, "its weights are altered")
    finished(quick)
    weights.write_bytes(b"x" * weights.stat().st_size)  # as `slow` would have read before
    with pytest.raises(CorruptData):
        run.weights("final")
    assert weights.exists()
    assert len(list((tmp_path / "corrupt").iterdir())) == 1
