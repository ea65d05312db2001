"""A run that is interrupted and continued has the bits of one that is not: weights, curves, what was kept."""

import json
import os
import signal
import time

import pytest
import pytorch_lightning as pl
import torch
from probes import same

from bsgap.callbacks import ResumePoint, resume
from bsgap.errors import Interrupted, UsageError

STEPS = 6  # of the recipe: two epochs of three


@pytest.fixture
def interrupt(monkeypatch):
    """Make the question whether to stop be answered with yes the n-th time; it is asked once a step."""

    def at(number):
        asked = []

        def question():
            asked.append(None)
            return len(asked) == number

        monkeypatch.setattr(resume, "should_stop", question)

    return at


def curves(folder):
    return (folder / "metrics.csv").read_bytes()


def kept(folder):
    return json.loads((folder / "outcome.json").read_text())["kept"]


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        (["--keep.levels=[2.4,2.3]"], range(1, STEPS)),
        (["--data.init_args.validation_examples=20"], (2, 3)),  # Lightning's loop differs where it validates
        (["--trainer.precision=bf16-mixed"], (2,)),
    ],
    ids=["plain", "validation", "mixed"],
)
def test_interrupted_at_any_step(runs, interrupt, options, steps, final):
    expected = runs.fit("whole", *options)
    for step in steps:
        name = f"at-{step}"
        interrupt(step)
        with pytest.raises(Interrupted, match=f"stopped at step {step}; the same command continues from .*last.ckpt"):
            runs.fit(name, *options)
        folder = runs.root / name
        assert (folder / "last.ckpt").exists()
        assert not (folder / "outcome.json").exists()
        assert not list(folder.glob(".*.part"))
        interrupt(0)
        torch.manual_seed(step)  # another sitting finds other generators
        runs.fit(name, *options)
        assert same(final(folder), final(expected)), step
        assert curves(folder) == curves(expected), step
        assert kept(folder) == kept(expected), step
        assert not (folder / "last.ckpt").exists()


def test_interrupted_after_every_step(runs, interrupt, final):
    expected = runs.fit("whole", "--resume.every_seconds=0")  # to save changes nothing either
    for step in range(1, STEPS):
        interrupt(1)
        with pytest.raises(Interrupted, match=f"stopped at step {step};"):
            runs.fit("often")
    interrupt(0)
    runs.fit("often")
    assert same(final(runs.root / "often"), final(expected))
    assert curves(runs.root / "often") == curves(expected)


def test_a_request_in_the_last_step_lets_the_run_finish(runs, interrupt):
    interrupt(STEPS)
    folder = runs.fit("last")
    assert (folder / "outcome.json").exists()


@pytest.mark.parametrize("max_steps", [2, 3])  # in mid-epoch, and at an epoch's end
def test_a_budget_of_steps_is_never_interrupted_at_its_end(runs, interrupt, final, max_steps):
    """Lightning would not continue a checkpoint at which the budget is spent, and no outcome would be written."""
    budget = f"--trainer.max_steps={max_steps}"
    interrupt(max_steps)
    folder = runs.fit("budget", budget, "--resume.every_seconds=0")
    assert json.loads((folder / "outcome.json").read_text())["steps"] == max_steps
    interrupt(max_steps - 1)
    with pytest.raises(Interrupted):
        runs.fit("cut", budget)
    interrupt(0)
    assert same(final(runs.fit("cut", budget)), final(folder))
    assert curves(runs.root / "cut") == curves(folder)


def test_a_diverged_run_is_not_continued_past_its_end(runs, interrupt):
    options = ["--model.init_args.optimizer.init_args.lr=1e30", "--model.init_args.gradient_clip=null",
               "--curves.per_epoch=3", "--resume.every_seconds=0"]  # fmt: skip
    interrupt(2)
    folder = runs.fit("diverged", *options)  # it diverges in mid-epoch, before the second question
    assert json.loads((folder / "outcome.json").read_text())["status"] == "diverged"


def test_the_checkpoint_holds_tensors_and_plain_values(runs, interrupt):
    interrupt(2)
    with pytest.raises(Interrupted):
        runs.fit("run")
    state = torch.load(runs.root / "run" / "last.ckpt", weights_only=True)
    assert state["global_step"] == 2
    found = next(value for name, value in state["callbacks"].items() if name.startswith("ResumePoint"))
    assert torch.equal(found["random"]["torch"], torch.get_rng_state())
    assert found["seconds"] > 0


def test_time_adds_up_over_sittings(runs, interrupt):
    interrupt(1)
    with pytest.raises(Interrupted):
        runs.fit("run")
    path = runs.root / "run" / "last.ckpt"
    state = torch.load(path, weights_only=True)
    point = next(value for name, value in state["callbacks"].items() if name.startswith("ResumePoint"))
    point["seconds"] = 1000.0
    torch.save(state, path)
    interrupt(0)
    runs.fit("run")
    assert 1000 < json.loads((runs.root / "run" / "outcome.json").read_text())["seconds"] < 1100


def test_it_saves_as_often_as_stated(runs, monkeypatch):
    saved = []

    def save(self, path, weights_only):
        saved.append(path)
        path.touch()

    monkeypatch.setattr("pytorch_lightning.Trainer.save_checkpoint", save)
    runs.fit("never")
    assert not saved
    runs.fit("always", "--resume.every_seconds=0")
    assert len(saved) == STEPS - 1  # not at the end
    saved.clear()
    clock = iter(range(0, 10**6, 20))  # a second lasts no time: 20 s between two looks at the clock
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    runs.fit("sometimes", "--resume.every_seconds=30")
    assert 0 < len(saved) < STEPS - 1


def test_a_checkpoint_of_another_recipe_is_refused(runs, interrupt, monkeypatch, capsys):
    interrupt(2)
    with pytest.raises(Interrupted):
        runs.fit("run")
    monkeypatch.undo()
    capsys.readouterr()
    assert runs.main("run", "--seed_everything=4") == 2
    errors = capsys.readouterr().err
    assert errors.startswith("bsgap: error: the checkpoint belongs to another recipe (digest ")
    assert errors.count("\n") == 1
    assert runs.main("run", "--model.init_args.optimizer.init_args.lr=0.2") == 2
    # What only observes the run may change.
    assert runs.main("run", "--keep.levels=[0.5]", "--resume.every_seconds=1", "--wandb.project=other") == 0


def test_options_out_of_range():
    with pytest.raises(UsageError, match="must not be negative"):
        ResumePoint(every_seconds=-1)


def test_a_save_that_fails_leaves_the_last_one(runs, interrupt, monkeypatch):
    interrupt(2)
    with pytest.raises(Interrupted):
        runs.fit("run")
    before = (runs.root / "run" / "last.ckpt").read_bytes()

    def fail(self, path, weights_only):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pytorch_lightning.Trainer.save_checkpoint", fail)
    interrupt(2)
    with pytest.raises(UsageError, match=r"last.ckpt could not be written \(No space left on device\)"):
        runs.fit("run")
    assert (runs.root / "run" / "last.ckpt").read_bytes() == before
    assert not list((runs.root / "run").glob(".*.part"))


def test_a_save_that_silently_does_nothing_is_noticed(runs, monkeypatch):
    """As Lightning's on a read-only folder, for an ordinary user."""
    monkeypatch.setattr("pytorch_lightning.Trainer.save_checkpoint", lambda *arguments, **options: None)
    with pytest.raises(UsageError, match=r"last.ckpt could not be written: is .* writable"):
        runs.fit("run", "--resume.every_seconds=0")


def test_where_nobody_asks_lightning_answers_sigterm(runs):
    """With ResumePoint in a Trainer of one's own, SIGTERM does what it did without it."""

    class Terminated(pl.Callback):
        def on_train_batch_end(self, *arguments):
            os.kill(os.getpid(), signal.SIGTERM)

    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit):
        runs.fit("run", callbacks=[Terminated()])
    assert signal.getsignal(signal.SIGTERM) is handler
    assert not resume.asking
