"""How far a training is: at every hook, after a resume at any batch, and where the batch grows within an epoch."""

import pytest
import pytorch_lightning as pl
import ramped
from ramped import OwnData, Somebody, Stated
from torch import nn
from watched import Stranger, Watched, train

from bsgap.callbacks import ResumePoint, resume
from bsgap.callbacks.position import epochs_passed
from bsgap.data import ImageData
from bsgap.errors import Interrupted
from bsgap.tasks import ImageClassification

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no"),
    pytest.mark.filterwarnings("ignore:Total length of `list` across ranks is zero"),
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before"),
]


class Positions(pl.Callback):
    """Notes the position at every hook, and in every step."""

    def __init__(self):
        self.before, self.during, self.after, self.stated, self.edges = [], [], [], [], []

    def on_train_start(self, trainer, pl_module):
        self.edges.append(epochs_passed(trainer))
        note = lambda *_: self.during.append(epochs_passed(trainer))  # noqa: E731
        trainer.optimizers[0].register_step_pre_hook(note)

    def on_train_epoch_start(self, trainer, pl_module):
        self.edges.append(epochs_passed(trainer))

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.before.append(epochs_passed(trainer))
        self.stated.append(trainer.current_epoch + batch_idx / trainer.num_training_batches)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.after.append(epochs_passed(trainer))

    def on_train_epoch_end(self, trainer, pl_module):
        self.edges.append(epochs_passed(trainer))

    def on_train_end(self, trainer, pl_module):
        self.edges.append(epochs_passed(trainer))


def fit(folder, data, **options):
    positions, point = Positions(), folder / resume.NAME
    module = ImageClassification(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), torch_sgd)
    trainer = pl.Trainer(
        **{"max_epochs": 3} | options, accelerator="cpu", callbacks=[positions, ResumePoint(0)], logger=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder,
    )  # fmt: skip
    trainer.fit(module, datamodule=data, ckpt_path=point if point.exists() else None, weights_only=True)
    return positions


def torch_sgd(parameters):
    return Watched(parameters, lr=0.01)


def digits(kind=ImageData, batch=30, last="keep"):
    return kind("digits", batch, train_examples=100, test_examples=20, last=last)


@pytest.mark.parametrize("last", ["keep", "drop"])
@pytest.mark.parametrize("batch", [30, 7, 100])
def test_with_batches_of_one_size_it_is_the_share_of_the_batches_to_the_bit(tmp_path, batch, last):
    found = fit(tmp_path, digits(batch=batch, last=last))
    assert found.before == found.stated
    steps = len(found.before) // 3
    assert found.before == [epoch + step / steps for epoch in range(3) for step in range(steps)]
    assert found.after == [epoch + (step + 1) / steps for epoch in range(3) for step in range(steps)]
    assert found.edges == [0, 0, 1, 1, 2, 2, 3, 3]


def test_it_is_the_same_for_anybodys_module_and_loader(tmp_path):
    found = Positions()
    train(found, module=Stranger(), folder=tmp_path)
    assert set(found.during) == set(found.before) == {epoch + step / 5 for epoch in range(4) for step in range(5)}


def test_a_budget_of_steps_may_end_within_an_epoch(tmp_path):
    found = fit(tmp_path, digits(batch=25), max_epochs=-1, max_steps=6)
    assert found.edges[-1] == found.after[-1] == 1.5


class Growing(ImageData):
    """Batches of 10 for half an epoch, then of 20; from one and a half epochs on of 50."""

    def _training(self):
        loader = super()._training()
        loader.batch_size = lambda seen: 10 if seen < 50 else 20 if seen < 150 else 50
        return loader


GROWING = [0, 10, 20, 30, 40, 50, 70, 90, 100, 120, 140, 160, 200, 250]


@pytest.mark.parametrize("last", ["keep", "drop"])
def test_where_the_batch_grows_it_counts_examples(tmp_path, last):
    # The length of an epoch changes, and Lightning asks for it again only where it reloads the loader.
    found = fit(tmp_path, digits(Growing, last=last), reload_dataloaders_every_n_epochs=1)
    before = [seen for seen in GROWING if last == "keep" or seen not in (90, 160)]
    assert found.before == [seen // 100 + seen % 100 / 100 for seen in before]
    ends = [round(100 * epochs) for epochs in found.after]
    assert ends == [*before[1:], 300]
    assert found.edges == [0, 0, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("kind", [ImageData, Growing])
@pytest.mark.parametrize("at", [1, 2, 7, 8])
def test_a_resumed_run_goes_through_the_same_positions(tmp_path, monkeypatch, kind, at):
    options = {"reload_dataloaders_every_n_epochs": 1} if kind is Growing else {}
    whole = fit(tmp_path / "whole", digits(kind), **options)
    asked = []
    monkeypatch.setattr(resume, "should_stop", lambda: asked.append(None) or len(asked) == at)
    with pytest.raises(Interrupted):
        fit(tmp_path / "cut", digits(kind), **options)
    rest = fit(tmp_path / "cut", digits(kind), **options)
    assert rest.before == whole.before[-len(rest.before) :]
    assert rest.after == whole.after[-len(rest.after) :]
    assert rest.edges[0] == rest.before[0]


class SavesAt(pl.Callback):
    """Saves at the n-th call of a hook."""

    def __init__(self, path, hook, number):
        calls = []

        def save(trainer, *_):
            calls.append(None)
            if len(calls) == number:
                trainer.save_checkpoint(path)

        setattr(self, hook, save)


class AtValidations(Positions):
    """In validations, too."""

    def __init__(self):
        super().__init__()
        self.validations = []

    def on_validation_end(self, trainer, pl_module):
        self.validations.append(epochs_passed(trainer))


@pytest.mark.parametrize("data", [Stated, OwnData])
@pytest.mark.parametrize("batch", [32, 96], ids=["three batches", "one batch"])
@pytest.mark.parametrize("budget", [{}, {"max_epochs": -1, "max_steps": 8}], ids=["epochs", "steps"])
@pytest.mark.parametrize("validation", [False, True])
@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_validation_end", "on_train_epoch_end"])
def test_wherever_a_checkpoint_was_written_the_epochs_go_on(tmp_path, data, batch, budget, validation, hook):
    """Lightning forgets to count an epoch as begun after a checkpoint of the last batch of another."""
    if hook == "on_validation_end" and not validation:
        pytest.skip("there is none")
    if hook == "on_train_epoch_end" and budget and data is OwnData and not validation:
        pytest.skip("Lightning takes the next epoch's first batch for one of the epoch that is over")
    options = {"max_epochs": 4} | budget

    def fit(callback, **more):
        ramped.train(Somebody(), data(batch, validation=validation), callback, **options, **more)

    path, whole = tmp_path / "some.ckpt", AtValidations()
    fit(whole)
    assert whole.before == whole.stated
    for number in (2, 3) if hook == "on_train_batch_end" else (2,):
        path.unlink(missing_ok=True)
        fit(SavesAt(path, hook, number))
        rest = AtValidations()
        fit(rest, checkpoint=path)
        assert rest.before
        for name in ("before", "during", "after", "validations"):
            found, expected = getattr(rest, name), getattr(whole, name)
            assert found == expected[len(expected) - len(found) :], (number, name)
        assert rest.edges == sorted(rest.edges), number
        assert set(rest.edges) <= {*whole.edges, rest.before[0]}, number
