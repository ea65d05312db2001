"""The curves of a run: which rows, at which steps, after how many examples, with which values."""

import csv
import json
import math
from fractions import Fraction
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from probes import Dropped, same
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from bsgap.callbacks import Curves, KeepWeights, Outcome, ResumePoint, StoppingRule
from bsgap.data import ImageData
from bsgap.errors import UsageError
from bsgap.measures import Evaluation
from bsgap.tasks import ImageClassification


class Spy(pl.Callback):
    """What is announced to every callback."""

    def __init__(self):
        self.points = []

    def on_evaluation(self, trainer, module, point):
        self.points.append(point)


class Script:
    """A task and its data, whose loss on a set is the number of its evaluations so far."""

    datamodule = SimpleNamespace(batches=lambda split: split)

    def __init__(self):
        self.looks = []

    def evaluate(self, split):
        self.looks.append(split)
        return Evaluation(float(len(self.looks)), None, 1)


def scheduled(steps, epochs, per_epoch, test_every, max_steps=-1):
    """The points of a run of `epochs` epochs of `steps` steps of two examples."""
    task, curves, spy = Script(), Curves(per_epoch, test_every), Spy()
    trainer = SimpleNamespace(
        datamodule=task.datamodule, callbacks=[curves, spy], world_size=1, global_step=0, current_epoch=0,
        num_training_batches=steps, max_epochs=epochs, max_steps=max_steps,
    )  # fmt: skip
    curves.on_train_start(trainer, task)
    for epoch in range(epochs):
        trainer.current_epoch = epoch
        for index in range(steps):
            trainer.global_step += 1
            curves.on_train_batch_end(trainer, task, None, (None, [0, 0]), index)
            if trainer.global_step == max_steps:
                break
        if trainer.global_step == max_steps:
            break
    curves.on_train_end(trainer, task)
    return spy.points, curves.rows


@pytest.mark.parametrize("per_epoch", [1, 2, 3, 4, 5, 7, 50])
@pytest.mark.parametrize("steps", [1, 2, 3, 5, 7, 16])
def test_points_are_the_first_steps_at_or_past_each_share_of_an_epoch(steps, per_epoch):
    points, _ = scheduled(steps, 3, per_epoch, 1)
    expected = {0}
    for epoch in range(3):
        expected |= {epoch * steps + math.ceil(Fraction(k * steps, per_epoch)) for k in range(1, per_epoch + 1)}
    assert [point.step for point in points] == sorted(expected)
    for point in points:
        assert point.epoch == pytest.approx(point.step / steps, abs=1e-6)
        assert point.epoch_end == (point.step % steps == 0)
        assert point.examples == 2 * point.step


@pytest.mark.parametrize(("every", "expected"), [(1, [0, 1, 2, 3, 4, 5]), (2, [0, 2, 4, 5]), (3, [0, 3, 5]), (0, [])])
def test_the_test_set_is_seen_every_so_many_epochs_and_at_the_budgets_end(every, expected):
    points, rows = scheduled(4, 5, 2, every)
    assert [point.epoch for point in points if "test_loss" in point.values] == expected
    assert {row[3] for row in rows} == ({"train_loss", "test_loss"} if every else {"train_loss"})


def test_validation_examples_are_seen_as_often_as_the_test_set():
    task, curves, spy = Script(), Curves(2, 2), Spy()
    data = SimpleNamespace(batches=lambda split: split, validation_examples=3)
    trainer = SimpleNamespace(
        datamodule=data, callbacks=[curves, spy], world_size=1, global_step=0, current_epoch=0,
        num_training_batches=2, max_epochs=4, max_steps=-1,
    )  # fmt: skip
    curves.on_train_start(trainer, task)
    for epoch in range(4):
        trainer.current_epoch = epoch
        for index in range(2):
            trainer.global_step += 1
            curves.on_train_batch_end(trainer, task, None, (None, [0, 0]), index)
    seen = {name: [p.epoch for p in spy.points if f"{name}_loss" in p.values] for name in ("test", "validation")}
    assert seen == {"test": [0, 2, 4], "validation": [0, 2, 4]}


@pytest.mark.parametrize("max_steps", [6, 8, 9, 11])
def test_a_budget_of_steps_ends_with_a_point_of_both_sets(max_steps):
    points, _ = scheduled(4, 5, 2, 3, max_steps=max_steps)
    assert points[-1].step == max_steps
    assert set(points[-1].values) == {"train_loss", "test_loss"}
    assert [point.step for point in points] == sorted({point.step for point in points})


def test_rows_hold_what_was_announced():
    points, rows = scheduled(3, 2, 2, 1)
    assert rows == [
        (point.step, point.epoch, point.examples, name, value)
        for point in points
        for name, value in point.values.items()
    ]


@pytest.mark.parametrize("options", [(0, 1), (1, -1)])
def test_options_out_of_range(options):
    with pytest.raises(UsageError, match="curves: expected"):
        Curves(*options)


def read(folder):
    with (folder / "metrics.csv").open() as stream:
        return list(csv.reader(stream))


def test_the_file_of_a_run(runs):
    spy = Spy()
    folder = runs.fit("run", callbacks=[spy])
    header, *rows = read(folder)
    assert header == ["step", "epoch", "examples", "metric", "value"]
    names = [row[3] for row in rows]
    assert {name: names.count(name) for name in names} == {
        "train_loss": 5, "train_accuracy": 5, "test_loss": 3, "test_accuracy": 3,
    }  # fmt: skip
    # Three steps an epoch, of 16, 16 and 8 examples; two points an epoch, at steps 2 and 3.
    at = [(int(step), float(epoch), int(examples)) for step, epoch, examples, name, _ in rows if name == "train_loss"]
    assert at == [(0, 0, 0), (2, 0.666667, 32), (3, 1, 40), (5, 1.666667, 72), (6, 2, 80)]
    announced = [value for point in spy.points for value in point.values.values()]
    assert [float(row[4]) for row in rows] == announced  # written to the last digit
    assert all(0 <= float(row[4]) <= 1 for row in rows if row[3].endswith("accuracy"))


def test_the_last_values_are_those_of_the_final_weights(runs, final):
    folder = runs.fit("run")
    last = json.loads((folder / "outcome.json").read_text())["last"]
    task = ImageClassification(Dropped)
    task.network.load_state_dict(final(folder))
    data = ImageData(**runs.values["data"]["init_args"])
    for split, name in (("sample", "train"), ("test", "test")):
        found = task.evaluate(data.batches(split))
        assert last[f"{name}_loss"] == pytest.approx(found.loss, rel=1e-6)
        assert last[f"{name}_accuracy"] == found.accuracy


def test_looking_changes_nothing(runs, final):
    often = runs.fit("often", "--curves.per_epoch=3")
    seldom = runs.fit("seldom", "--curves.per_epoch=1", "--curves.test_every=0")
    assert same(final(often), final(seldom))
    assert [row for row in read(often) if row[0] == "6"][:2] == [row for row in read(seldom) if row[0] == "6"]


class Foreign(pl.LightningModule):
    """Somebody else's module: automatic optimisation, batches that are dictionaries, no `evaluate`."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def training_step(self, batch, index):
        return self.layer(batch["x"]).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def foreign_loader():
    dataset = TensorDataset(torch.randn(8, 3))
    return DataLoader(dataset, batch_size=4, collate_fn=lambda rows: {"x": torch.stack([row[0] for row in rows])})


def foreign_fit(tmp_path, *callbacks):
    trainer = pl.Trainer(
        default_root_dir=tmp_path, accelerator="cpu", logger=False, enable_model_summary=False, max_epochs=2,
        enable_progress_bar=False, callbacks=list(callbacks),
    )  # fmt: skip
    trainer.fit(Foreign(), foreign_loader())


@pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers")
def test_a_strangers_module_trains_without_curves(tmp_path):
    callbacks = [Curves(), StoppingRule(), KeepWeights(ends=True), Outcome(), ResumePoint(every_seconds=0)]
    foreign_fit(tmp_path, *callbacks)
    outcome = json.loads((tmp_path / "outcome.json").read_text())
    assert (outcome["status"], outcome["steps"], outcome["epochs"]) == ("finished", 4, 2)
    assert outcome["examples"] is None
    assert not (tmp_path / "metrics.csv").exists()
    assert not (tmp_path / "last.ckpt").exists()
    assert outcome["kept"] == {"initial": {"step": 0}, "final": {"step": 4}}
    state = torch.load(tmp_path / "weights" / "final.pt", weights_only=True)
    assert set(state) == {"layer.weight", "layer.bias"}


@pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers")
@pytest.mark.parametrize("callback", [StoppingRule(patience=2), KeepWeights(levels=[0.1])])
def test_what_needs_curves_is_refused_without_them(tmp_path, callback):
    with pytest.raises(UsageError, match=f"{type(callback).__name__} needs loss curves.*Foreign and NoneType"):
        foreign_fit(tmp_path, Curves(), callback)


@pytest.mark.parametrize("per_doubling", [1, 2, 3, 4, 7])
@pytest.mark.parametrize(("steps", "epochs"), [(3, 5), (10, 11)])
def test_log_spaced_points_are_evenly_spread_over_the_doublings(steps, epochs, per_doubling):
    task, curves, spy = Script(), Curves(per_doubling=per_doubling), Spy()
    trainer = SimpleNamespace(
        datamodule=task.datamodule, callbacks=[curves, spy], world_size=1, global_step=0, current_epoch=0,
        num_training_batches=steps, max_epochs=epochs, max_steps=-1,
    )  # fmt: skip
    curves.on_train_start(trainer, task)
    for epoch in range(epochs):
        trainer.current_epoch = epoch
        for index in range(steps):
            trainer.global_step += 1
            curves.on_train_batch_end(trainer, task, None, (None, [0, 0]), index)
    curves.on_train_end(trainer, task)
    last = steps * epochs
    grid = {math.ceil(2 ** Fraction(k, per_doubling) - 1e-9) for k in range(8 * per_doubling)}
    assert [point.step for point in spy.points] == sorted({0, last} | {step for step in grid if step <= last})
    assert all("test_loss" in point.values for point in spy.points)
    assert [point.epoch_end for point in spy.points if 0 < point.step < last] == [
        point.step % steps == 0 for point in spy.points if 0 < point.step < last
    ]


def test_log_spaced_points_and_a_rule_that_needs_epoch_ends_exclude_each_other():
    task, curves = Script(), Curves(per_doubling=2)
    trainer = SimpleNamespace(datamodule=task.datamodule, callbacks=[curves, StoppingRule(patience=3)])
    with pytest.raises(UsageError, match=r"StoppingRule looks at the ends of epochs.*curves.per_epoch"):
        curves.on_train_start(trainer, task)
    with pytest.raises(UsageError, match="expected per_doubling >= 1 or none, got 0"):
        Curves(per_doubling=0)
