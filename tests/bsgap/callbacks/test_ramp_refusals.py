"""What the ramp refuses on tasks and data of this package, and in which words."""

import pytest
import pytorch_lightning as pl
import torch
from ramped import BASE, OwnData, OwnTask, Somebody, sizes, train

from bsgap.callbacks import BatchSizeRamp, Curves
from bsgap.callbacks.ramp import OptionalRamp
from bsgap.errors import UsageError


def test_without_factor_and_sizes_there_is_no_ramp():
    ramp, curves, task = OptionalRamp(every=4, maximum=64), Curves(), OwnTask()
    train(task, OwnData(), ramp, curves)
    assert sizes(task) == [[8] * 12] * 4
    assert not ramp.history
    assert ramp.state_dict() == {}


@pytest.mark.parametrize("options", [{}, {"every": 4}, {"milestones": [2, 4], "maximum": 64}, {"monitor": "loss"}])
def test_only_the_group_of_the_command_may_have_neither(options):
    with pytest.raises(UsageError, match=r"never change anything: give ramp\.factor"):
        BatchSizeRamp(**options)


@pytest.mark.parametrize(
    ("ramp", "data", "trainer", "message"),
    [
        ({"factor": 2, "every": 9}, {}, {}, "ramp.every: the batch would first grow after 9 epochs, and the training"),
        ({"factor": 2, "milestones": [4]}, {}, {}, "ramp.milestones: the batch would first grow after 4 epochs"),
        (
            {"factor": 2, "every": 2}, {}, {"max_steps": 20, "max_epochs": -1},
            "the training ends before, after 20 steps: the ramp would never change anything",
        ),
        ({"factor": 2, "every": 50, "unit": "steps"}, {}, {}, "first grow after 50 steps, and the training ends before"),
        (
            {"factor": 8, "every": 1}, {}, {},
            "the ramp passes the size of the data: after 2 epochs a batch would have 512 examples, and there are 96. Set"
            " ramp.maximum to at most 96.",
        ),
        (
            {"sizes": [97], "milestones": [1]}, {}, {},
            "after 1 epoch a batch would have 97 examples, and there are 96. Give ramp.sizes of at most 96.",
        ),
        (
            {"factor": 1.01, "every": 1}, {}, {},
            "ramp.factor: batch sizes are rounded, and 1.01 times 8 is 8 again until the training ends, after 4 epochs:"
            " the ramp would never change anything. Give a larger factor.",
        ),
        ({"sizes": [8], "milestones": [1]}, {}, {}, "ramp.sizes must grow from the starting batch size 8, got 8"),
        ({"sizes": [4], "milestones": [1]}, {}, {}, "ramp.sizes must grow from the starting batch size 8, got 4"),
        ({"factor": 2, "every": 1, "maximum": 8}, {}, {}, "ramp.maximum must be above the starting batch size 8, got 8"),
        ({"factor": 2, "every": 1}, {}, {"limit_train_batches": 3}, "trainer.limit_train_batches 3 cuts them"),
        ({"factor": 2, "every": 1}, {}, {"overfit_batches": 2}, "the ramp cannot grow the batches of trainer.overfit_b"),
        (
            {"factor": 2, "every": 1}, {"validation": True}, {"val_check_interval": 6},
            "trainer.val_check_interval 6 is more than the 3 batches of an epoch once the batch has grown",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_honoured(ramp, data, trainer, message):
    with pytest.raises(UsageError) as error:
        train(OwnTask(), OwnData(**data), BatchSizeRamp(**ramp), **trainer)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factor": 2}, "give ramp.milestones, ramp.every or ramp.monitor"),
        ({"factor": 2, "every": 1, "monitor": "loss"}, "give one of them"),
        ({"factor": 2, "monitor": "loss"}, "ramp.monitor with ramp.factor needs ramp.maximum"),
        ({"factor": 2, "every": 1, "micro_batch": 4.0}, "ramp.micro_batch must be an integer, got 4.0"),
        (
            {"factor": 2, "every": 1, "patience": 3},
            "ramp.patience is an option of ramp.monitor, and has no effect with",
        ),
        ({"factor": 2, "every": 1, "mode": "max"}, "ramp.mode is an option of ramp.monitor"),
        ({"factor": 2, "every": 1, "min_delta": 0.1}, "ramp.min_delta is an option of ramp.monitor"),
        (
            {"factor": 2, "monitor": "loss", "maximum": 64, "unit": "steps"},
            "ramp.unit is what ramp.milestones and ramp.every count, and has no effect with ramp.monitor",
        ),
        ({"factor": 2, "every": 1, "micro_batch": 0}, "ramp.micro_batch must be at least 1 or absent, got 0"),
        ({"factor": 2, "every": 1, "schedules": "epochs"}, "ramp.schedules must be examples or steps, got 'epochs'"),
        ({"factor": 2, "every": 1, "rate": "cubic"}, "ramp.rate must be one of"),
    ],
)
def test_options_that_contradict_each_other(options, message):
    with pytest.raises(UsageError) as error:
        BatchSizeRamp(**options)
    assert message in str(error.value)


def test_a_last_batch_of_one_has_no_batch_statistics():
    network = lambda: torch.nn.Sequential(torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))  # noqa: E731
    ramp = BatchSizeRamp(factor=2, every=1)
    with pytest.raises(UsageError, match=r"the ramp leaves a last batch of 1 in an epoch of \d+ batches, so a single"):
        train(OwnTask(network=network), OwnData(n=97), ramp, max_epochs=3)
    train(OwnTask(network=network), OwnData(n=97, last="drop"), ramp, max_epochs=3)
    with pytest.raises(UsageError, match="a single example by itself"):  # the last five as 4 + 1
        train(OwnTask(network=network), OwnData(n=32 * 3 + 5), BatchSizeRamp(factor=2, every=1, micro_batch=4))


@pytest.mark.parametrize(
    "callback", [pl.callbacks.GradientAccumulationScheduler({1: 2}), pl.callbacks.BatchSizeFinder()]
)
def test_others_that_change_the_batch(callback):
    with pytest.raises((UsageError, pl.utilities.exceptions.MisconfigurationException), match=r"batch|accumulat"):
        train(Somebody(), OwnData(), callback, BatchSizeRamp(factor=2, every=1))


def test_two_ramps():
    with pytest.raises(UsageError, match="the trainer has two ramps of the batch size: leave one of them out"):
        train(Somebody(), OwnData(), BatchSizeRamp(factor=2, every=1), OptionalRamp(factor=3, every=2))
    train(Somebody(), OwnData(), BatchSizeRamp(factor=2, every=1), OptionalRamp(), max_epochs=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ramp.factor=0.5", "--ramp.every=1"], "ramp.factor must be above 1, got 0.5, which does not let it grow."),
        (
            ["--ramp.factor=2", "--ramp.every=5"],
            "ramp.every: the batch would first grow after 5 epochs, and the training",
        ),
        (
            ["--ramp.factor=4", "--ramp.every=1"],
            "the ramp passes the size of the data: after 1 epoch a batch would have",
        ),
    ],
)
def test_the_command_says_it_in_one_line(runs, capsys, options, message):
    assert runs.main("bad", *options) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"bsgap: error: {message}")
    assert error.count("\n") == 1


def test_somebody_who_runs_out_of_memory_is_told_what_to_set():
    class Full(Somebody):
        def training_step(self, batch, batch_idx):
            if len(batch[0]) > BASE:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return super().training_step(batch, batch_idx)

    with pytest.raises(torch.OutOfMemoryError) as error:
        train(Full(), OwnData(), BatchSizeRamp(factor=2, every=1))
    assert error.value.__notes__ == ["The batch has grown to 16: set ramp.micro_batch to let it go in smaller parts."]
