"""A ramp that watches a metric: each value counts once, wherever and however often it is measured."""

import pytest
import pytorch_lightning as pl
import torch
from ramped import N, OwnData, Saves, Somebody, Stated, dataloader, once_an_epoch, sizes, train

from bsgap.callbacks import BatchSizeRamp
from bsgap.callbacks.ramp import OptionalRamp
from bsgap.errors import UsageError

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no"),
    pytest.mark.filterwarnings("ignore:Total length of `list` across ranks is zero"),
]


class Scripted(Somebody):
    """Its validations give these numbers."""

    def __init__(self, *values):
        super().__init__()
        self.values = list(values)

    def validation_step(self, batch, batch_idx):
        self.log("score", torch.tensor(self.values.pop(0)), batch_size=len(batch[1]))


def ramp(**options):
    return BatchSizeRamp(**{"factor": 2, "maximum": 64, "monitor": "score"} | options)


@pytest.mark.parametrize("data", [Stated, OwnData])
def test_validations_counted_in_steps_are_looked_at_once(data):
    """12 steps an epoch; validations after steps 18 and 36, then, as the score got worse, of the smaller epochs."""
    module = Scripted(5.0, 5.5, 4.0, 3.0, 2.0, 1.0)
    options = {"val_check_interval": 18, "check_val_every_n_epoch": None, "max_epochs": 8}
    train(module, data(validation=True), ramp(), **options)
    # Seen at the ends of epochs 1 and 2 (5.0, 5.5), so it grows after the third; all values after that are better.
    assert [epoch[0] for epoch in sizes(module)] == [8, 8, 8] + [16] * 5
    assert once_an_epoch(module)


def test_it_waits_for_the_first_validation():
    module = Scripted(5.0, 6.0)
    train(module, Stated(validation=True), ramp(), val_check_interval=20, check_val_every_n_epoch=None, max_epochs=5)
    assert [epoch[0] for epoch in sizes(module)] == [8, 8, 8, 8, 16]


def test_a_name_that_no_validation_knows_is_refused_after_the_first():
    options = {"val_check_interval": 20, "check_val_every_n_epoch": None, "max_epochs": 5}
    module = Scripted(*map(float, range(9)))
    with pytest.raises(
        UsageError, match=r"no metric other has been logged at the end of an epoch, but loss, score\. Log"
    ):
        train(module, Stated(validation=True), ramp(monitor="other"), **options)
    assert len(module.values) == 8


class EverySecond(Somebody):
    """Logs a metric of the training in every second epoch: 5, 4, 3."""

    def training_step(self, batch, batch_idx):
        if self.current_epoch % 2 == 0:
            self.log(
                "score", torch.tensor(5.0 - self.current_epoch / 2), on_step=self.on_step, on_epoch=not self.on_step
            )
        return super().training_step(batch, batch_idx)


@pytest.mark.parametrize("on_step", [False, True])
def test_a_metric_of_the_training_is_looked_at_where_it_was_logged(on_step):
    module = EverySecond()
    module.on_step = on_step
    with pytest.warns(UserWarning, match="the ramp never changed the batch: score"):
        train(module, Stated(), ramp(), LooksToo(), max_epochs=6)


class LooksToo(pl.Callback):
    """Reads the metrics when it likes."""

    def on_train_epoch_end(self, trainer, module):
        assert dict(trainer.callback_metrics)

    def on_validation_end(self, trainer, module):
        if trainer.is_global_zero:
            float(trainer.callback_metrics["score"])


def test_a_name_that_the_curves_do_not_know_is_refused_with_those_that_they_do(runs):
    with pytest.raises(UsageError, match=r"no metric tset_loss has been logged .*, but .*test_loss, train_accuracy"):
        runs.fit("run", "--ramp.factor=2", "--ramp.maximum=40", "--ramp.monitor=tset_loss", "--trainer.max_epochs=4")


@pytest.mark.filterwarnings("ignore:.*resuming from a checkpoint that ended")
@pytest.mark.parametrize("step", [3, 7, 11, 15, 19, 23])
def test_a_value_that_waits_for_the_end_of_its_epoch_is_in_the_checkpoint(tmp_path, step):
    path = tmp_path / "some.ckpt"
    values, options = (5.0, 4.0, 6.0, 4.5, 3.5, 2.0, 7.0, 8.0), {"val_check_interval": 0.5, "max_epochs": 4}
    whole, resumed = Scripted(*values), Scripted(*values[2 * step // 12 :])
    uninterrupted, again = ramp(), ramp()
    train(whole, OwnData(validation=True), uninterrupted, Saves(path, step), **options)
    assert [epoch[0] for epoch in sizes(whole)] == [8, 8, 16, 16]
    train(resumed, OwnData(validation=True), again, checkpoint=path, **options)
    assert again.history == uninterrupted.history
    assert torch.equal(resumed.layer.weight, whole.layer.weight)


def test_a_metric_of_the_curves_is_looked_at_once(runs):
    """Evaluated at steps 1, 2, 4, 8 ..., so not in each epoch, and higher each time: there is no reason to grow."""
    noted = Noted()
    options = ["--ramp.mode=max", "--curves.per_doubling=1", "--trainer.max_epochs=6", "--seed_everything=0"]
    with pytest.warns(UserWarning, match="never changed the batch: train_loss did not stop"):
        runs.fit(
            "run", "--ramp.factor=2", "--ramp.maximum=40", "--ramp.monitor=train_loss", *options, callbacks=[noted]
        )
    assert len({stage.batch_size for stage in noted.history}) == 1


def test_a_metric_of_rare_evaluations_is_waited_for(runs):
    noted = Noted()
    runs.fit(
        "run", "--ramp.factor=2", "--ramp.maximum=40", "--ramp.monitor=test_loss", "--ramp.min_delta=100",
        "--curves.test_every=2", "--trainer.max_epochs=6", callbacks=[noted],
    )  # fmt: skip
    assert [(stage.epoch, stage.batch_size > noted.history[0].batch_size) for stage in noted.history] == [
        (0, False), (1, False), (2, False), (3, False), (4, True), (5, True),
    ]  # fmt: skip


class Noted(pl.Callback):
    """The history of the ramp."""

    def on_train_end(self, trainer, module):
        (found,) = [callback for callback in trainer.callbacks if isinstance(callback, OptionalRamp)]
        self.history = list(found.history)


def test_a_patience_that_outlasts_the_training_is_refused():
    with pytest.raises(UsageError) as error:
        train(Somebody(), dataloader(), ramp(monitor="loss", patience=2), max_epochs=4)
    assert str(error.value) == (
        "ramp.patience 2 lets the batch grow after 4 epochs at the earliest, and the training ends after 4 epochs: the"
        " ramp would never change anything. Set it to at most 1, or train for longer."
    )
    module = Somebody()
    train(module, dataloader(), ramp(monitor="loss", patience=1, min_delta=1e6), max_epochs=4)
    assert [epoch[0] for epoch in sizes(module)] == [8, 8, 8, 16]
    with pytest.raises(UsageError, match=r"training ends after 2 epochs: .* Train for longer\.$"):
        train(Somebody(), dataloader(), ramp(monitor="loss"), max_epochs=2)


def test_half_a_look_is_refused():
    with pytest.raises(UsageError, match=r"ramp.patience must be an integer, got 1.5\."):
        ramp(patience=1.5)


def test_one_that_never_grew_says_so():
    with pytest.warns(UserWarning, match="the ramp never changed the batch: loss did not stop improving, by ramp.pat"):
        train(Somebody(rate=1e-3), dataloader(), ramp(monitor="loss"))


class Deaf(Stated):
    """States a batch size, and does not use it."""

    def train_dataloader(self):
        self.loaded += 1
        return dataloader(8)


def test_data_that_would_not_follow_are_refused_before_the_first_step():
    module, data = Somebody(), Deaf()
    state = torch.get_rng_state()
    with pytest.raises(
        UsageError, match=r"Deaf.batch_size was set to 16, but its train_dataloader\(\) still gives bat"
    ):
        train(module, data, BatchSizeRamp(factor=2, every=3), max_epochs=5)
    assert not module.seen
    assert data.batch_size == 8
    assert data.n == N
    assert torch.equal(torch.get_rng_state()[:8], state[:8])
