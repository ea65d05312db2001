"""The command, ended by signals: from within this process at a stated step, and from outside as real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from probes import Signalled, same

from bsgap.tasks import ImageClassification

HERE = Path(__file__).parent
AT = 5  # the forward at which something happens: the first micro-batch of step 3, in mid-epoch


@pytest.fixture
def signalled(runs, monkeypatch):
    """The command on a network that sends signals to its own process: exit code and what it wrote to stderr."""
    runs.values["model"]["init_args"]["network"]["class_path"] = "probes.Signalled"

    def main(name, signals, capsys, *options, at=AT, command="fit"):
        monkeypatch.setenv("SIGNALS", signals)
        monkeypatch.setenv("AT", str(at))
        monkeypatch.setattr(Signalled, "forwards", 0)
        capsys.readouterr()
        code = runs.main(name, *options, command=command)
        monkeypatch.delenv("AT")
        return code, capsys.readouterr().err

    return main


# At the first step, at the last of an epoch, and in the next one.
@pytest.mark.parametrize(("name", "at", "step"), [("SIGTERM", 1, 1), ("SIGTERM", AT, 3), ("SIGINT", 6, 4)])
def test_a_signal_stops_after_the_step_and_the_same_command_continues(runs, signalled, capsys, name, at, step):
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    code, errors = signalled("run", name, capsys, at=at)
    folder = runs.root / "run"
    assert code == 130
    assert errors == (
        f"bsgap: interrupted: stopped at step {step}; the same command continues from {folder / 'last.ckpt'}\n"
    )
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert runs.main("run") == 0
    assert json.loads((folder / "outcome.json").read_text())["steps"] == 6


def test_a_second_ctrl_c_ends_at_once(runs, signalled, capsys):
    code, errors = signalled("run", "SIGINT SIGINT", capsys)
    assert code == 130
    assert errors.startswith("bsgap: interrupted: stopped at once; ")
    assert errors.count("\n") == 1
    assert not (runs.root / "run" / "last.ckpt").exists()


def test_a_second_sigterm_is_patient(runs, signalled, capsys):
    """Batch systems send it to the process and to its group."""
    code, errors = signalled("run", "SIGTERM SIGTERM", capsys)
    assert (code, errors.startswith("bsgap: interrupted: stopped at step 3;")) == (130, True)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_before_the_first_step_a_signal_ends_at_once(runs, monkeypatch, capsys, name):
    """The reading of the data, for instance, can be long, and there is nothing to save."""

    def slow(self, stage=None):
        os.kill(os.getpid(), signal.Signals[name])
        raise AssertionError("the signal was not heard")

    monkeypatch.setattr("bsgap.data.ImageData.setup", slow)
    assert runs.main("run") == 130
    errors = capsys.readouterr().err
    assert errors.startswith("bsgap: interrupted: stopped at once; ")
    assert errors.count("\n") == 1


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_in_mid_validation_a_run_still_saves(runs, monkeypatch, capsys, name, final):
    """Lightning's own answer to SIGTERM is to leave a validation at once, with nothing saved."""
    options = ["--data.init_args.validation_examples=40", "--data.init_args.evaluation_batch_size=20"]
    validate, seen = ImageClassification.validation_step, []

    def signalling(self, batch, index):
        seen.append(index)
        if len(seen) == 1:
            os.kill(os.getpid(), signal.Signals[name])
        return validate(self, batch, index)

    monkeypatch.setattr(ImageClassification, "validation_step", signalling)
    assert runs.main("run", *options) == 130
    assert seen == [0, 1]
    assert capsys.readouterr().err.startswith("bsgap: interrupted: stopped at step 3; ")
    assert runs.main("run", *options) == 0
    assert runs.main("whole", *options) == 0
    assert same(final(runs.root / "run"), final(runs.root / "whole"))


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_test_is_ended_at_once(runs, monkeypatch, capsys, name):
    def signalling(self, batch, index):
        os.kill(os.getpid(), signal.Signals[name])
        raise AssertionError("the signal was not heard")

    monkeypatch.setattr(ImageClassification, "test_step", signalling)
    assert runs.main("run", command="test") == 130
    assert capsys.readouterr().err.count("\n") == 1


# Imports once, then forks a process for each name; says their exit codes, in this order, at the end.
NURSERY = """
import os, sys
from pathlib import Path
from bsgap.cli import main, resolve

resolve(Path(f"{sys.argv[1]}/recipe.yaml"))  # builds the parsers, also once
children = []
for name in sys.argv[2:]:
    if not (child := os.fork()):
        os.environ["WAIT"] = f"{sys.argv[1]}/{name}.waits"
        with open(f"{sys.argv[1]}/{name}.pid.part", "w") as stream:
            stream.write(str(os.getpid()))
        for descriptor, kind in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{sys.argv[1]}/{name}.{kind}", os.O_WRONLY | os.O_CREAT), descriptor)
        os.rename(f"{sys.argv[1]}/{name}.pid.part", f"{sys.argv[1]}/{name}.pid")
        code = main(["fit", f"--config={sys.argv[1]}/recipe.yaml", "--resume.every_seconds=0",
                     f"--trainer.default_root_dir={sys.argv[1]}/{name}"])
        sys.stdout.flush()
        os._exit(code)
    children.append(child)
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
"""


def test_real_processes_that_are_killed_and_asked_to_stop(runs, final):
    runs.values["model"]["init_args"]["network"]["class_path"] = "probes.Waiting"
    runs.arguments("recipe")  # writes it
    numbers = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "int": signal.SIGINT}
    path = os.pathsep.join([str(HERE.parent), str(HERE.parents[2])])
    with subprocess.Popen(
        [sys.executable, "-c", NURSERY, str(runs.root), *numbers],
        env={**os.environ, "PYTHONPATH": path, "AT": str(AT)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as nursery:  # fmt: skip
        assert runs.main("whole") == 0
        for name, number in numbers.items():
            wait = runs.root / f"{name}.waits"
            until = time.monotonic() + 100
            while not wait.exists() and time.monotonic() < until:
                time.sleep(0.01)
            os.kill(int((runs.root / f"{name}.pid").read_text()), number)
            wait.unlink()
        out, errors = nursery.communicate(timeout=100)
    assert (out.strip(), errors) == ("[-9, 130, 130]", "")
    assert (runs.root / "kill.err").read_text() == ""
    for name in ("term", "int"):
        path = runs.root / name / "last.ckpt"
        said = f"bsgap: interrupted: stopped at step 3; the same command continues from {path}\n"
        assert [(runs.root / f"{name}.{kind}").read_text() for kind in ("out", "err")] == ["", said]
    expected = {"kill": 2, "term": 3, "int": 3}  # killed in step 3, the last whole save is that of step 2
    for name in numbers:
        folder = runs.root / name
        state = torch.load(folder / "last.ckpt", weights_only=True)
        assert state["global_step"] == expected[name]
        assert runs.main(name, "--resume.every_seconds=0") == 0
        assert same(final(folder), final(runs.root / "whole"))
        assert (folder / "metrics.csv").read_bytes() == (runs.root / "whole" / "metrics.csv").read_bytes()
        assert json.loads((folder / "outcome.json").read_text())["status"] == "finished"
        assert not list(folder.glob("*last.ckpt*"))
        assert not list(folder.glob(".*"))
