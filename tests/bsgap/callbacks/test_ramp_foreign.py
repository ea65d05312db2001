"""The ramp on somebody's module and somebody's data: DataLoaders, data modules, micro-batches, metrics."""

import copy

import pytest
import pytorch_lightning as pl
import torch
from ramped import (
    BASE,
    N,
    OwnData,
    OwnTask,
    Somebody,
    Stated,
    TwoClosures,
    dataloader,
    once_an_epoch,
    sizes,
    tensors,
    train,
)
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LinearLR,
    OneCycleLR,
    SequentialLR,
    StepLR,
)
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

from bsgap.callbacks import BatchSizeRamp, RateDecay
from bsgap.callbacks.position import epochs_passed
from bsgap.errors import UsageError

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no"),
    pytest.mark.filterwarnings("ignore:Total length of `list` across ranks is zero"),
]
K = N // BASE
RAMPED = [[8] * 12, [16] * 6, [32] * 3, [64, 32]]


class Hyper(pl.LightningDataModule):
    """States its batch size in its hyperparameters."""

    def __init__(self, batch_size=BASE):
        super().__init__()
        self.save_hyperparameters()

    def train_dataloader(self):
        return dataloader(self.hparams.batch_size)


class WithLoader(Somebody):
    """A module that makes its own loader."""

    def __init__(self, batch_size=BASE):
        super().__init__()
        self.save_hyperparameters()
        self.batch_size = batch_size

    def train_dataloader(self):
        return dataloader(self.batch_size)


def with_batch_sampler():
    data = TensorDataset(*tensors())
    return DataLoader(data, batch_sampler=BatchSampler(RandomSampler(data), BASE, drop_last=False))


@pytest.mark.parametrize("make", [Stated, Hyper, dataloader, with_batch_sampler, lambda: dataloader(num_workers=1)])
def test_it_grows_between_epochs(make):
    module, data = Somebody(), make()
    trainer = train(module, data, BatchSizeRamp(factor=2, every=1))
    assert sizes(module) == RAMPED
    assert module.per_epoch == [len(epoch) for epoch in RAMPED]
    assert once_an_epoch(module)
    stated = data if isinstance(data, Stated) else getattr(data, "hparams", None) or data.batch_sampler
    assert stated.batch_size == BASE
    assert trainer.reload_dataloaders_every_n_epochs == 0


def test_workers_that_persist_follow():
    module = Somebody()
    train(module, dataloader(num_workers=1, persistent_workers=True), BatchSizeRamp(factor=2, every=1))
    assert sizes(module) == RAMPED


def test_a_module_with_a_loader_of_its_own():
    module = WithLoader()
    trainer = pl.Trainer(
        max_epochs=4, callbacks=[BatchSizeRamp(factor=2, every=1)], logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, accelerator="cpu",
    )  # fmt: skip
    trainer.datamodule_n = N
    trainer.fit(module)
    assert sizes(module) == RAMPED
    assert module.batch_size == module.hparams.batch_size == BASE


def test_it_is_loaded_anew_only_where_the_size_changes_and_validation_data_never():
    module, data = Somebody(), Stated(validation=True)
    train(module, data, BatchSizeRamp(factor=2, milestones=[2, 5]), max_epochs=8)
    assert data.loaded == 3 + 1  # and once, before the first step, to see whether it would follow
    assert data.validated == 1


def test_steps_take_effect_at_the_end_of_their_epoch():
    module = Somebody()
    train(module, dataloader(), BatchSizeRamp(sizes=[16, 24, 32], milestones=[3, 13, 14], unit="steps"), max_epochs=3)
    assert sizes(module) == [[8] * 12, [16] * 6, [32] * 3]


def test_the_last_batch_is_dropped():
    module = Somebody()
    train(module, dataloader(n=100, drop_last=True), BatchSizeRamp(factor=3, every=1), max_epochs=3)
    assert sizes(module) == [[8] * 12, [24] * 4, [72]]


@pytest.mark.parametrize("n", [N, 100])
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("make", [Stated, dataloader])
def test_schedules_end_where_they_would_without_a_ramp(make, drop_last, n):
    for schedule in (
        lambda optimizer, trainer: StepLR(optimizer, 5, 0.7),
        lambda optimizer, trainer: OneCycleLR(optimizer, 0.1, total_steps=trainer.estimated_stepping_batches),
    ):
        found = []
        for callbacks in ([], [BatchSizeRamp(factor=2, every=1)]):
            trainer = train(Somebody(schedule), make(BASE, n, drop_last), *callbacks)
            last = trainer.lr_scheduler_configs[0].scheduler
            found.append((last.last_epoch, last.get_last_lr()))
        assert found[0] == found[1]
        assert found[0][0] == 4 * (n // BASE if drop_last else -(-n // BASE))


def test_schedules_by_epochs_are_left_alone():
    trainer = train(
        Somebody(lambda optimizer, _: StepLR(optimizer, 2, 0.5), "epoch"),
        dataloader(),
        BatchSizeRamp(factor=2, every=1),
    )
    assert trainer.lr_scheduler_configs[0].scheduler.last_epoch == 4


def gradients(module, batch):
    """The gradient of the mean loss over a batch, at the module's weights."""
    twin = copy.deepcopy(module)
    inputs, targets = tensors(module.n)
    twin.zero_grad()
    torch.nn.functional.mse_loss(twin.layer(inputs[batch]), targets[batch]).backward()
    return torch.cat([parameter.grad.flatten() for parameter in twin.parameters()])


@pytest.mark.parametrize("n", [N, 99, 125])
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("make", [Stated, dataloader, OwnData])
def test_micro_batches_take_the_step_of_the_whole_batch(make, drop_last, n):
    """Also the last, incomplete group of an epoch, which Lightning alone would divide by too much."""
    groups, errors = [], []

    class Checks(pl.Callback):
        """After the ramp: what the optimizer is about to use, against the mean over all examples since the last step."""

        def __init__(self):
            self.batch = []

        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            self.batch += (batch[0][:, 0] * n).round().int().tolist()

        def on_before_optimizer_step(self, trainer, module, optimizer):
            taken = torch.cat([parameter.grad.flatten() for parameter in module.parameters()])
            errors.append((taken - gradients(module, self.batch)).abs().max().item())
            groups.append(len(self.batch))
            self.batch = []

    module = Somebody()
    module.n = n
    data = make(BASE, n, "drop" if drop_last else "keep") if make is OwnData else make(BASE, n, drop_last)
    trainer = train(module, data, BatchSizeRamp(factor=2, every=1, micro_batch=8), Checks())
    assert max(errors) < 1e-6
    assert trainer.accumulate_grad_batches == 1
    used = n - n % 8 if drop_last else n  # a micro-batch is what the loader drops
    expected = []
    for size in (8, 16, 32, 64):
        expected += [size] * (used // size) + ([used % size] if used % size else [])
    assert groups == expected
    assert max(len(batch) for epoch in module.seen for batch in epoch) == 8


def test_micro_batches_schedules_and_the_estimate():
    schedule = lambda optimizer, trainer: OneCycleLR(optimizer, 0.1, total_steps=trainer.estimated_stepping_batches)  # noqa: E731
    trainer = train(Somebody(schedule), dataloader(16), BatchSizeRamp(factor=2, every=1, micro_batch=8), max_epochs=3)
    assert trainer.lr_scheduler_configs[0].scheduler.last_epoch == 3 * 6
    assert trainer.global_step == 6 + 3 + 2


@pytest.mark.parametrize("n", [N, 104])
@pytest.mark.parametrize("drop_last", [False, True])
def test_schedules_count_the_steps_of_accumulated_batches(drop_last, n):
    """An epoch of 13 accumulated pairs has 7 steps, also where only the 14th batch would be dropped."""
    lengths = []

    def schedule(optimizer, trainer):
        lengths.append(trainer.estimated_stepping_batches)
        return OneCycleLR(optimizer, 0.1, total_steps=lengths[0])

    data = Stated(n=n, drop_last=drop_last)
    trainer = train(Somebody(schedule), data, BatchSizeRamp(factor=2, every=1, maximum=64), accumulate_grad_batches=2)
    assert trainer.lr_scheduler_configs[0].scheduler.last_epoch == lengths[0] == 4 * -(-n // 16)


@pytest.mark.parametrize("options", [{"accumulate_grad_batches": 2}, {"micro": 8}], ids=["trainer", "ramp"])
def test_steps_are_those_of_accumulated_batches(options):
    """An epoch of 13 pairs has 7 steps, so the 7th ends the first epoch."""
    options = dict(options)
    micro = options.pop("micro", None)
    module = Somebody()
    ramp = BatchSizeRamp(sizes=[32], milestones=[7], unit="steps", micro_batch=micro)
    train(module, Stated(16 if micro else BASE, n=104, drop_last=True), ramp, max_epochs=3, **options)
    assert [stage.epoch for stage in ramp.history] == [0, 1, 2]
    assert [stage.batch_size for stage in ramp.history] == [16, 32, 32]


@pytest.mark.parametrize("weights_only", [False, True])
@pytest.mark.parametrize("make", [Hyper, WithLoader])
def test_a_checkpoint_stores_the_size_of_the_start(tmp_path, make, weights_only):
    """Whatever is loaded from it starts where this run started."""

    class Saves(pl.Callback):
        def on_train_batch_end(self, trainer, *_):
            if trainer.global_step in (15, 18):  # in the middle of an epoch, and at its end
                trainer.save_checkpoint(tmp_path / f"{trainer.global_step}.ckpt", weights_only=weights_only)

        def on_train_epoch_end(self, trainer, module):
            trainer.save_checkpoint(tmp_path / f"epoch-{trainer.current_epoch}.ckpt", weights_only=weights_only)

    module = make() if make is WithLoader else Somebody()
    data = {} if make is WithLoader else {"datamodule": make()}
    trainer = pl.Trainer(
        max_epochs=3, callbacks=[BatchSizeRamp(factor=2, every=1), Saves()], logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, accelerator="cpu",
    )  # fmt: skip
    trainer.datamodule_n = N
    trainer.fit(module, **data)
    assert sizes(module) == RAMPED[:3]
    paths = sorted(tmp_path.iterdir())
    assert len(paths) == 5
    for path in paths:
        loaded = make.load_from_checkpoint(path, weights_only=True)
        assert loaded.hparams.batch_size == BASE, path


@pytest.mark.parametrize("make", [Stated, OwnData])
@pytest.mark.parametrize("name", ["OneCycleLR", "CosineAnnealingLR"])
def test_a_schedule_over_all_updates_cannot_keep_its_place(name, make):
    """It would be over before the training, and torch refuse a step too many or let the rate rise again."""
    kinds = {
        "OneCycleLR": lambda optimizer, steps: OneCycleLR(optimizer, 0.1, total_steps=steps),
        "CosineAnnealingLR": lambda optimizer, steps: CosineAnnealingLR(optimizer, steps),
    }
    module = Somebody(lambda optimizer, trainer: kinds[name](optimizer, trainer.estimated_stepping_batches))
    options = {"max_epochs": -1, "max_steps": 30}
    with pytest.raises(UsageError, match=f"{name} .* 30 steps, as trainer.max_steps .* Set ramp.schedules to steps"):
        train(module, make(), BatchSizeRamp(factor=2, every=1, maximum=32), **options)
    ramp = BatchSizeRamp(factor=2, every=1, maximum=32, schedules="steps")
    assert train(module, make(), ramp, **options).lr_scheduler_configs[0].scheduler.last_epoch == 30


def test_a_sequence_that_is_not_made_for_the_budget_keeps_its_place():
    schedule = lambda optimizer, _: SequentialLR(optimizer, [LinearLR(optimizer, 0.1), StepLR(optimizer, 9)], [5])  # noqa: E731
    ramp = BatchSizeRamp(factor=2, every=1, maximum=32)
    trainer = train(Somebody(schedule), Stated(), ramp, max_epochs=-1, max_steps=18)
    assert trainer.lr_scheduler_configs[0].scheduler.last_epoch == 24


def test_a_polynomial_over_updates_needs_its_epochs_where_the_batch_grows():
    """Nobody knows how many epochs they are."""
    callbacks = [RateDecay("polynomial"), BatchSizeRamp(factor=2, every=1, maximum=16)]
    with pytest.raises(UsageError, match=r"decay\.epochs: the length of the training is not known"):
        train(Somebody(), Stated(), *callbacks, max_epochs=-1, max_steps=36)


def test_the_rate_at_the_start_of_an_epoch_is_that_of_its_first_step():
    """The last epoch's batches are still counted there, of the size before."""
    found = []

    class Look(pl.Callback):
        def on_train_epoch_start(self, trainer, module):
            found.append((epochs_passed(trainer), float(trainer.callback_metrics["learning_rate"])))

    decay = RateDecay("steps", milestones=[2], factor=0.1)
    train(Somebody(), Stated(), BatchSizeRamp(factor=2, every=1), decay, Look())
    assert found == [
        (0, pytest.approx(0.01)),
        (1, pytest.approx(0.02)),
        (2, pytest.approx(0.004)),
        (3, pytest.approx(0.008)),
    ]


def test_batches_that_the_trainer_accumulates_count_for_the_size():
    module, ramp = Somebody(), BatchSizeRamp(factor=2, every=1)
    trainer = train(module, dataloader(), ramp, accumulate_grad_batches=2, max_epochs=3)
    assert sizes(module) == [[8] * 12, [16] * 6, [32] * 3]
    assert [stage.batch_size for stage in ramp.history] == [16, 32, 64]
    assert trainer.accumulate_grad_batches == 2
    assert trainer.global_step == 6 + 3 + 2


@pytest.mark.parametrize(
    ("task", "source", "metric"),
    [
        (Somebody, Stated, "loss"),
        (Somebody, Stated, "validation_loss"),
        (Somebody, OwnData, "loss"),
        (OwnTask, Stated, "validation_loss"),
        (OwnTask, OwnData, "validation_loss"),
    ],
)
def test_it_grows_when_a_metric_stops_improving(task, source, metric):
    """A metric of training or validation; here any change is too small, so it grows after every second look."""
    module, data = task(), source(validation=True)
    ramp = BatchSizeRamp(factor=2, maximum=32, monitor=metric, min_delta=1e6, patience=1)
    train(module, data, ramp, max_epochs=6)
    assert sizes(module) == [[8] * 12] * 3 + [[16] * 6] * 2 + [[32] * 3]
    assert module.per_epoch == [12, 12, 12, 6, 6, 3]
    assert once_an_epoch(module)


def test_a_metric_that_improves_lets_the_batch_be():
    module = Somebody(rate=1e-3)
    with pytest.warns(UserWarning, match="the ramp never changed the batch: loss did not stop improving"):
        train(module, Stated(), BatchSizeRamp(factor=2, maximum=32, monitor="loss"), max_epochs=4)
    assert sizes(module) == [[8] * 12] * 4


def test_it_looks_only_after_validations():
    module = Somebody()
    ramp = BatchSizeRamp(factor=2, maximum=32, monitor="validation_loss", min_delta=1e6)
    train(module, Stated(validation=True), ramp, max_epochs=7, check_val_every_n_epoch=2)
    assert [epoch[0] for epoch in sizes(module)] == [8, 8, 8, 8, 16, 16, 32]


def test_an_optimizer_that_asks_twice():
    """Automatic optimisation: the rate is multiplied once, and the size follows."""
    made = []

    def optimizer(weights):
        made.append(TwoClosures(weights))
        return made[0]

    train(Somebody(optimizer=optimizer), dataloader(), BatchSizeRamp(factor=2, every=1), max_epochs=3)
    assert made[0].used == [0.01] * 12 + [0.02] * 6 + [0.04] * 3


def test_a_loader_is_left_as_it_was_after_an_error():
    class Fails(pl.Callback):
        def on_train_epoch_start(self, trainer, module):
            if trainer.current_epoch == 2:
                raise RuntimeError("on purpose")

    loader, data, module = dataloader(), Stated(), Somebody()
    for given in (loader, data):
        with pytest.raises(RuntimeError, match="on purpose"):
            train(module, given, BatchSizeRamp(factor=2, every=1, micro_batch=8), Fails())
    assert loader.batch_size == loader.batch_sampler.batch_size == data.batch_size == BASE
    assert module.trainer.accumulate_grad_batches == 1
    assert module.trainer.reload_dataloaders_every_n_epochs == 0
