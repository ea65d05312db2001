"""A run whose batch grows, interrupted at any step and continued, has the bits of one that is not."""

import pytest
import pytorch_lightning as pl
import torch
from probes import same
from pytorch_lightning.callbacks import ModelCheckpoint
from ramped import BASE, OwnData, OwnTask, Saves, Somebody, Stated, dataloader, sizes, tensors, train
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, TensorDataset

from bsgap.callbacks import BatchSizeRamp, Curves, RateDecay, ResumePoint, ScaledRate, WeightDistance, resume
from bsgap.callbacks.multipliers import effective_rate
from bsgap.errors import Interrupted, UsageError

TEXT = {
    "model": {
        "class_path": "bsgap.tasks.LanguageModelling",
        "init_args": {
            "network": {
                "class_path": "bsgap.networks.LSTMLanguageModel",
                "init_args": {"vocabulary": 50, "embedding": 8, "hidden": 8, "dropout": 0.2},
            },
            "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 1.0}},
            "schedule": {"class_path": "torch.optim.lr_scheduler.StepLR", "init_args": {"step_size": 4, "gamma": 0.7}},
        },
    },
    "data": {
        "class_path": "bsgap.data.TextData",
        "init_args": {
            "source": "pydoc", "batch_size": 4, "sequence_length": 8, "vocabulary_size": 50, "train_tokens": 200,
            "test_tokens": 100, "sample_tokens": 60, "evaluation_batch_size": 2,
        },
    },
}  # fmt: skip


pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no"),
    pytest.mark.filterwarnings("ignore:Total length of `list` across ranks is zero"),
]


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


class Noted(pl.Callback):
    """Batch sizes announced, and the history of the ramp."""

    def on_train_end(self, trainer, module):
        (ramp,) = [callback for callback in trainer.callbacks if isinstance(callback, BatchSizeRamp)]
        self.history = list(ramp.history)


WAYS = {
    "within epochs": ["--ramp.factor=1.5", "--ramp.milestones=[0.5,1.25]"],
    "dropped": ["--ramp.factor=1.5", "--ramp.milestones=[0.5,1.25]", "--data.init_args.last=drop"],
    "steps": ["--ramp.sizes=[20,36]", "--ramp.milestones=[2,5]", "--ramp.unit=steps"],
    "by a metric of the curves": ["--ramp.factor=1.3", "--ramp.maximum=40", "--ramp.monitor=train_loss", "--ramp.min_delta=1"],
    "by a metric of the validation": [
        "--ramp.factor=1.3", "--ramp.maximum=40", "--ramp.monitor=validation_loss", "--ramp.min_delta=1",
        "--data.init_args.validation_examples=20",
    ],
    "schedules in steps": ["--ramp.factor=2", "--ramp.every=1", "--ramp.maximum=40", "--ramp.schedules=steps"],
    "with everything": [
        "--ramp.factor=2", "--ramp.every=0.75", "--ramp.maximum=40", "--rate.scaling=linear", "--rate.base_batch_size=8",
        "--rate.warmup_epochs=1.5", "--decay.shape=steps", "--decay.every=0.8", "--decay.factor=0.5",
    ],
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_interrupted_at_any_step(runs, interrupt, final, way):
    options = [*WAYS[way], "--trainer.max_epochs=4", "--curves.per_epoch=2"]
    noted = Noted()
    expected = runs.fit("whole", *options, callbacks=[noted])
    rows = (expected / "metrics.csv").read_bytes()
    assert len({stage.batch_size for stage in noted.history}) > 1
    steps = max(int(row.split(b",")[0]) for row in rows.splitlines()[1:])
    for step in range(1, steps, 2 if steps < 8 else 3):
        name = f"at-{step}"
        interrupt(step)
        with pytest.raises(Interrupted, match=f"stopped at step {step};"):
            runs.fit(name, *options, callbacks=[Noted()])
        interrupt(0)
        torch.manual_seed(step)
        again = Noted()
        runs.fit(name, *options, callbacks=[again])
        assert same(final(runs.root / name), final(expected)), step
        assert (runs.root / name / "metrics.csv").read_bytes() == rows, step
        assert again.history == noted.history, step


def test_text_grows_between_epochs_and_resumes_anywhere(runs, interrupt, final):
    runs.values |= TEXT
    options = ["--ramp.factor=2", "--ramp.every=1", "--ramp.maximum=12", "--trainer.max_epochs=3"]
    noted = Noted()
    expected = runs.fit("whole", *options, callbacks=[noted])
    assert [stage.batch_size for stage in noted.history] == [4, 8, 12]
    rows = (expected / "metrics.csv").read_bytes()
    steps = max(int(row.split(b",")[0]) for row in rows.splitlines()[1:])
    for step in range(1, steps, 2):
        interrupt(step)
        with pytest.raises(Interrupted, match=f"stopped at step {step};"):
            runs.fit(f"at-{step}", *options)
        interrupt(0)
        again = Noted()
        runs.fit(f"at-{step}", *options, callbacks=[again])
        assert same(final(runs.root / f"at-{step}"), final(expected)), step
        assert (runs.root / f"at-{step}" / "metrics.csv").read_bytes() == rows, step
        assert again.history == noted.history


def test_a_fractional_milestone_of_text_is_refused(runs):
    runs.values |= TEXT
    with pytest.raises(
        UsageError, match=r"can change their batch size only between two epochs, and a milestone is 0.5"
    ):
        runs.fit("text", "--ramp.factor=2", "--ramp.milestones=[0.5]")


def test_another_ramp_does_not_continue(runs, interrupt, capsys):
    options = ["--ramp.factor=2", "--ramp.milestones=[0.5]"]
    interrupt(2)
    with pytest.raises(Interrupted):
        runs.fit("run", *options)
    assert runs.main("run", "--ramp.factor=2", "--ramp.milestones=[0.7]") == 2
    assert "belongs to another recipe" in capsys.readouterr().err


class Stop(pl.Callback):
    """Saves after a step, and stops there."""

    def __init__(self, path, step):
        self.path, self.step = path, step

    def on_train_epoch_end(self, trainer, module):
        if trainer.global_step == self.step:
            trainer.should_stop = True

    def on_train_end(self, trainer, module):
        trainer.save_checkpoint(self.path)


def test_a_checkpoint_of_another_starting_size_is_refused(tmp_path):
    path = tmp_path / "some.ckpt"
    train(OwnTask(), OwnData(), BatchSizeRamp(factor=2, every=1), Stop(path, 12))
    with pytest.raises(UsageError, match="the ramp of the checkpoint started from batches of 8, this one from 4"):
        train(OwnTask(), OwnData(4), BatchSizeRamp(factor=2, every=1), checkpoint=path)


@pytest.mark.parametrize("data", [Stated, dataloader], ids=["data module", "DataLoader"])
@pytest.mark.parametrize("step", [12, 18])
def test_somebodys_loader_continues_at_the_end_of_an_epoch(tmp_path, data, step):
    """What comes is the size of the ramp; the order of a DataLoader that shuffles is its own affair."""
    path = tmp_path / "some.ckpt"
    schedule = lambda optimizer, trainer: StepLR(optimizer, 5, 0.7)  # noqa: E731
    whole = Somebody(schedule)
    ramp = BatchSizeRamp(factor=2, every=1)
    expected = train(whole, data(), ramp)
    train(Somebody(schedule), data(), BatchSizeRamp(factor=2, every=1), Stop(path, step))
    resumed, again = Somebody(schedule), BatchSizeRamp(factor=2, every=1)
    trainer = train(resumed, data(), again, checkpoint=path)
    done = {12: 1, 18: 2}[step]
    assert sizes(resumed)[done:] == sizes(whole)[done:]
    assert resumed.per_epoch[done:] == whole.per_epoch[done:]
    assert [stage.batch_size for stage in again.history] == [8, 16, 32, 64]
    found = [each.lr_scheduler_configs[0].scheduler.last_epoch for each in (trainer, expected)]
    assert found[0] == found[1] == 48


@pytest.mark.parametrize("data", [Stated, dataloader, OwnData])
@pytest.mark.parametrize("ramp", [{"every": 1}, {"monitor": "loss", "min_delta": 100.0}], ids=["every", "monitor"])
def test_a_checkpoint_of_a_finished_fit_continues(tmp_path, data, ramp):
    """What the ramp knows outlives the fit: `trainer.save_checkpoint` after it is what people do."""
    path = tmp_path / "some.ckpt"
    schedule = lambda optimizer, trainer: StepLR(optimizer, 5, 0.7)  # noqa: E731
    make = lambda: BatchSizeRamp(factor=2, maximum=64, **ramp)  # noqa: E731
    whole, uninterrupted = Somebody(schedule), make()
    expected = train(whole, data(), uninterrupted)
    train(Somebody(schedule), data(), make(), max_epochs=3).save_checkpoint(path)
    resumed, again = Somebody(schedule), make()
    trainer = train(resumed, data(), again, checkpoint=path)
    assert sizes(resumed)[3:] == sizes(whole)[3:]
    assert [stage.batch_size for stage in again.history] == [stage.batch_size for stage in uninterrupted.history]
    assert len({each.lr_scheduler_configs[0].scheduler.last_epoch for each in (trainer, expected)}) == 1


@pytest.mark.parametrize("data", [Stated, dataloader, OwnData])
def test_a_checkpoint_without_a_ramp_goes_on_with_the_size_that_is_due(tmp_path, data):
    path = tmp_path / "some.ckpt"
    train(Somebody(), data(), max_epochs=2).save_checkpoint(path)
    module = Somebody()
    train(module, data(), BatchSizeRamp(factor=2, every=1), checkpoint=path)
    assert sizes(module) == [[], [], [32] * 3, [64, 32]]
    assert module.per_epoch[2:] == [3, 2]


@pytest.mark.parametrize("data", [Stated, dataloader])
def test_a_ramp_does_not_begin_within_an_epoch_of_somebodys_loader(tmp_path, data):
    path = tmp_path / "some.ckpt"
    train(Somebody(), data(), Saves(path, 20), max_epochs=2)
    loader = data()
    with pytest.raises(UsageError, match=r"is of a training without a ramp and stands in the middle of epoch 1, and"):
        train(Somebody(), loader, BatchSizeRamp(factor=2, every=1), checkpoint=path)
    assert loader.batch_size == 8


def test_a_ramp_may_begin_within_an_epoch_of_our_data(tmp_path):
    """They know how many examples have been seen, and so does a schedule."""
    path = tmp_path / "some.ckpt"
    schedule = lambda optimizer, _: StepLR(optimizer, 5, 0.7)  # noqa: E731
    train(Somebody(schedule), OwnData(), Saves(path, 16), max_epochs=2)
    module = Somebody(schedule)
    trainer = train(module, OwnData(), BatchSizeRamp(factor=2, milestones=[1.5]), max_epochs=2, checkpoint=path)
    assert sizes(module)[1:] == [[8] * 2 + [16] * 3]
    assert trainer.lr_scheduler_configs[0].scheduler.last_epoch == 24


def test_a_resume_point_and_curves_with_somebodys_loader(tmp_path):
    task = OwnTask()
    train(task, dataloader(), BatchSizeRamp(factor=2, every=1), Curves(), ResumePoint(0), folder=tmp_path)
    assert task.per_epoch == [12, 6, 3, 2]


def test_somebodys_loader_within_an_epoch_takes_what_lightning_gives(tmp_path):
    """The rest of the batches, of the size of that epoch."""
    saves = Saves(tmp_path / "some.ckpt", 15)
    train(Somebody(), Stated(), BatchSizeRamp(factor=2, every=1), saves, max_epochs=3)
    resumed, ramp = Somebody(), BatchSizeRamp(factor=2, every=1)
    with pytest.warns(UserWarning, match="ended before the epoch ended and your dataloader is"):
        train(resumed, Stated(), ramp, max_epochs=3, checkpoint=tmp_path / "some.ckpt")
    assert sizes(resumed)[1:] == [[16] * 3, [32] * 3]
    assert [(stage.step, stage.batch_size) for stage in ramp.history] == [(0, 8), (12, 16), (18, 32)]


class Rates(pl.Callback):
    """Rates that the steps use, by step."""

    def __init__(self):
        self.found = {}

    def on_before_optimizer_step(self, trainer, module, optimizer):
        self.found[trainer.global_step] = effective_rate(optimizer)


def in_order(batch_size=BASE):
    """A data module that does not shuffle, so that a resumed run can be the uninterrupted one."""
    data = Stated(batch_size)
    data.train_dataloader = lambda: DataLoader(TensorDataset(*tensors()), batch_size=data.batch_size)
    return data


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`, callbacks used")
@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before")
@pytest.mark.parametrize("data", [in_order, OwnData])
@pytest.mark.parametrize("micro_batch", [None, 8])
@pytest.mark.parametrize("with_ramp", [True, False])
def test_a_checkpoint_of_the_last_batch_of_an_epoch_continues_as_if_nothing_had_happened(
    tmp_path, data, micro_batch, with_ramp
):
    """As ModelCheckpoint writes it where `every_n_train_steps` are those of an epoch: decay, warm-up and ramp."""
    if micro_batch and not with_ramp:
        pytest.skip("an option of the ramp")

    def fit(*more, checkpoint=None):
        module, rates = Somebody(), Rates()
        ramp = BatchSizeRamp(factor=2, milestones=[1, 3], micro_batch=micro_batch)
        both = [
            ScaledRate("linear", base_batch_size=2, warmup_epochs=2.5),
            RateDecay("steps", milestones=[2], factor=0.1),
        ]
        callbacks = [*([ramp] if with_ramp else []), *both, rates, WeightDistance(), *more]
        train(module, data(), *callbacks, checkpoint=checkpoint, enable_checkpointing=bool(more))
        weights = [parameter.detach().clone() for parameter in module.parameters()]
        return module, weights, rates.found, ramp.history, callbacks[-1 - len(more)].rows

    saves = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=3, save_top_k=-1)
    module, weights, rates, history, rows = fit(saves)
    ends = [12, 18, 24] if with_ramp else [12, 24]
    for step in (*ends, 15):
        again, others, found, told, measured = fit(checkpoint=tmp_path / f"step={step}.ckpt")
        assert found == {at: rate for at, rate in rates.items() if at >= step}, step
        assert told == history, step
        assert [row[:4] for row in measured] == [row[:4] for row in rows], step
        if step in ends or data is OwnData:  # in the middle of an epoch Lightning begins a DataLoader anew
            seen, expected = ([batch for epoch in each.seen for batch in epoch] for each in (again, module))
            assert seen == expected[len(expected) - len(seen) :], step
            assert all(torch.equal(mine, theirs) for mine, theirs in zip(others, weights, strict=True)), step


@pytest.mark.parametrize("data", [Stated, OwnData])
@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"factor": 2, "milestones": [1]}, "ramp.factor 4, this one 2"),
        ({"factor": 4, "milestones": [2]}, r"ramp.milestones \[1\], this one \[2\]"),
        ({"factor": 4, "monitor": "loss", "maximum": 64}, r"ramp.milestones \[1\], this one None"),
    ],
)
def test_another_ramp_does_not_continue_a_checkpoint(tmp_path, data, other, words):
    path = tmp_path / "some.ckpt"
    train(Somebody(), data(), BatchSizeRamp(factor=4, milestones=[1]), max_epochs=2).save_checkpoint(path)
    with pytest.raises(UsageError, match=f"cannot resume: the ramp of the checkpoint has {words}"):
        train(Somebody(), data(), BatchSizeRamp(**other), checkpoint=path)
    train(Somebody(), data(), BatchSizeRamp(factor=4.0, milestones=(1.0,)), checkpoint=path)  # the same in other types


def test_a_checkpoint_that_does_not_say_how_it_grew_is_not_continued_with_smaller_batches(tmp_path):
    """Those of earlier versions."""
    path = tmp_path / "some.ckpt"
    train(Somebody(), Stated(), BatchSizeRamp(factor=4, milestones=[1]), max_epochs=2).save_checkpoint(path)
    state = torch.load(path, weights_only=True)
    (name,) = [name for name in state["callbacks"] if "Ramp" in name]
    del state["callbacks"][name]["fit"]["growth"]
    torch.save(state, path)
    with pytest.raises(UsageError, match="has come to batches of 32, and this one would go back to 16"):
        train(Somebody(), Stated(), BatchSizeRamp(factor=2, milestones=[1]), checkpoint=path)
    resumed = Somebody()
    train(resumed, Stated(), BatchSizeRamp(factor=4, milestones=[1]), checkpoint=path)
    assert sizes(resumed)[2:] == [[32] * 3] * 2
