from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from torch import nn
from torch.nn.functional import cross_entropy, nll_loss
from torch.utils.data import DataLoader, TensorDataset

from bsgap.callbacks import Sharpness
from bsgap.data import ImageData
from bsgap.errors import UsageError
from bsgap.measures import keskar_sharpness

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:You passed in a `val_dataloader` but have no `validation_step`"),
    pytest.mark.filterwarnings("ignore:.*The number of training batches.*is smaller than the logging interval"),
]


class Stranger(pl.LightningModule):
    """Somebody's module: automatic optimisation, dropout, BatchNorm, no method that bsgap knows."""

    def __init__(self, probabilities=False, features=6):
        super().__init__()
        head = [nn.LogSoftmax(1)] if probabilities else []
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(features, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 10), *head
        )

    def forward(self, x):
        return self.layers(x)

    def training_step(self, batch, _):
        return cross_entropy(self(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


@pytest.fixture
def data():
    draws = torch.Generator().manual_seed(2)
    return TensorDataset(torch.randn(50, 6, generator=draws), torch.randint(0, 3, (50,), generator=draws))


@pytest.fixture
def fit(data, tmp_path):
    def run(*callbacks, epochs=3, module=Stranger, precision="32-true", datamodule=None, **options):
        torch.manual_seed(0)
        module = module()
        options = {"logger": False, "enable_checkpointing": False} | options
        trainer = pl.Trainer(
            max_epochs=epochs, accelerator="cpu", callbacks=list(callbacks), default_root_dir=tmp_path,
            enable_progress_bar=False, enable_model_summary=False, precision=precision, **options,
        )  # fmt: skip
        if datamodule is not None:
            trainer.fit(module, datamodule=datamodule)
        else:
            trainer.fit(module, DataLoader(data, batch_size=16, shuffle=True))
        return trainer, module

    return run


@pytest.mark.parametrize("options", [{}, {"every_n_epochs": 1, "maximiser": "sign", "statistics": "recomputed"}])
def test_run_with_it_equals_run_without_it(fit, options):
    _, expected = fit()
    _, module = fit(Sharpness(**options))
    assert module.training == expected.training
    for name, value in expected.state_dict().items():
        assert torch.equal(module.state_dict()[name], value), name


def test_measures_the_training_loss_at_the_end_of_the_fit(fit, data):
    callback = Sharpness()
    _, module = fit(callback)
    (found,) = callback.results
    expected = keskar_sharpness(module, [data[:]])
    assert found.value == pytest.approx(expected.value, rel=1e-3)
    assert found.start_loss == pytest.approx(expected.start_loss, rel=1e-5)
    assert found.examples == 50


def test_every_n_epochs_and_the_end_without_measuring_twice(fit):
    every_two, every_three = Sharpness(every_n_epochs=2, iterations=1), Sharpness(3, iterations=1, name="third")
    trainer, _ = fit(every_two, every_three)
    assert len(every_two.results) == 2
    assert len(every_three.results) == 1
    assert trainer.callback_metrics["third"].item() == pytest.approx(every_three.results[0].value)


def test_value_is_logged(fit, tmp_path):
    callback = Sharpness(every_n_epochs=1, iterations=1)
    trainer, _ = fit(callback, logger=CSVLogger(tmp_path), epochs=2)
    text = (next(tmp_path.rglob("metrics.csv"))).read_text()
    assert "sharpness" in text.splitlines()[0]
    assert trainer.callback_metrics["sharpness"].item() == pytest.approx(callback.results[-1].value)
    end = Sharpness(iterations=1)
    trainer, _ = fit(end, logger=CSVLogger(tmp_path / "end"), epochs=1)
    assert str(end.results[0].value)[:6] in next((tmp_path / "end").rglob("metrics.csv")).read_text()


def test_measures_in_float32_when_training_is_mixed(fit, data):
    callback = Sharpness(batches=[data[:]])
    _, module = fit(callback, precision="bf16-mixed")
    assert callback.results[0].value == keskar_sharpness(module, [data[:]]).value


def test_own_batches_loss_and_options(fit, data):
    callback = Sharpness(
        batches=[data[:16], data[16:40]], examples=20, loss=nll_loss, subspace=3, scaling="unit", seed=4, epsilon=1e-2
    )
    _, module = fit(callback, module=partial(Stranger, probabilities=True), epochs=1)
    (found,) = callback.results
    batches = [data[:16], data[16:20]]
    expected = keskar_sharpness(module, batches, loss=nll_loss, subspace=3, scaling="unit", seed=4, epsilon=1e-2)
    assert found.value == expected.value
    assert found.examples == 20
    assert (found.subspace, found.scaling) == (3, "unit")


@pytest.mark.parametrize(("examples", "measured"), [(None, 1000), (100, 100), (9999, 1000)])
def test_data_module_that_gives_batches_for_measures(fit, examples, measured):
    data = ImageData("digits", batch_size=200)
    callback = Sharpness(every_n_epochs=1, iterations=1, examples=examples)
    _, module = fit(callback, module=partial(Stranger, features=64), datamodule=data, epochs=2)
    assert [found.examples for found in callback.results] == [measured] * 2
    _, expected = fit(module=partial(Stranger, features=64), datamodule=ImageData("digits", batch_size=200), epochs=2)
    assert all(torch.equal(value, module.state_dict()[name]) for name, value in expected.state_dict().items())


def test_results_travel_in_a_checkpoint(fit, tmp_path):
    callback = Sharpness(every_n_epochs=1, iterations=1)
    trainer, _ = fit(callback, epochs=2)
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    states = torch.load(tmp_path / "x.ckpt", weights_only=True)["callbacks"]
    other = Sharpness()
    other.load_state_dict(states[other.state_key])
    assert other.results == callback.results


def test_loader_that_gives_no_pairs(fit, data):
    with pytest.raises(UsageError, match="must be a pair"):
        fit(Sharpness(batches=[data[:10] + data[:10]]), epochs=1)


@pytest.mark.parametrize("option", ["every_n_epochs", "examples"])
def test_usage_errors(option):
    with pytest.raises(UsageError, match=f"{option} must be at least 1 or absent, got 0"):
        Sharpness(**{option: 0})
