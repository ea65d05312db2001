"""The distance of the weights from their start: the right number, at the right steps, without a trace in the run."""

import csv
import json

import pytest
import pytorch_lightning as pl
import torch
import yaml
from probes import same
from pytorch_lightning.loggers import CSVLogger
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from bsgap.callbacks import WeightDistance, resume
from bsgap.errors import Interrupted, UsageError

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*The number of training batches.*is smaller than the logging interval"),
]


class Stranger(pl.LightningModule):
    """Somebody's module: automatic optimisation, BatchNorm, a shared and a frozen parameter."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm, self.second = nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Linear(6, 6)
        self.second.weight = self.first.weight
        self.frozen = nn.Linear(6, 3).requires_grad_(False)

    def training_step(self, batch, _):
        return cross_entropy(self.frozen(self.second(torch.tanh(self.norm(self.first(batch[0]))))), batch[1])

    def configure_optimizers(self):
        trained = [p for p in self.parameters() if p.requires_grad]
        return torch.optim.SGD(trained, lr=0.05, momentum=0.9)


class Walk(pl.Callback):
    """The trainable weights after every step, the slow way."""

    def __init__(self):
        self.states = {}

    def on_train_start(self, trainer, module):
        self.note(module, 0)

    def on_train_batch_end(self, trainer, module, *_):
        self.note(module, trainer.global_step)

    def note(self, module, step):
        trained = [p.detach().double().reshape(-1) for p in module.parameters() if p.requires_grad]
        self.states[step] = torch.cat(trained).clone()

    def distance(self, step):
        return (self.states[step] - self.states[0]).norm().item()


@pytest.fixture
def fit(tmp_path):
    draws = torch.Generator().manual_seed(2)
    data = TensorDataset(torch.randn(50, 6, generator=draws), torch.randint(0, 3, (50,), generator=draws))

    def run(*callbacks, epochs=3, module=None, ckpt_path=None, batch_size=10, **options):
        torch.manual_seed(7)
        module = module or Stranger()
        options = {"logger": False, "enable_checkpointing": False} | options
        trainer = pl.Trainer(
            max_epochs=epochs, accelerator="cpu", callbacks=list(callbacks), default_root_dir=tmp_path,
            enable_progress_bar=False, enable_model_summary=False, **options,
        )  # fmt: skip
        trainer.fit(module, DataLoader(data, batch_size, shuffle=True), ckpt_path=ckpt_path, weights_only=True)
        return trainer, module

    return run


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({}, [1, 2, 3, 4, 6, 8, 12, 15]),
        ({"per_doubling": 1}, [1, 2, 4, 8, 15]),
        ({"per_doubling": None, "every_n_steps": 4}, [4, 8, 12, 15]),
        ({"per_doubling": None, "every_n_epochs": 2}, [10, 15]),
        ({"per_doubling": 1, "every_n_steps": 6, "every_n_epochs": 1}, [1, 2, 4, 5, 6, 8, 10, 12, 15]),
    ],
)
def test_distance_of_all_trainable_weights_at_the_steps_asked_for(fit, options, steps):
    callback, walk = WeightDistance(**options), Walk()
    fit(callback, walk)
    assert callback.steps == steps
    assert callback.results == pytest.approx([walk.distance(step) for step in steps], rel=2e-7)
    assert [(row[0], row[1], row[2], row[3]) for row in callback.rows] == [
        (step, round(step / 5, 6), 10 * step, "distance") for step in steps
    ]


def test_run_with_it_equals_run_without_it(fit):
    before, expected = fit()
    trainer, module = fit(WeightDistance(every_n_steps=1))
    assert same(module.state_dict(), expected.state_dict())
    buffers = [[value["momentum_buffer"] for value in t.optimizers[0].state.values()] for t in (before, trainer)]
    assert all(torch.equal(a, b) for a, b in zip(*buffers, strict=True))


def test_accumulated_batches_are_no_steps(fit):
    callback = WeightDistance(None, every_n_steps=1)
    fit(callback, accumulate_grad_batches=2, epochs=2)
    assert callback.steps == [1, 2, 3, 4, 5, 6]


def test_it_is_off_without_any_of_the_options(fit):
    callback = WeightDistance(None)
    fit(callback)
    assert (callback.rows, callback._start, callback.state_dict()) == ([], {}, {})


def test_a_new_fit_starts_anew(fit):
    callback = WeightDistance()
    fit(callback)
    first = list(callback.rows)
    fit(callback)
    assert callback.rows == first


def test_loggers_get_every_one(fit, tmp_path):
    callback = WeightDistance()
    fit(callback, logger=CSVLogger(tmp_path, name="log", version=0))
    with (tmp_path / "log" / "version_0" / "metrics.csv").open() as stream:
        logged = [(int(row["step"]), float(row["weight_distance"])) for row in csv.DictReader(stream)]
    assert logged == list(zip(callback.steps, callback.results, strict=True))


@pytest.mark.parametrize("option", ["per_doubling", "every_n_steps", "every_n_epochs"])
def test_counts_below_one(option):
    with pytest.raises(UsageError, match=f"{option} must be at least 1"):
        WeightDistance(**{option: 0})


def test_a_fit_that_continues_without_the_start_measures_nothing(fit, tmp_path):
    trainer, _ = fit(epochs=1)
    trainer.save_checkpoint(tmp_path / "middle.ckpt")
    callback = WeightDistance()
    with pytest.warns(UserWarning, match="start is not known"):
        fit(callback, ckpt_path=tmp_path / "middle.ckpt")
    assert callback.rows == []


def test_parameters_that_were_replaced_are_named(fit):
    class Replace(pl.Callback):
        def on_train_batch_end(self, trainer, module, *_):
            if trainer.global_step == 2:
                module.other = module.norm
                del module.norm
                module.norm = nn.Identity()
                module._modules.pop("other")

    with pytest.raises(UsageError, match=r"'norm\.weight' was there at the start"):
        fit(Replace(), WeightDistance())


# With `bsgap fit` ----------------------------------------------------------------------------------------------------
def rows_of(folder):
    with (folder / "metrics.csv").open() as stream:
        return [tuple(row) for row in csv.reader(stream)]


def test_rows_of_a_run_are_with_its_curves(runs, final):
    plain = runs.fit("plain")
    folder = runs.fit("run", "--distance.per_doubling=2")
    rows = rows_of(folder)
    assert [int(row[0]) for row in rows[1:]] == sorted(int(row[0]) for row in rows[1:])
    assert [row for row in rows if row[3] != "distance"] == rows_of(plain)  # and off by default
    found = [row for row in rows if row[3] == "distance"]
    # Three steps an epoch, of 16, 16 and 8 examples.
    assert [row[:3] for row in found] == [
        ("1", "0.333333", "16"), ("2", "0.666667", "32"), ("3", "1.0", "40"), ("4", "1.333333", "56"),
        ("6", "2.0", "80"),
    ]  # fmt: skip
    initial, end = torch.load(folder / "weights" / "initial.pt", weights_only=True), final(folder)
    names = [name for name in end if name.endswith(("weight", "bias"))]
    expected = torch.cat([(end[name].double() - initial[name].double()).reshape(-1) for name in names]).norm()
    assert float(found[-1][4]) == pytest.approx(expected.item(), rel=1e-6)
    assert json.loads((folder / "outcome.json").read_text())["last"]["distance"] == float(found[-1][4])
    assert same(end, final(plain))
    assert yaml.safe_load((plain / "config.yaml").read_text())["distance"] == {}  # what is absent is not stored


@pytest.mark.parametrize("stop", [1, 4, 5])
def test_resumed_run_has_the_rows_of_an_uninterrupted_one(runs, monkeypatch, stop):
    runs.values["distance"] = {"per_doubling": 2}
    expected = runs.fit("whole")
    runs.values["resume"] = {"every_seconds": 0}
    asked = iter(range(1, 100))
    monkeypatch.setattr(resume, "should_stop", lambda: next(asked) == stop)
    with pytest.raises(Interrupted):
        runs.fit("resumed")
    start = torch.load(runs.root / "resumed" / "last.ckpt", weights_only=True)["callbacks"]["WeightDistance"]["start"]
    initial = torch.load(expected / "weights" / "initial.pt", weights_only=True)
    assert all(torch.equal(tensor, initial[name.removeprefix("network.")]) for name, tensor in start.items())
    monkeypatch.setattr(resume, "should_stop", lambda: False)
    assert rows_of(runs.fit("resumed")) == rows_of(expected)
