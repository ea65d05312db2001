"""The rate of every step, seen by the optimizer itself, against the rule's formula."""

import math

import pytest
import pytorch_lightning as pl
import torch
import yaml
from probes import same
from pytorch_lightning.cli import LightningCLI
from torch import nn
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    OneCycleLR,
    SequentialLR,
    StepLR,
)
from torch.utils.data import DataLoader, TensorDataset
from watched import RATE, Stranger, Watched, train

from bsgap.callbacks import ResumePoint, ScaledRate, resume
from bsgap.data import ImageData
from bsgap.errors import Interrupted, UsageError
from bsgap.optim import LinearScaling
from bsgap.tasks import ImageClassification

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*The number of training batches.*is smaller than the logging interval"),
]


@pytest.fixture
def fit(tmp_path):
    def run(callback, *, epochs=4, **options):
        return train(callback, max_epochs=epochs, folder=tmp_path, **options)

    return run


@pytest.mark.parametrize(("scaling", "factor"), [("base", 1), ("linear", 4), ("square-root", 2)])
def test_the_rate_follows_the_rule_on_anybodys_module(fit, scaling, factor):
    module = fit(ScaledRate(scaling, base_batch_size=2), epochs=1)
    assert module.watched.rates == [RATE * factor] * 5


def test_the_warm_up_climbs_in_equal_steps_from_the_base_rate(fit):
    module = fit(ScaledRate("linear", base_batch_size=2, warmup_epochs=2))  # five steps an epoch: ten of warm-up
    expected = [RATE * (1 + 3 * min(step / 10, 1)) for step in range(20)]
    assert module.watched.rates == pytest.approx(expected, rel=1e-12)
    assert module.watched.param_groups[0]["lr"] == RATE * 4


def test_a_constant_warm_up_keeps_the_base_rate_and_then_takes_the_full_one_at_once(fit):
    module = fit(ScaledRate("linear", base_batch_size=2, warmup_epochs=1.4, warmup="constant"))
    assert module.watched.rates == [RATE] * 7 + [RATE * 4] * 13
    by_rule = fit(ScaledRate(rule=LinearScaling(2, 1.4, warmup="constant")))
    assert by_rule.watched.rates == module.watched.rates


def test_gradual_is_what_it_is_when_nothing_is_said(fit):
    plain, gradual = (fit(ScaledRate("linear", 2, 2, warmup=warmup)).watched.rates for warmup in (None, "gradual"))
    assert gradual == plain


def test_no_warm_up_of_any_kind_is_none(fit):
    assert fit(ScaledRate("linear", 2, 0, warmup="constant"), epochs=1).watched.rates == [RATE * 4] * 5


SCHEDULES = {
    "one cycle": lambda optimizer: OneCycleLR(optimizer, 0.5, total_steps=21),
    "cosine to a floor": lambda optimizer: CosineAnnealingLR(optimizer, 10, eta_min=0.05),
    "cyclic": lambda optimizer: CyclicLR(optimizer, 0.1, 0.3, 4, cycle_momentum=False),
    "step": lambda optimizer: StepLR(optimizer, 3, 0.5),
    "exponential": lambda optimizer: ExponentialLR(optimizer, 0.9),
    "cosine": lambda optimizer: CosineAnnealingLR(optimizer, 20),
    "closed form": lambda optimizer: LambdaLR(optimizer, lambda step: 1 / (1 + step)),
    "sequence": lambda optimizer: SequentialLR(
        optimizer, [LinearLR(optimizer, 0.5, total_iters=4), ExponentialLR(optimizer, 0.9)], [6]
    ),
}


@pytest.mark.filterwarnings("ignore:A `OneCycleLR` scheduler is using 'interval'")
@pytest.mark.parametrize("interval", ["step", "epoch"])
@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("warm", [0, 1.5])
def test_a_schedule_keeps_its_shape_and_the_warm_up_multiplies_it(fit, name, interval, warm):
    plain = fit(ScaledRate(), module=Stranger(SCHEDULES[name], interval)).watched.rates
    scaled = fit(ScaledRate("linear", 2, warm), module=Stranger(SCHEDULES[name], interval)).watched.rates
    steps = 5 * warm
    share = [1 if step >= steps else 0.25 + 0.75 * step / steps for step in range(20)]
    assert scaled == pytest.approx([4 * w * rate for w, rate in zip(share, plain, strict=True)], rel=1e-9)


def test_a_step_that_fails_leaves_the_full_rate(fit):
    class Failing(Watched):
        def step(self, closure=None):
            if len(self.rates) == 3:
                raise RuntimeError("out of memory")
            return super().step(closure)

    class Module(Stranger):
        def configure_optimizers(self):
            self.watched = Failing(self.parameters())
            return self.watched

    module = Module()
    with pytest.raises(RuntimeError, match="out of memory"):
        fit(ScaledRate("linear", base_batch_size=2, warmup_epochs=2), module=module)
    assert module.watched.param_groups[0]["lr"] == RATE * 4
    assert not module.watched._optimizer_step_pre_hooks
    assert not module.watched._optimizer_step_post_hooks


def test_accumulated_batches_count_as_one(fit):
    module = fit(ScaledRate("linear", base_batch_size=8), epochs=1, accumulate_grad_batches=5)
    assert module.watched.rates == [RATE * 5]


def trained(folder, *callbacks):
    pl.seed_everything(1, verbose=False)
    module = ImageClassification(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)),
        lambda parameters: Watched(parameters, momentum=0.9),
        lambda optimizer: ExponentialLR(optimizer, 0.97),
    )
    data = ImageData("digits", 25, train_examples=100, test_examples=20)
    point = folder / resume.NAME
    trainer = pl.Trainer(
        max_epochs=3, accelerator="cpu", callbacks=[ScaledRate("square-root", 5, 2), ResumePoint(), *callbacks],
        logger=False, enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=folder,
    )  # fmt: skip
    trainer.fit(module, datamodule=data, ckpt_path=point if point.exists() else None, weights_only=True)
    return module


@pytest.mark.parametrize("at", [1, 5, 9])
def test_a_resumed_run_is_scaled_once_and_has_the_bits_of_an_uninterrupted_one(tmp_path, monkeypatch, at):
    whole = trained(tmp_path / "whole")
    asked = []
    monkeypatch.setattr(resume, "should_stop", lambda: asked.append(None) or len(asked) == at)
    with pytest.raises(Interrupted):
        trained(tmp_path / "cut")
    assert same(trained(tmp_path / "cut").network.state_dict(), whole.network.state_dict())


def test_the_batch_size_comes_from_the_data_module():
    data = ImageData("digits", 50, train_examples=100, test_examples=20)
    module = ImageClassification(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), Watched)
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", callbacks=[ScaledRate("square-root", 25)], logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, datamodule=data)
    assert trainer.optimizers[0].rates == pytest.approx([RATE * math.sqrt(2)] * 2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scaling": "cubic"}, "rate.scaling must be one of base, linear, square-root, got 'cubic'"),
        ({"scaling": "linear"}, "rate.scaling linear needs rate.base_batch_size"),
        ({"scaling": "linear", "base_batch_size": 0}, "base_batch_size must be at least 1, got 0"),
        ({"warmup_epochs": -1.0}, "warmup_epochs must be 0 or more"),
        ({"warmup": "sudden"}, "warmup must be one of gradual, constant or absent, got 'sudden'"),
        ({"rule": LinearScaling(4), "scaling": "linear"}, "rate.rule says what scaling"),
        ({"rule": LinearScaling(4), "warmup": "constant"}, "rate.rule says what scaling"),
        ({"batch_size": 0}, "rate.batch_size must be at least 1 or absent, got 0"),
    ],
)
def test_what_cannot_be_is_refused(options, words):
    with pytest.raises(UsageError, match=words):
        ScaledRate(**options)


class Digits(pl.LightningDataModule):
    batch_size = 16

    def train_dataloader(self):
        draws = torch.Generator().manual_seed(1)
        data = TensorDataset(torch.randn(32, 4, generator=draws), torch.randint(0, 3, (32,), generator=draws))
        return DataLoader(data, batch_size=self.batch_size)


SQUARE_ROOT = {"base_batch_size": 4, "warmup_epochs": 0.5}


# LightningCLI calls what jsonargparse 4.49 renamed.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "options",
    [
        {"scaling": "square-root", **SQUARE_ROOT},
        {"rule": {"class_path": "bsgap.optim.SquareRootScaling", "init_args": SQUARE_ROOT}},
    ],
)
def test_any_lightning_cli_config_can_name_it(tmp_path, monkeypatch, options):
    monkeypatch.chdir(tmp_path)
    config = {
        "trainer": {
            "max_epochs": 1, "logger": False, "accelerator": "cpu", "enable_checkpointing": False,
            "enable_progress_bar": False, "enable_model_summary": False,
            "callbacks": [
                {"class_path": "bsgap.callbacks.ScaledRate", "init_args": options}
            ],
        }
    }  # fmt: skip
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.setattr("sys.argv", ["mine.py", "fit", "--config", "config.yaml"])
    cli = LightningCLI(Stranger, Digits, save_config_callback=None, seed_everything_default=False)
    assert cli.model.watched.rates == [RATE, RATE * 2]
