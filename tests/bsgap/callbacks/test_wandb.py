"""W&B: real offline runs, read back from the files that `wandb sync` would send; and a W&B that fails."""

import json
import struct
import time
import warnings

import pytest
import wandb
from wandb.proto import wandb_internal_pb2

from bsgap.callbacks import resume
from bsgap.callbacks import wandb as ours
from bsgap.errors import Interrupted

KEY = "0123456789abcdef" * 2 + "01234567"


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """An environment of its own for W&B, with an API key that must not be found in any file."""
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    for name in ("CONFIG", "CACHE", "DATA"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(tmp_path / "wandb-own"))
    yield
    wandb.teardown()


def records(path):
    """The records of a W&B file: LevelDB's log format (blocks of 32 KiB; checksum, length, type), after a header."""
    content, position, parts = path.read_bytes(), 7, b""
    assert content[:4] == b":W&B"
    while position + 7 <= len(content):
        if 32768 - position % 32768 < 7:  # the rest of a block is too short for a record
            position += 32768 - position % 32768
            continue
        _, length, kind = struct.unpack("<IHB", content[position : position + 7])
        parts += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            yield wandb_internal_pb2.Record.FromString(parts)
            parts = b""


def read(folder):
    """What W&B holds of the runs in `folder`: for each file, in order, the run, its configuration and its history."""
    found = []
    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb"), key=lambda path: path.stat().st_mtime):
        run, config, history, exit_code = None, {}, [], None
        for record in records(path):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                run = record.run
                config |= {item.key: json.loads(item.value_json) for item in run.config.update}
            elif kind == "config":
                config |= {item.key: json.loads(item.value_json) for item in record.config.update}
            elif kind == "history":
                items = record.history.item
                history.append({".".join(i.nested_key) or i.key: json.loads(i.value_json) for i in items})
            elif kind == "exit":
                exit_code = record.exit.exit_code
        found.append((run, config, history, exit_code))
    return found


OPTIONS = ["--wandb.mode=offline", "--wandb.project=gap", "--wandb.group=keskar", "--wandb.tags=[demo,F1]",
           "--wandb.id=abc123"]  # fmt: skip


def rows(folder):
    """Step -> metric -> value, of a run's own file."""
    found = {}
    for line in (folder / "metrics.csv").read_text().splitlines()[1:]:
        step, epoch, examples, name, value = line.split(",")
        found.setdefault(int(step), {"epoch": float(epoch), "examples": int(examples)})[name] = float(value)
    return found


def logged(history):
    return {row["_step"]: {k: v for k, v in row.items() if not k.startswith("_")} for row in history}


def test_an_interrupted_run_and_its_continuation(runs, offline, monkeypatch):
    asked = []
    monkeypatch.setattr(resume, "should_stop", lambda: asked.append(1) or len(asked) == 3)
    with pytest.raises(Interrupted):
        runs.fit("run", *OPTIONS)
    folder = runs.root / "run"
    while time.strftime("%Y%m%d_%H%M%S") in str(list(folder.glob("wandb/offline-run-*"))):
        time.sleep(0.01)  # W&B names its folders by the second
    runs.fit("run", *OPTIONS)
    wandb.teardown()  # W&B's own process has now written what it has
    (first, _, before, interrupted), (second, config, history, finished) = read(folder)
    for run in (first, second):
        assert (run.run_id, run.project, run.run_group, list(run.tags)) == ("abc123", "gap", "keskar", ["demo", "F1"])
    assert (interrupted, finished) == (1, 0)
    # The files of the second sitting are whole: what W&B shows does not depend on which are synchronised.
    assert logged(history) == rows(folder)
    assert logged(before) == {step: row for step, row in rows(folder).items() if step <= 3}
    # The configuration is the resolved recipe, with what the data turned out to be.
    assert config["seed_everything"] == 3
    assert config["model"]["init_args"]["optimizer"]["init_args"]["lr"] == 0.1
    assert config["model"]["init_args"]["network"]["init_args"] == {"width": 8}
    assert config["data"]["init_args"]["batch_size"] == 16
    assert config["data"]["describe"]["train_examples"] == 40
    assert config["trainer"]["max_epochs"] == 2
    for path in runs.root.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path


def test_no_file_names_the_machine_or_its_user(offline, tmp_path, monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "a-host-of-that-name")
    monkeypatch.setattr("getpass.getuser", lambda: "somebody-at-home")
    run = ours.start(mode="offline", folder=tmp_path, identity="0123", project="gap", group=None, tags=None)
    run.log({"loss": 1.0})
    run.finish()
    wandb.teardown()  # finish does not wait for W&B's own process, which is still writing
    (path,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    (record,) = [record.run for record in records(path) if record.WhichOneof("record_type") == "run"]
    assert record.run_id == "0123"
    assert record.host == ""
    for file in (path for path in tmp_path.rglob("*") if path.is_file()):
        content = file.read_bytes()
        assert b"a-host-of-that-name" not in content
        assert b"somebody-at-home" not in content


def test_disabled_writes_nothing(runs, monkeypatch):
    monkeypatch.setattr(wandb, "init", lambda **_: pytest.fail("W&B was begun"))
    folder = runs.fit("run", "--wandb.mode=disabled", "--wandb.id=abc123")
    assert not (folder / "wandb").exists()


class Broken:
    """A run whose methods fail."""

    def __init__(self, *failing):
        self.calls, self.failing = [], failing

    def log(self, values, step):
        self._do("log")

    def finish(self, exit_code=0):
        self._do("finish")

    def _do(self, name):
        self.calls.append(name)
        if name in self.failing:
            raise wandb.errors.CommError("no network")


@pytest.mark.parametrize(
    ("failing", "said"), [("init", "left out of this run"), ("log", "left out from here on"), ("finish", "left out")]
)
def test_whatever_fails_in_wandb_the_run_goes_on(runs, monkeypatch, failing, said):
    broken = Broken(failing)

    def init(**_):
        broken._do("init")
        return broken

    monkeypatch.setattr(wandb, "init", init)
    with pytest.warns(UserWarning, match=f"W&B is {said}.*CommError: no network") as caught:
        folder = runs.fit("run", *OPTIONS)
    assert len(caught) == 1
    assert json.loads((folder / "outcome.json").read_text())["status"] == "finished"
    # After the first failure it is left alone.
    assert broken.calls == {"init": ["init"], "log": ["init", "log"]}.get(failing, ["init"] + 5 * ["log"] + ["finish"])


def test_a_run_that_fails_is_ended_as_such(runs, monkeypatch):
    ends = []
    run = Broken()
    run.finish = lambda exit_code=0: ends.append(exit_code)
    monkeypatch.setattr(wandb, "init", lambda **_: run)
    monkeypatch.setattr("bsgap.tasks.ImageClassification.training_step", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        runs.fit("run", *OPTIONS)
    assert ends == [1]


def test_wandb_that_is_not_installed(runs, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    with pytest.warns(UserWarning, match="W&B is left out of this run: ModuleNotFoundError"):
        runs.fit("run", *OPTIONS)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.warns(UserWarning, match="left out"):
        assert ours.start(mode="offline", folder=tmp_path / "file" / "x", identity=None, project="p", group=None,
                          tags=None) is None  # fmt: skip


def test_without_an_id_w_and_b_chooses_one(monkeypatch, tmp_path):
    given = {}
    monkeypatch.setattr(wandb, "init", lambda **options: given.update(options))
    with warnings.catch_warnings():
        ours.start(mode="offline", folder=tmp_path, identity=None, project="p", group=None, tags=None)
    assert (given["id"], given["resume"]) == (None, None)
    ours.start(mode="online", folder=tmp_path, identity="abc", project="p", group=None, tags=None)
    assert (given["id"], given["resume"], given["mode"]) == ("abc", "allow", "online")
