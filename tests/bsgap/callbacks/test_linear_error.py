import math
from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from probes import same
from pytorch_lightning.loggers import CSVLogger
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from bsgap.callbacks import Curves, LinearApproximationError, ScaledRate, Sharpness, resume
from bsgap.data import ImageData, SceneData
from bsgap.errors import Interrupted, UsageError
from bsgap.measures import linear_approximation, mini_batch
from bsgap.networks import FullyConnected
from bsgap.tasks import ImageClassification
from bsgap.tasks.segmentation import SemanticSegmentation

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*The number of training batches.*is smaller than the logging interval"),
]
RATE, MOMENTUM, DECAY = 0.05, 0.9, 0.01
NAME = "linear_approximation_error"


class Stranger(pl.LightningModule):
    """Somebody's module: automatic optimisation, dropout, BatchNorm, no method that bsgap knows."""

    def __init__(self, schedule=None, rate=RATE):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 3))
        self.schedule, self.rate = schedule, rate

    def forward(self, x):
        return self.layers(x)

    def training_step(self, batch, _):
        return cross_entropy(self(batch[0]), batch[1])

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=self.rate, momentum=MOMENTUM, weight_decay=DECAY)
        if self.schedule is None:
            return optimizer
        return [optimizer], [{"scheduler": self.schedule(optimizer), "interval": "step"}]


@pytest.fixture
def data():
    draws = torch.Generator().manual_seed(2)
    return TensorDataset(torch.randn(50, 6, generator=draws), torch.randint(0, 3, (50,), generator=draws))


@pytest.fixture
def fit(data, tmp_path):
    def run(*callbacks, epochs=3, module=None, datamodule=None, **options):
        torch.manual_seed(7)
        module = module or Stranger()
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
    "options", [{}, {"every_n_epochs": 2}, {"per_doubling": 2, "step": "optimizer", "statistics": "recomputed"}]
)
@pytest.mark.parametrize("clip", [None, 0.1])
def test_run_with_it_equals_run_without_it(fit, options, clip):
    before, expected = fit(gradient_clip_val=clip)
    trainer, module = fit(LinearApproximationError(**options), gradient_clip_val=clip)
    assert module.training == expected.training
    assert same(module.state_dict(), expected.state_dict())
    buffers = [[value["momentum_buffer"] for value in t.optimizers[0].state.values()] for t in (before, trainer)]
    assert all(torch.equal(a, b) for a, b in zip(*buffers, strict=True))


def test_final_weights_present_rate_and_batch_size_of_the_training(fit, data):
    callback = LinearApproximationError(batches=[data[:20], data[20:]])
    _, module = fit(callback)
    (found,) = callback.results
    batches = [data[:20], data[20:]]
    expected = linear_approximation(module, batches, mini_batch(batches, 16), rate=RATE)
    assert found.error == expected.error
    assert found.same_batch_error == expected.same_batch_error
    assert (found.rate, found.batch_size, found.examples, found.statistics) == (RATE, 16, 50, "running")
    assert callback.steps == [12]


def test_training_loader_is_the_default(fit, data):
    """In whatever order it is read: with all 50 examples in the mini-batch there is nothing left to draw."""
    callback = LinearApproximationError(batch_size=50)
    _, module = fit(callback)
    expected = linear_approximation(module, [data[:]], data[:], rate=RATE)
    assert callback.results[0].error == pytest.approx(expected.error, rel=1e-3)
    assert callback.results[0].loss == pytest.approx(expected.loss, rel=1e-6)


def test_step_of_the_optimizer_has_momentum_and_decay(fit, data):
    callback = LinearApproximationError(batches=[data[:]], step="optimizer", seed=3)
    trainer, module = fit(callback)
    module.eval()
    batch = mini_batch([data[:]], 16, seed=3)
    parameters = list(module.parameters())
    gradients = torch.autograd.grad(cross_entropy(module(batch[0][0]), batch[0][1]), parameters)
    state = trainer.optimizers[0].state
    step = [
        -RATE * (MOMENTUM * state[p]["momentum_buffer"] + g + DECAY * p.detach())
        for p, g in zip(parameters, gradients, strict=True)
    ]
    expected = linear_approximation(module, [data[:]], batch, direction=step)
    (found,) = callback.results
    assert found.step_norm == pytest.approx(expected.step_norm, rel=1e-5)
    assert found.loss_after == pytest.approx(expected.loss_after, rel=1e-6)
    assert found.predicted == pytest.approx(expected.predicted, rel=1e-6)
    assert found.rate == RATE


def test_gradients_are_clipped_as_in_the_run(fit, data):
    """Plain SGD, so the length of the step is the rate times the largest norm."""
    callback = LinearApproximationError(batches=[data[:]], step="optimizer")
    module = Stranger()
    module.configure_optimizers = lambda: torch.optim.SGD(module.parameters(), lr=2.0)
    fit(callback, module=module, gradient_clip_val=1e-2)
    assert callback.results[0].step_norm == pytest.approx(2e-2, rel=1e-3)
    own = LinearApproximationError(step="optimizer")
    task = ImageClassification(lambda: FullyConnected(in_shape=(1, 8, 8)), torch.optim.SGD, gradient_clip=1e-3, seed=0)
    task.optimizer = lambda parameters: torch.optim.SGD(parameters, lr=3.0)
    fit(own, module=task, datamodule=ImageData("digits", batch_size=100, train_examples=200), epochs=1)
    assert own.results[0].step_norm == pytest.approx(3e-3, rel=1e-2)


def test_along_the_training_at_the_points_of_the_curves(fit):
    callback = LinearApproximationError(per_doubling=2, name="error")
    curves = Curves(per_doubling=2)
    task = ImageClassification(lambda: FullyConnected(in_shape=(1, 8, 8)), torch.optim.SGD, seed=0)
    fit(callback, curves, module=task, datamodule=ImageData("digits", batch_size=100, train_examples=300), epochs=3)
    assert callback.steps == [1, 2, 3, 4, 6, 8, 9]
    assert callback.steps == sorted({row[0] for row in curves.rows} - {0})
    assert len(callback.results) == 7


def test_every_n_epochs_and_the_end_without_measuring_twice(fit):
    callback = LinearApproximationError(every_n_epochs=2)
    for _ in range(2):  # a second fit begins anew
        fit(callback)
    assert callback.steps == [8, 12, 8, 12]
    assert callback.results[0].error == callback.results[2].error


def test_rate_of_the_linear_scaling_rule(fit):
    callback = LinearApproximationError(examples=60)
    task = ImageClassification(
        lambda: FullyConnected(in_shape=(1, 8, 8)), lambda p: torch.optim.SGD(p, lr=0.01), micro_batch=50, seed=0
    )
    data = ImageData("digits", batch_size=400, train_examples=800, evaluation_batch_size=50)
    fit(callback, ScaledRate("linear", base_batch_size=100), module=task, datamodule=data, epochs=1)
    (found,) = callback.results
    assert found.rate == pytest.approx(0.04)
    assert (found.batch_size, found.examples) == (400, 60)
    batch = mini_batch(data.batches("train"), 400)
    expected = linear_approximation(task, data.batches("train", 60), batch, rate=0.04)
    assert found.error == pytest.approx(expected.error, rel=1e-4)


def test_values_are_logged(fit, tmp_path):
    callback = LinearApproximationError(every_n_epochs=1, per_doubling=1)
    trainer, _ = fit(callback, logger=CSVLogger(tmp_path), epochs=1)
    for name, value in (
        (NAME, callback.results[-1].error),
        (f"{NAME}_same_batch", callback.results[-1].same_batch_error),
    ):
        assert trainer.callback_metrics[name].item() == pytest.approx(value, rel=1e-6)
    text = next(tmp_path.rglob("metrics.csv")).read_text()
    assert NAME in text.splitlines()[0]
    assert callback.steps[:2] == [1, 2]
    for found in callback.results:
        assert f"{found.error:.10g}"[:6] in text


def test_results_travel_in_a_checkpoint(fit, tmp_path):
    callback = LinearApproximationError(every_n_epochs=1)
    trainer, _ = fit(callback, epochs=2)
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    states = torch.load(tmp_path / "x.ckpt", weights_only=True)["callbacks"]
    other = LinearApproximationError()
    other.load_state_dict(states[other.state_key])
    assert (other.results, other.steps) == (callback.results, [4, 8])


@pytest.mark.parametrize("measure", [Sharpness, LinearApproximationError])
def test_a_module_may_have_a_criterion_of_its_own(fit, data, measure):
    class Smoothed(Stranger):
        def criterion(self, outputs, targets):
            return cross_entropy(outputs, targets, label_smoothing=0.3)

    smoothed = partial(cross_entropy, label_smoothing=0.3)
    losses = {"own": None, "given": smoothed, "plain": cross_entropy}
    callbacks = [measure(batches=[data[:]], loss=loss, name=name) for name, loss in losses.items()]
    fit(*callbacks, module=Smoothed())
    values = [next(iter(callback.logged(callback.results[0]).values())) for callback in callbacks]
    assert values[0] == values[1] != values[2]


def test_segmentation_counts_labelled_pixels_only(fit):
    task = SemanticSegmentation(lambda: nn.Conv2d(3, 8, 3, padding=1), lambda p: torch.optim.SGD(p, lr=0.1), seed=0)
    data = SceneData("drawn", batch_size=4, train_examples=8, test_examples=2, shrink=4)
    callback = LinearApproximationError()
    fit(callback, module=task, datamodule=data, epochs=1)
    batches = data.batches("train")
    assert any((targets == 255).any() for _, targets in batches)
    losses = [cross_entropy(task(inputs), targets, ignore_index=255).item() for inputs, targets in batches]
    (found,) = callback.results
    assert found.batch_size == 4
    assert found.loss == pytest.approx(sum(losses) / len(losses), rel=1e-5)  # two batches of four scenes


def test_interrupted_run_measures_what_an_uninterrupted_one_does(runs, monkeypatch, final):
    def callback():
        return LinearApproximationError(per_doubling=1, step="optimizer", batch_size=10)

    whole, continued = callback(), callback()
    folder = runs.fit("whole", callbacks=[whole])
    asked = []
    monkeypatch.setattr(resume, "should_stop", lambda: asked.append(None) or len(asked) == 4)
    with pytest.raises(Interrupted):
        runs.fit("cut", callbacks=[callback()])
    monkeypatch.setattr(resume, "should_stop", resume.never)
    again = runs.fit("cut", callbacks=[continued])
    assert same(final(again), final(folder))
    assert whole.steps == continued.steps == [1, 2, 4, 6]
    assert [found.error for found in continued.results] == [found.error for found in whole.results]


def test_warns_where_there_is_no_step_and_goes_on(fit):
    callback = LinearApproximationError()
    with pytest.warns(UserWarning, match="not measured, as the learning rate is 0. Give a rate"):
        fit(callback, module=Stranger(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 12)))
    with pytest.warns(UserWarning, match="not measured at step 12: the loss is nan before the step"):
        fit(callback, module=Stranger(rate=1e30))
    assert callback.results == []
    given = LinearApproximationError(rate=0.1)
    fit(given, module=Stranger(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 12)))
    assert math.isfinite(given.results[0].error)
    assert given.results[0].rate == 0.1


@pytest.mark.parametrize("options", [{"rate": 0.1}, {}])
def test_module_with_two_optimizers_needs_a_rate(fit, options):
    module = Stranger()
    module.automatic_optimization = False
    module.training_step = lambda *_: None
    module.configure_optimizers = lambda: [torch.optim.SGD([p], lr=0.1) for p in module.parameters()]
    callback = LinearApproximationError(**options)
    if options:
        fit(callback, module=module, epochs=1)
        assert len(callback.results) == 1
    else:
        with pytest.raises(UsageError, match="expected one optimizer, got 6"):
            fit(callback, module=module, epochs=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every_n_epochs": 0}, f"{NAME}: every_n_epochs must be at least 1 or absent, got 0"),
        ({"per_doubling": 0}, f"{NAME}: per_doubling must be at least 1 or absent, got 0"),
        ({"batch_size": 0}, f"{NAME}: batch_size must be at least 1 or absent, got 0"),
        ({"examples": 0}, f"{NAME}: examples must be at least 1 or absent, got 0"),
        ({"rate": 0.0}, f"{NAME}: rate must be positive and finite, or absent, got 0.0"),
        ({"step": "adam"}, f"{NAME}: step must be one of gradient, optimizer, got 'adam'"),
        ({"step": "optimizer", "rate": 0.1}, "has its own rate: give no rate, or step gradient"),
    ],
)
def test_usage_errors(options, message):
    with pytest.raises(UsageError, match=message):
        LinearApproximationError(**options)


def test_usage_errors_that_depend_on_the_training(fit):
    with pytest.raises(UsageError, match="at most the 50 examples that there are, got 51"):
        fit(LinearApproximationError(batch_size=51), epochs=1)
    with pytest.raises(UsageError, match="clipped by value, which is not measured"):
        fit(LinearApproximationError(step="optimizer"), gradient_clip_val=1, gradient_clip_algorithm="value")
