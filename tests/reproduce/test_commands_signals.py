"""A command that is stopped in the middle, and the same command again."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import tiny
import torch

from reproduce.atomic import sha256

EPOCHS = 150  # long enough to be met in the middle
ARGUMENTS = ("--figure", "fig2", "--jobs", "1")


def records(out):
    return {path.parent.name: json.loads(path.read_text()) for path in out.glob("runs/*/run.json")}


def training(out, *, again):
    """Whether a run is being trained, for the second time if `again`."""
    return any(record["status"] == "running" and ("resumed" in record) == again for record in records(out).values())


def wait_for(condition, seconds=200):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


@pytest.mark.slow
def test_stopped_twice_in_mid_run_the_same_command_gives_the_numbers_of_one_that_was_not(command):
    command.recipe(trainer={"max_epochs": EPOCHS})
    script = [sys.executable, tiny.__file__, str(command.folder / "configs"), str(EPOCHS)]
    places = ["keskar", "--out", str(command.out), "--network", "small", "--seeds", "1", "--wandb", "disabled"]
    path = {"PYTHONPATH": str(Path(tiny.__file__).parents[2])}

    process = subprocess.Popen(
        [*script, *places, *ARGUMENTS], cwd=command.folder, env=os.environ | path, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    wait_for(lambda: training(command.out, again=False) or process.poll() is not None)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in out + err
    assert "stopping: one running job saves its state" in err
    assert out.splitlines()[-1] == "interrupted: nothing is lost, the same command continues"
    (first,) = [key for key, record in records(command.out).items() if record["status"] == "interrupted"]
    assert (command.out / "runs" / first / "last.ckpt").exists()
    begun = records(command.out)[first]["started"]

    def press():
        wait_for(lambda: training(command.out, again=True))
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)

    ctrl_c = threading.Thread(target=press)
    ctrl_c.start()
    code, out, _ = command(*ARGUMENTS)
    ctrl_c.join()
    assert code == 130
    point = torch.load(command.out / "runs" / first / "last.ckpt", weights_only=True)
    assert 0 < point["global_step"] < 10 * EPOCHS

    engine = command.inline()
    code, out, _ = command(*ARGUMENTS)
    assert code == 0
    assert sorted(engine.trained()) == ["small, batch 10, seed 0", "small, batch 20, seed 0"]
    ended = records(command.out)
    assert {record["status"] for record in ended.values()} == {"finished"}
    assert ended[first]["started"] == begun
    assert not list(command.out.glob("runs/*/last.ckpt"))
    stopped = {key: sha256(command.out / "runs" / key / "metrics.csv") for key in ended}
    weights = {
        path.name: torch.load(path, weights_only=True) for path in command.out.glob(f"runs/{first}/weights/*.pt")
    }

    command.out = command.folder / "uninterrupted"
    assert command(*ARGUMENTS)[0] == 0
    assert {key: sha256(command.out / "runs" / key / "metrics.csv") for key in ended} == stopped
    for name, state in weights.items():
        other = torch.load(command.out / "runs" / first / "weights" / name, weights_only=True)
        assert all(torch.equal(state[entry], other[entry]) for entry in state)
