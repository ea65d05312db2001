"""The ramp on tasks and data of this package: what each step is, what comes when, and what is left behind."""

import doctest
import importlib

import pytest
import pytorch_lightning as pl
import torch
from ramped import BASE, N, OwnData, OwnTask, Somebody, TwoClosures, once_an_epoch, sizes, tensors, train
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, StepLR

from bsgap.callbacks import BatchSizeRamp, Curves, RateDecay, ScaledRate
from bsgap.callbacks.multipliers import effective_rate
from bsgap.errors import UsageError

K = N // BASE  # steps in an epoch at the start


class Watch(pl.Callback):
    """Notes the effective rate, after each batch, and where validations fall."""

    def __init__(self):
        self.rates, self.validations = [], []

    def on_before_optimizer_step(self, trainer, module, optimizer):
        self.rates.append(effective_rate(optimizer))

    def on_validation_start(self, trainer, module):
        self.validations.append(trainer.global_step)


@pytest.mark.parametrize(
    "module", ["bsgap.callbacks.ramp", "bsgap.optim.growth", "bsgap.optim.plateau", "bsgap.callbacks.curves"]
)
def test_examples(module):
    found = doctest.testmod(importlib.import_module(module))
    assert found.attempted
    assert not found.failed


def weights(task):
    return torch.cat([parameter.detach().flatten() for parameter in task.network.parameters()]).double()


def test_a_step_of_twice_the_batch_is_two_steps_with_frozen_weights():
    """With rate/batch kept: η·2·g_{2m} = η·g_m + η·g'_m, both gradients taken at the same weights."""
    task = OwnTask()
    train(task, OwnData(), max_epochs=1)
    start = weights(task)
    ramped = OwnTask()
    train(ramped, OwnData(), BatchSizeRamp(factor=2, milestones=[1]), max_epochs=2, max_steps=K + 1)
    inputs, targets = tensors()
    (batch,) = ramped.seen[1]
    moved = torch.zeros_like(start)
    for half in (batch[:BASE], batch[BASE:]):
        assert len(half) == BASE
        task.zero_grad()
        torch.nn.functional.mse_loss(task.network(inputs[half]), targets[half]).backward()
        moved += 0.01 * torch.cat([p.grad.flatten() for p in task.network.parameters()]).double()
    assert torch.allclose(weights(ramped), start - moved, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"factor": 2, "every": 1}, [[8] * 12, [16] * 6, [32] * 3, [64, 32]]),
        ({"factor": 2, "every": 1, "maximum": 20}, [[8] * 12, [16] * 6, [20] * 4 + [16], [20] * 4 + [16]]),
        ({"factor": 4, "milestones": [2]}, [[8] * 12, [8] * 12, [32] * 3, [32] * 3]),
        ({"sizes": [16, 48], "milestones": [0.5, 1.25]}, [[8] * 6 + [16] * 3, [16] * 2 + [48, 16], [48] * 2, [48] * 2]),
        ({"factor": 2, "milestones": [14], "unit": "steps"}, [[8] * 12, [8] * 2 + [16] * 5, [16] * 6, [16] * 6]),
        ({"sizes": [24, 96], "every": 12, "unit": "steps"}, [[8] * 12, [24] * 4, [24] * 4, [24] * 4]),
    ],
    ids=["epochs", "maximum", "fourfold", "within epochs", "steps", "steps that come late"],
)
def test_batches_are_those_of_the_plan(options, expected):
    task = OwnTask()
    train(task, OwnData(), BatchSizeRamp(**options))
    assert sizes(task) == expected
    assert once_an_epoch(task)
    assert task.per_epoch == [len(epoch) for epoch in expected]


def test_the_last_batch_is_dropped():
    task, curves = OwnTask(), Curves()
    train(task, OwnData(n=100, last="drop"), BatchSizeRamp(factor=3, every=1), curves, max_epochs=3)
    assert sizes(task) == [[8] * 12, [24] * 4, [72]]
    assert task.per_epoch == [12, 4, 1]


@pytest.mark.parametrize(
    ("rule", "shares"),
    [
        ("keep-ratio", (1, 2, 4)),
        ("linear", (1, 2, 4)),
        ("square-root", (1, 2**0.5, 2)),
        ("none", (1, 1, 1)),
    ],
)
def test_the_rate_follows_by_the_rule(rule, shares):
    task, watch = OwnTask(), Watch()
    train(task, OwnData(), watch, BatchSizeRamp(factor=2, every=1, rate=rule), max_epochs=3)
    expected = [0.01 * share for share, steps in zip(shares, (12, 6, 3), strict=True) for _ in range(steps)]
    assert watch.rates == pytest.approx(expected, rel=1e-12)


def test_the_smaller_last_batch_takes_the_rate_of_the_others():
    task, watch = OwnTask(), Watch()
    train(task, OwnData(n=100), watch, BatchSizeRamp(factor=2, every=1), max_epochs=2)
    assert sizes(task)[1] == [16] * 6 + [4]
    assert watch.rates[13:] == pytest.approx([0.02] * 7)


def test_it_goes_with_a_warm_up_and_a_decay():
    """All three multiply each other, and the batch for which the rate is scaled is the one at the start."""
    task, watch = OwnTask(), Watch()
    train(
        task, OwnData(), watch, ScaledRate("linear", base_batch_size=4, warmup_epochs=1),
        BatchSizeRamp(factor=2, every=1), RateDecay("steps", every=1, factor=0.5), max_epochs=3,
    )  # fmt: skip
    assert watch.rates[0] == pytest.approx(0.01)
    assert watch.rates[12:] == pytest.approx([0.02] * (6 + 3))


def test_an_optimizer_that_asks_twice_takes_each_rate_once():
    used = []

    def optimizer(weights):
        made = TwoClosures(weights)
        used.append(made.used)
        return made

    task = OwnTask(optimizer=optimizer)
    train(task, OwnData(), BatchSizeRamp(factor=2, every=1), max_epochs=3)
    assert used[0] == [0.01] * 12 + [0.02] * 6 + [0.04] * 3


SCHEDULES = {
    "steps": lambda optimizer, total: StepLR(optimizer, 5, 0.7),
    "cosine": CosineAnnealingLR,
    "one cycle": lambda optimizer, total: OneCycleLR(optimizer, 0.1, total_steps=total),
}


@pytest.mark.parametrize("n", [N, 100])
@pytest.mark.parametrize("milestones", [[1, 2], [0.5, 1.25], [0.1, 3.9]])
@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_keep_their_place_in_the_data(name, milestones, n):
    """At the end of every epoch they are where they would be without a ramp, and never further than the data."""
    total = 4 * -(-n // BASE)

    class Places(pl.Callback):
        def __init__(self):
            self.ends, self.within = [], []

        def on_train_batch_end(self, trainer, *_):
            last = trainer.lr_scheduler_configs[0].scheduler.last_epoch
            self.within.append((trainer.train_dataloader.examples_seen, last))

        def on_train_epoch_end(self, trainer, module):
            self.ends.append(trainer.lr_scheduler_configs[0].scheduler.get_last_lr())

    fixed, ramped = Places(), Places()
    schedule = lambda optimizer: SCHEDULES[name](optimizer, total)  # noqa: E731
    train(OwnTask(schedule), OwnData(n=n), fixed)
    train(OwnTask(schedule), OwnData(n=n), BatchSizeRamp(factor=2, milestones=milestones), ramped)
    assert ramped.ends == fixed.ends
    place = dict(fixed.within)
    assert all(place.get(seen, step) == step for seen, step in ramped.within)
    assert len(ramped.within) < len(fixed.within)


def test_schedules_may_count_updates_instead():
    task = OwnTask(lambda optimizer: StepLR(optimizer, 1, 0.5))
    trainer = train(task, OwnData(), BatchSizeRamp(factor=2, every=1, schedules="steps"), max_epochs=2)
    assert trainer.lr_scheduler_configs[0].scheduler.last_epoch == 12 + 6


@pytest.mark.parametrize("milestone", [1, 0.25])
def test_the_estimated_length_is_that_of_the_starting_size(milestone):
    found = []

    def schedule(optimizer, trainer):
        found.append(trainer.estimated_stepping_batches)
        return OneCycleLR(optimizer, 0.1, total_steps=found[0])

    module = Somebody(schedule)
    trainer = train(module, OwnData(), BatchSizeRamp(factor=2, milestones=[milestone]))
    assert found == [4 * K]
    assert trainer.lr_scheduler_configs[0].scheduler.last_epoch == 4 * K
    assert module.per_epoch == [len(epoch) for epoch in sizes(module)]
    assert once_an_epoch(module)


def test_validations_and_batch_counts_follow_the_size():
    task, watch = OwnTask(), Watch()
    ramp = BatchSizeRamp(factor=2, every=1)
    train(task, OwnData(validation=True), ramp, watch, val_check_interval=0.5, max_epochs=3)
    assert watch.validations == [6, 12, 15, 18, 19, 20, 21]


def test_a_budget_of_updates():
    task = OwnTask()
    train(task, OwnData(), BatchSizeRamp(factor=2, every=1), max_epochs=-1, max_steps=15)
    assert sizes(task) == [[8] * 12, [16] * 3]


def test_history_and_noise_scale():
    """g = εN / (B(1 - μ)), Smith et al. 2017: constant while rate and batch grow together."""
    ramp = BatchSizeRamp(factor=2, milestones=[0.5, 2])
    momentum = OwnTask(optimizer=lambda weights: torch.optim.SGD(weights, lr=0.01, momentum=0.9))
    train(momentum, OwnData(), ramp, max_epochs=3)
    scale = 0.01 * N / (BASE * (1 - 0.9))
    assert [(s.step, s.epoch, s.examples, s.batch_size) for s in ramp.history] == [
        (0, 0.0, 0, 8), (6, 0.5, 48, 16), (9, 1.0, 96, 16), (15, 2.0, 192, 32),
    ]  # fmt: skip
    assert [stage.rate for stage in ramp.history] == pytest.approx([0.01, 0.02, 0.02, 0.04])
    assert [stage.noise_scale for stage in ramp.history] == pytest.approx([scale] * 4)
    adam = BatchSizeRamp(factor=2, every=1, rate="none")
    train(OwnTask(optimizer=lambda weights: torch.optim.Adam(weights, lr=0.01)), OwnData(), adam, max_epochs=2)
    assert [stage.noise_scale for stage in adam.history] == pytest.approx([scale, scale / 2])


def test_what_it_says_goes_to_the_loggers(tmp_path):
    class Told(pl.loggers.logger.DummyLogger):
        def __init__(self):
            super().__init__()
            self.rows = []

        def log_metrics(self, metrics, step=None):
            self.rows.append((step, metrics))

    told = Told()
    train(OwnTask(), OwnData(), BatchSizeRamp(factor=2, every=1), max_epochs=2, logger=told, log_every_n_steps=1)
    rows = [(step, metrics["batch_size"]) for step, metrics in told.rows if "batch_size" in metrics]
    assert rows == [(0, 8), (12, 16)]
    assert {"learning_rate", "noise_scale"} <= told.rows[0][1].keys()


def test_everything_is_left_as_it_was():
    task, data = OwnTask(micro_batch=4), OwnData()
    trainer = train(task, data, BatchSizeRamp(factor=2, every=1, micro_batch=4), reload_dataloaders_every_n_epochs=0)
    assert left(trainer, task, data, 4)


def left(trainer, task, data, micro_batch=None):
    return (
        trainer.reload_dataloaders_every_n_epochs == 0
        and data.ramp is None
        and data.batch_size == BASE
        and data.train_dataloader().batch_size == BASE
        and task.micro_batch == micro_batch
        and not task.spares_memory
        and not any(optimizer._optimizer_step_pre_hooks for optimizer in trainer.optimizers)
        and [group["lr"] for group in trainer.optimizers[0].param_groups] == [0.01]
    )


@pytest.mark.parametrize("where", ["on_fit_start", "on_train_batch_start", "on_train_epoch_end"])
def test_everything_is_left_as_it_was_after_an_error(where):
    class Fails(pl.Callback):
        pass

    def fail(self, trainer, *_):
        if where == "on_fit_start" or trainer.current_epoch == 1:
            raise RuntimeError("on purpose")

    setattr(Fails, where, fail)
    task, data = OwnTask(), OwnData()
    trainer = []

    class Keep(pl.Callback):
        def setup(self, own, module, stage):
            trainer.append(own)

    with pytest.raises(RuntimeError, match="on purpose"):
        train(task, data, Keep(), BatchSizeRamp(factor=2, every=1, micro_batch=4), Fails())
    assert left(trainer[0], task, data)


def test_a_second_fit_starts_anew_or_goes_on():
    task, data, ramp = OwnTask(), OwnData(), BatchSizeRamp(factor=2, milestones=[1, 3])
    trainer = train(task, data, ramp, max_epochs=2)
    assert [stage.batch_size for stage in ramp.history] == [8, 16]
    trainer.fit_loop.max_epochs = 4
    trainer.fit(task, datamodule=data)
    assert [stage.batch_size for stage in ramp.history] == [16, 32]
    assert [stage.epoch for stage in ramp.history] == [2.0, 3.0]


def test_a_fast_run_for_development():
    task = OwnTask()
    train(task, OwnData(), BatchSizeRamp(factor=2, every=4), fast_dev_run=True)
    assert sizes(task) == [[8]]


def test_a_stranger_among_our_data():
    """Automatic optimisation on data of this package: it grows within epochs, too."""
    module = Somebody(lambda optimizer, trainer: StepLR(optimizer, 5, 0.7))
    trainer = train(module, OwnData(), BatchSizeRamp(factor=2, milestones=[0.5, 2]), max_epochs=3)
    assert sizes(module) == [[8] * 6 + [16] * 3, [16] * 6, [32] * 3]
    assert trainer.lr_scheduler_configs[0].scheduler.last_epoch == 3 * K


def test_micro_batches_of_a_task():
    """The same numbers as without, up to the order of sums; and the task's own option is heeded."""
    whole, parts = OwnTask(), OwnTask()
    train(whole, OwnData(), BatchSizeRamp(factor=2, every=1), max_epochs=3)
    train(parts, OwnData(), BatchSizeRamp(factor=2, every=1, micro_batch=5), max_epochs=3)
    assert torch.allclose(weights(whole), weights(parts), atol=1e-6)
    with pytest.raises(UsageError, match=r"ramp.micro_batch is 5 and the task's own micro_batch 4: give one of them"):
        train(OwnTask(micro_batch=4), OwnData(), BatchSizeRamp(factor=2, every=1, micro_batch=5))


def rows(folder, metric):
    lines = (folder / "metrics.csv").read_text().splitlines()[1:]
    return [
        (int(s), float(e), int(n), float(v)) for s, e, n, m, v in (line.split(",") for line in lines) if m == metric
    ]


def test_curves_have_the_batch_and_count_epochs_in_examples(runs):
    """40 examples: 16, then 24 from the middle of the first epoch on."""
    options = ["--trainer.max_epochs=3", "--curves.per_epoch=4", "--model.init_args.schedule=null"]
    folder = runs.fit("ramp", "--ramp.sizes=[24,40]", "--ramp.milestones=[0.4,1.7]", *options)
    assert [row[:3] for row in rows(folder, "train_loss")] == [
        (0, 0.0, 0), (1, 0.4, 16), (2, 1.0, 40), (3, 1.6, 64), (4, 2.0, 80), (5, 3.0, 120),
    ]  # fmt: skip
    assert [row[3] for row in rows(folder, "batch_size")] == [16, 24, 24, 24, 40, 40]
    rates = [row[3] for row in rows(folder, "learning_rate")]
    assert rates == pytest.approx([0.1, 0.15, 0.15, 0.15, 0.25, 0.25])
    assert [row[3] for row in rows(folder, "noise_scale")] == pytest.approx([0.1 * 40 / (16 * 0.1)] * 6)
    plain = runs.fit("plain", *options)
    assert not rows(plain, "batch_size")
    assert not rows(plain, "noise_scale")


def test_examples_of_curves_are_those_that_were_trained_on(runs):
    folder = runs.fit("drop", "--ramp.sizes=[30]", "--ramp.milestones=[1]", "--data.init_args.last=drop")
    assert [row[2] for row in rows(folder, "train_loss") if row[1] == int(row[1])] == [0, 32, 62]
