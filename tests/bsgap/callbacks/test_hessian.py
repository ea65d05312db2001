from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from probes import same
from pytorch_lightning.loggers import CSVLogger
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.utils.data import DataLoader, TensorDataset

from bsgap.callbacks import Hessian
from bsgap.data import ImageData
from bsgap.errors import UsageError
from bsgap.measures import hessian_trace, spectral_density, top_eigenvalues

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*The number of training batches.*is smaller than the logging interval"),
    pytest.mark.filterwarnings("ignore:.*have no `validation_step`"),
]


class Stranger(pl.LightningModule):
    """Somebody's module: automatic optimisation, dropout, BatchNorm, no method that bsgap knows."""

    def __init__(self, features=6):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(features, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 10)
        )

    def forward(self, x):
        return self.layers(x)

    def training_step(self, batch, _):
        return cross_entropy(self(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)


@pytest.fixture
def data():
    draws = torch.Generator().manual_seed(2)
    return TensorDataset(torch.randn(50, 6, generator=draws), torch.randint(0, 3, (50,), generator=draws))


@pytest.fixture
def fit(data, tmp_path):
    def run(*callbacks, epochs=2, module=Stranger, datamodule=None, **options):
        torch.manual_seed(7)
        module = module()
        options = {"logger": False, "enable_checkpointing": False} | options
        trainer = pl.Trainer(
            max_epochs=epochs, accelerator="cpu", callbacks=list(callbacks), default_root_dir=tmp_path,
            enable_progress_bar=False, enable_model_summary=False, **options,
        )  # fmt: skip
        if datamodule is not None:
            trainer.fit(module, datamodule=datamodule)
        else:
            trainer.fit(module, DataLoader(data, batch_size=16, shuffle=True))
        return trainer, module

    return run


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"every_n_epochs": 1, "statistics": "recomputed", "trace_probes": 2, "density_probes": 1, "density_steps": 3},
        {"every_n_epochs": 1, "matrix": "gauss-newton", "statistics": "batch"},
    ],
)
def test_run_with_it_equals_run_without_it(fit, options):
    before, expected = fit()
    trainer, module = fit(Hessian(**options))
    assert module.training == expected.training
    assert same(module.state_dict(), expected.state_dict())
    buffers = [[value["momentum_buffer"] for value in t.optimizers[0].state.values()] for t in (before, trainer)]
    assert all(torch.equal(a, b) for a, b in zip(*buffers, strict=True))


def test_all_that_it_measures_is_what_the_functions_find(fit, data):
    callback = Hessian(k=2, trace_probes=3, density_probes=2, density_steps=5, order="magnitude", seed=4)
    _, module = fit(callback)
    (found,) = callback.results
    batches = [data[:]]
    values = top_eigenvalues(module, batches, k=2, order="magnitude", seed=4).values
    assert found.eigenvalues.values == pytest.approx(values, rel=1e-4)
    assert found.trace.value == pytest.approx(hessian_trace(module, batches, probes=3, seed=4).value, rel=1e-4)
    density = spectral_density(module, batches, probes=2, steps=5, seed=4)
    assert found.density.nodes[1] == pytest.approx(density.nodes[1], rel=1e-3, abs=1e-4)
    assert found.examples == 50


def test_what_is_logged_and_when(fit, tmp_path):
    callback, other = Hessian(1, k=2, trace_probes=2), Hessian(k=0, density_probes=1, density_steps=2, name="spectrum")
    trainer, _ = fit(callback, other, logger=CSVLogger(tmp_path))
    assert len(callback.results) == 2
    assert callback.steps == [4, 8]
    last = callback.results[-1]
    logged = trainer.callback_metrics
    assert logged["hessian/lambda_1"].item() == pytest.approx(last.eigenvalues.values[0])
    assert logged["hessian/lambda_2"].item() == pytest.approx(last.eigenvalues.values[1])
    assert logged["hessian/trace"].item() == pytest.approx(last.trace.value)
    assert logged["hessian/trace_standard_error"].item() == pytest.approx(last.trace.standard_error)
    assert "hessian/lambda_1" in next(tmp_path.rglob("metrics.csv")).read_text().splitlines()[0]
    assert other.results[0].eigenvalues is None
    assert other.logged(other.results[0]) == {}


def test_results_travel_in_a_checkpoint(fit, tmp_path):
    callback = Hessian(1, k=2, trace_probes=2, density_probes=1, density_steps=2)
    trainer, _ = fit(callback)
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    states = torch.load(tmp_path / "x.ckpt", weights_only=True)["callbacks"]
    other = Hessian()
    other.load_state_dict(states[other.state_key])
    assert other.results == callback.results
    assert other.results[0].density.moment(0) == pytest.approx(1)


def test_own_batches_loss_and_examples(fit, data):
    aims = torch.randn(50, 10)
    callback = Hessian(batches=[(data[:][0], aims)], examples=20, loss=mse_loss)
    _, module = fit(callback, epochs=1)
    (found,) = callback.results
    expected = top_eigenvalues(module, [(data[:20][0], aims[:20])], loss=mse_loss)
    assert found.eigenvalues.values == expected.values
    assert found.examples == 20


def test_data_module_that_gives_batches_for_measures_and_mixed_precision(fit):
    callback = Hessian(examples=100)
    _, module = fit(
        callback, epochs=1, module=partial(Stranger, 64), datamodule=ImageData("digits", batch_size=200),
        precision="bf16-mixed",
    )  # fmt: skip
    (found,) = callback.results
    assert found.examples == 100
    batches = ImageData("digits", batch_size=200)
    batches.setup("fit")
    assert found.eigenvalues.values == top_eigenvalues(module, batches.batches("train", examples=100)).values


def test_a_diverged_training_ends_with_a_warning(fit):
    class Diverged(Stranger):
        def on_train_epoch_end(self):
            self.layers[1].weight.data.fill_(torch.nan)

    callback = Hessian()
    with pytest.warns(UserWarning, match="hessian: not measured at step 8: the loss is nan at the start"):
        fit(callback, module=Diverged)
    assert callback.results == []


def test_usage_errors():
    cases = [
        ({"every_n_epochs": 0}, "every_n_epochs must be at least 1 or absent, got 0"),
        ({"k": 1.5}, "hessian: k must be a positive integer, or 0 for none, got 1.5"),
        ({"k": -1}, "hessian: k must be a positive integer, or 0 for none, got -1"),
        ({"k": 0}, "hessian: nothing to measure: expected one of k, trace_probes, density_probes above 0"),
        ({"trace_probes": 1}, "hessian: trace_probes must be at least 2, for a standard error, or 0, got 1"),
        ({"matrix": "fisher"}, "hessian: matrix must be one of hessian, gauss-newton, got 'fisher'"),
        ({"statistics": "mean"}, "hessian: statistics must be one of batch, running, recomputed, got 'mean'"),
        ({"order": "size"}, "hessian: order must be one of value, magnitude, got 'size'"),
        ({"tolerance": 0.0}, "hessian: tolerance must be positive and finite, got 0.0"),
        ({"k": 3, "most_products": 2}, "hessian: most_products must be at least k = 3, got 2"),
        ({"density_probes": -1}, "hessian: density_probes must be a positive integer, or 0 for none, got -1"),
        ({"density_probes": 1, "density_steps": 0}, "hessian: density_steps must be at least 1, got 0"),
        (
            {"trace_probes": -1, "name": "curve"},
            "curve: trace_probes must be a positive integer, or 0 for none, got -1",
        ),
    ]
    for options, message in cases:
        with pytest.raises(UsageError, match=message):
            Hessian(**options)
    Hessian(k=0, density_probes=1, density_steps=1)
