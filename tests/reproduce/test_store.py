import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from store_cases import CURVES, FINGERPRINT, OUTCOME, config, finished, identifier, train

from bsgap.errors import CorruptData, UsageError
from reproduce.machine import commit, machine, versions
from reproduce.store import Store

KEY = identifier(config())


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results")


def reopened(store):
    """The store as another process finds it."""
    return Store(store.root, store.published)


def opened(store, settings=None):
    settings = settings or config()
    return store.open(identifier(settings), settings, FINGERPRINT)


def test_a_run_from_open_to_finished(store):
    assert store.status(KEY) == "absent"
    with store.claim(KEY) as held:
        assert held
        folder = opened(store)
        assert store.status(KEY) == "running"
        assert not store.is_done(KEY)
        train(folder)
        store.finish(KEY, "finished", OUTCOME)
    run = reopened(store).run(KEY)
    assert (run.id, run.status, run.published, run.config) == (KEY, "finished", False, config())
    assert run.outcome == OUTCOME
    assert run.metrics().to_csv(index=False) == CURVES
    assert list(run.metrics()) == ["step", "epoch", "examples", "metric", "value"]
    assert run.weights("final") == folder / "weights" / "final.pt"
    assert run.weights("epoch-5") is None
    assert not (folder / "last.ckpt").exists()
    assert store.ids() == [KEY]
    assert store.warnings == []


def test_the_record_says_what_and_where_but_not_who(store):
    record = store.record(finished(store))
    assert record["identity"]["fingerprint"] == FINGERPRINT
    assert set(record["machine"]) == {"processor", "cores", "memory_gib", "accelerator", "os"}
    assert record["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert record["seconds"] == OUTCOME["seconds"]
    assert set(record["digests"]) == {"config.yaml", "outcome.json", "metrics.csv", "weights/final.pt"}
    text = json.dumps([machine(), versions(), commit()])
    assert os.uname().nodename not in text
    assert os.path.expanduser("~") not in text


def test_divergence_is_a_result(store):
    key = finished(store, status="diverged", curves=CURVES + "9,1.1,576,train_loss,nan\n")
    assert reopened(store).status(key) == "diverged"
    assert store.is_done(key)
    assert np.isnan(store.run(key).metrics()["value"].iloc[-1])
    with pytest.raises(UsageError, match="diverged already"):
        opened(store)


def test_finished_runs_are_never_trained_again(store):
    finished(store)
    with pytest.raises(UsageError, match="finished already"):
        opened(store)
    store.fail(KEY, "too late")
    store.interrupt(KEY)
    assert reopened(store).status(KEY) == "finished"
    with pytest.raises(UsageError, match="cannot be finished"):
        store.finish(KEY, "diverged", OUTCOME)


def test_a_done_run_may_be_trained_again_for_weights_that_it_did_not_keep(store):
    finished(store)
    store.put_measurement([KEY], {"kind": "sharpness"}, 1.0, 1)
    assert store.is_done(KEY, ["final"])
    assert not store.is_done(KEY, ["final", "epoch-5"])
    train(store.open(KEY, config(), FINGERPRINT, again=True), weights=("final", "epoch-5"))
    assert not store.is_done(KEY)
    store.finish(KEY, "finished", OUTCOME)
    assert reopened(store).is_done(KEY, ["final", "epoch-5"])
    assert store.measurement([KEY], {"kind": "sharpness"}) == 1.0


def test_half_done_runs_keep_their_resume_point(store):
    folder = opened(store)
    (folder / "last.ckpt").write_bytes(b"resume")
    (folder / ".final.pt.1.part").write_bytes(b"half")
    store.interrupt(KEY)
    assert reopened(store).status(KEY) == "interrupted"
    assert opened(store) == folder
    assert (folder / "last.ckpt").read_bytes() == b"resume"
    assert not (folder / ".final.pt.1.part").exists()
    assert store.record(KEY)["resumed"]


def test_seconds_add_up_over_interruptions(store):
    opened(store)
    time.sleep(0.05)
    store.interrupt(KEY)
    first = store.record(KEY)["seconds"]
    time.sleep(0.05)  # not running: does not count
    opened(store)
    time.sleep(0.05)
    store.finish(KEY, "finished", {"status": "finished"})
    assert first >= 0.05
    assert first + 0.05 <= store.record(KEY)["seconds"] < first + 0.5


def test_failed_runs_keep_their_traceback_until_they_are_retried(store):
    folder = opened(store)
    (folder / "last.ckpt").write_bytes(b"resume")
    store.fail(KEY, "Traceback:\n  out of memory")
    other = reopened(store)
    assert other.status(KEY) == "failed"
    assert other.error(KEY) == "Traceback:\n  out of memory\n"
    opened(other)
    assert other.error(KEY) is None
    assert (folder / "last.ckpt").exists()


def test_a_run_can_fail_before_it_began(store):
    store.fail(KEY, "no such option")
    assert (store.status(KEY), store.error(KEY)) == ("failed", "no such option\n")
    opened(store)


def test_the_id_must_be_that_of_the_config(store):
    with pytest.raises(UsageError, match="hash of its config"):
        store.open(KEY, config(seed=1), FINGERPRINT)
    with pytest.raises(UsageError, match="hash of its config"):
        store.open(KEY, config(), "other data")


def test_bad_endings_are_refused(store):
    with pytest.raises(UsageError, match="open it first"):
        store.finish(KEY, "finished", OUTCOME)
    opened(store)
    with pytest.raises(UsageError, match="finished or diverged, got 'failed'"):
        store.finish(KEY, "failed", OUTCOME)
    with pytest.raises(UsageError, match=r"has no outcome\.json"):
        store.finish(KEY, "finished")
    with pytest.raises(UsageError, match="expected a finished one"):
        store.run(KEY)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-7])


def alter(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("harm", [truncate, alter, os.unlink])
@pytest.mark.parametrize("name", ["config.yaml", "outcome.json", "metrics.csv"])
def test_a_corrupt_run_is_named_set_aside_and_run_again(store, name, harm):
    finished(store)
    harm(store.path(KEY) / name)
    other = reopened(store)
    assert other.status(KEY) == "absent"
    (warning,) = other.warnings
    assert KEY in warning
    assert name in warning
    assert (store.root / "corrupt" / f"{KEY}-1" / "run.json").exists()
    assert finished(other) == KEY
    assert other.is_done(KEY)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"status": "great"}', '{"status": "finished"}', "\udcff"])
def test_a_corrupt_record_is_set_aside(store, text):
    finished(store)
    (store.path(KEY) / "run.json").write_text(text, errors="surrogateescape")
    other = reopened(store)
    assert other.status(KEY) == "absent"
    assert len(other.warnings) == 1


def test_truncated_weights_are_seen_at_once_and_altered_ones_when_opened(store):
    finished(store)
    weights = store.path(KEY) / "weights" / "final.pt"
    alter(weights)
    other = reopened(store)
    run = other.run(KEY)
    with pytest.raises(CorruptData, match=r"weights/final\.pt .* set aside"):
        run.weights("final")
    assert other.status(KEY) == "absent"
    finished(store)
    truncate(weights)
    assert reopened(store).status(KEY) == "absent"
    assert sorted(path.name for path in (store.root / "corrupt").iterdir()) == [f"{KEY}-1", f"{KEY}-2"]


def test_files_of_no_known_run_are_set_aside(store):
    folder = store.path(KEY)
    folder.mkdir(parents=True)
    (folder / "last.ckpt").write_bytes(b"of what?")
    assert store.status(KEY) == "absent"
    opened(store)
    assert not (folder / "last.ckpt").exists()
    assert (store.root / "corrupt" / f"{KEY}-1" / "last.ckpt").exists()


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "weights/../../x.pt", "notes.txt"])
def test_a_record_cannot_name_files_elsewhere(store, name):
    finished(store)
    path = store.path(KEY) / "run.json"
    record = json.loads(path.read_text())
    record["digests"][name] = record["sizes"][name] = 0
    path.write_text(json.dumps(record))
    other = reopened(store)
    assert other.status(KEY) == "absent"
    assert "no file of a run" in other.warnings[0]


def test_measurements_are_keyed_by_runs_and_specification(store):
    first, second = finished(store), finished(store, config(seed=1))
    specification = {"kind": "path", "epsilon": 1e-3, "weights": ["final", "final"], "subspace": None}
    result = {"alphas": np.linspace(0, 1, 3), "loss": np.float32(0.5), "worst": float("nan")}
    store.put_measurement((first, second), specification, result, seconds=2.5)
    other = reopened(store)
    same = {"weights": ("final", "final"), "epsilon": 0.001, "kind": "path"}
    found = other.measurement([first, second], same)
    assert (found["alphas"], found["loss"]) == ([0.0, 0.5, 1.0], 0.5)
    assert np.isnan(found["worst"])
    assert other.measurement_entry([first, second], same)["seconds"] == 2.5
    assert other.measurement([second, first], specification) is None
    assert other.measurement([first], specification) is None
    assert other.measurement([first, second], specification | {"epsilon": 2e-3}) is None


def test_a_measurement_may_stand_without_its_run(store):
    store.put_measurement([KEY], {"kind": "sharpness"}, {"value": 3}, 1)
    assert store.status(KEY) == "absent"
    assert store.ids() == []
    opened(store)
    assert store.measurement([KEY], {"kind": "sharpness"}) == {"value": 3}


@pytest.mark.parametrize("harm", [truncate, alter])
def test_a_corrupt_measurement_is_named_and_set_aside(store, harm):
    finished(store)
    store.put_measurement([KEY], {"kind": "sharpness"}, {"value": 3}, 1)
    (path,) = (store.path(KEY) / "measurements").iterdir()
    harm(path)
    assert store.measurement([KEY], {"kind": "sharpness"}) is None
    assert path.name in store.warnings[0]
    assert (store.root / "corrupt" / f"{KEY}-1" / "measurements" / path.name).exists()
    assert store.is_done(KEY)


def test_measurements_do_not_outlive_the_numbers_that_they_were_taken_on(store):
    finished(store)
    store.put_measurement([KEY], {"kind": "sharpness"}, 3, 1)
    train(store.open(KEY, config(), FINGERPRINT, again=True), curves=CURVES.replace("2.30", "2.31"))
    store.finish(KEY, "finished", OUTCOME)
    assert store.measurement([KEY], {"kind": "sharpness"}) is None
    store.put_measurement([KEY], {"kind": "sharpness"}, 4, 1)
    assert store.measurement([KEY], {"kind": "sharpness"}) == 4


def test_the_status_of_300_runs_is_quick(store, monkeypatch):
    curves = CURVES + "1,1.0,64,train_loss,0.1234567890123456\n" * 500
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)  # 2,000 of them are the disk's time, not the store's
        keys = [finished(store, config(seed=seed), curves=curves) for seed in range(300)]
    other = reopened(store)
    start = time.process_time()
    assert {other.status(key) for key in keys} == {"finished"}
    first = time.process_time()
    assert all(other.is_done(key) for key in keys)
    assert first - start < 0.8
    assert time.process_time() - first < 0.1


def test_looking_creates_nothing(tmp_path):
    store = Store(tmp_path / "none", [tmp_path / "nowhere"])
    assert (store.status(KEY), store.ids(), store.record(KEY), store.error(KEY)) == ("absent", [], {}, None)
    assert store.measurement([KEY], {"kind": "sharpness"}) is None
    assert not store.root.exists()


def test_a_root_that_cannot_be_written_to_is_said(tmp_path):
    (tmp_path / "file").write_text("in the way")
    store = Store(tmp_path / "file" / "results")
    assert store.status(KEY) == "absent"
    for act in (
        lambda: opened(store),
        lambda: store.claim(KEY).__enter__(),
        lambda: store.put_measurement([KEY], {}, 1, 1),
        lambda: store.fail(KEY, "text"),
    ):
        with pytest.raises(UsageError, match=r"cannot be written to .* --out"):
            act()


@pytest.mark.skipif(os.name != "posix", reason="changes the user")
def test_a_read_only_store_can_be_read_and_is_not_written(store, tmp_path):
    finished(store)
    finished(store, config(seed=1))
    truncate(store.path(identifier(config(seed=1))) / "metrics.csv")
    code = """
import os, sys
from reproduce.store import Store
from bsgap.errors import UsageError
import store_cases as cases
if os.getuid() == 0:
    os.setgid(65534); os.setuid(65534)
store = Store(sys.argv[1])
print(store.status(cases.identifier(cases.config())), store.status(cases.identifier(cases.config(seed=1))))
try:
    store.open(cases.identifier(cases.config(seed=2)), cases.config(seed=2), cases.FINGERPRINT)
except UsageError as error:
    print(error)
print(store.warnings)
"""
    folders = [path for path in (*store.root.rglob("*"), store.root) if path.is_dir()]
    for folder in folders:
        folder.chmod(0o555)
    above = tmp_path
    while above.stat().st_uid == os.getuid() and len(above.parts) > 2:  # pytest's folders are private
        above.chmod(above.stat().st_mode | 0o055)
        above = above.parent
    try:
        path = os.pathsep.join([os.path.dirname(__file__), *filter(None, sys.path)])
        found = subprocess.run(
            [sys.executable, "-c", code, str(store.root)],
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert found[0] == "finished absent"
    assert "cannot be written to (Permission denied)" in found[1]
    assert "stays there" in found[2]
