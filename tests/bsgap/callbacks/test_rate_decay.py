"""The rate of every step, seen by the optimizer itself, against torch's schedules and the formula."""

import doctest
import importlib
import itertools

import pytest
import pytorch_lightning as pl
from probes import same
from torch import nn
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR, MultiStepLR, PolynomialLR
from watched import RATE, Stranger, Watched, train

from bsgap import cli
from bsgap.callbacks import RateDecay, ResumePoint, ScaledRate, resume
from bsgap.callbacks.multipliers import effective_rate, multiply, remove
from bsgap.data import ImageData
from bsgap.errors import Interrupted, UsageError
from bsgap.optim import PeriodicDecay, PolynomialDecay, StepDecay
from bsgap.tasks import ImageClassification

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers")
EPOCHS = [step / 5 for step in range(20)]  # before each step of `train`: five an epoch

CASES = {
    "milestones": (
        {"shape": "steps", "milestones": [1, 2.4]},
        lambda optimizer: MultiStepLR(optimizer, [5, 12]),
    ),
    "every": (
        {"shape": "steps", "every": 1.2, "factor": 0.375},
        lambda optimizer: MultiStepLR(optimizer, [6, 12, 18], 0.375),
    ),
    "factors": (
        {"shape": "steps", "milestones": [1, 2], "factors": [2.0, 0.25]},
        lambda optimizer: LambdaLR(optimizer, lambda step: 1 if step < 5 else 2 if step < 10 else 0.5),
    ),
    "stretched": (
        {"shape": "steps", "milestones": [0.5, 1], "stretch": 2},
        lambda optimizer: MultiStepLR(optimizer, [5, 10]),
    ),
    "polynomial": (
        {"shape": "polynomial"},
        lambda optimizer: PolynomialLR(optimizer, 20, 2.0),
    ),
    "a line": (
        {"shape": "polynomial", "power": 1, "epochs": 3, "stretch": 2},
        lambda optimizer: PolynomialLR(optimizer, 30, 1.0),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_rates_on_anybodys_module_are_those_of_torchs_schedules(name):
    options, schedule = CASES[name]
    found = train(RateDecay(**options)).watched
    assert found.rates == pytest.approx(train(module=Stranger(schedule)).watched.rates, rel=1e-9)
    assert found.param_groups[0]["lr"] == RATE
    assert not found._optimizer_step_pre_hooks


def test_none_leaves_the_rate_and_hangs_nothing_on():
    class Bare(pl.Callback):
        def on_train_batch_end(self, trainer, *_):
            assert not trainer.optimizers[0]._optimizer_step_pre_hooks

    assert train(RateDecay(), Bare()).watched.rates == [RATE] * 20


class Halved(pl.Callback):
    """Somebody's own factor."""

    def on_train_start(self, trainer, pl_module):
        multiply(trainer.optimizers[0], "half", lambda: 0.5)

    def teardown(self, trainer, pl_module, stage):
        remove(trainer.optimizers[0], "half")


def test_warm_up_decay_and_another_factor_multiply_each_other_in_any_order():
    seen = set()
    for order in itertools.permutations(range(3)):
        callbacks = [ScaledRate("linear", 2, 2.0), RateDecay("steps", milestones=[1, 3]), Halved()]
        module = train(*(callbacks[index] for index in order), module=Stranger(lambda o: ExponentialLR(o, 0.9)))
        seen.add(tuple(module.watched.rates))
        assert module.watched.param_groups[0]["lr"] == pytest.approx(4 * RATE * 0.9**20)
        assert not module.watched._optimizer_step_pre_hooks
    (rates,) = seen
    warm = [min(1.0, 0.25 + 0.75 * epoch / 2) for epoch in EPOCHS]
    decay = [StepDecay([1, 3]).factor(epoch) for epoch in EPOCHS]
    expected = [4 * RATE * 0.9**step * warm[step] * decay[step] / 2 for step in range(20)]
    assert rates == pytest.approx(expected, rel=1e-9)


def test_every_optimizer_of_a_module_with_manual_steps_decays():
    class Two(Stranger):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch, _):
            for optimizer in self.optimizers():
                optimizer.zero_grad()
                self.manual_backward(super().training_step(batch, _))
                optimizer.step()

        def configure_optimizers(self):
            self.watched, self.second = Watched(self.parameters()), Watched(self.parameters(), lr=1.0)
            return self.watched, self.second

    module = train(RateDecay("steps", milestones=[2]))
    two = train(RateDecay("steps", milestones=[2]), module=Two())
    assert two.watched.rates == module.watched.rates
    assert two.second.rates == [1.0] * 10 + [0.1] * 10


def test_accumulated_batches_make_one_step_with_the_rate_of_the_last():
    rates = train(RateDecay("steps", milestones=[2]), accumulate_grad_batches=5).watched.rates
    assert rates == pytest.approx([RATE, RATE, RATE / 10, RATE / 10])


def test_a_step_that_fails_leaves_the_full_rate():
    class Failing(Watched):
        def step(self, closure=None):
            super().step(closure)
            if len(self.rates) == 8:
                raise RuntimeError("out of memory")

    class Module(Stranger):
        def configure_optimizers(self):
            self.watched = Failing(self.parameters())
            return self.watched

    module = Module()
    with pytest.raises(RuntimeError, match="out of memory"):
        train(ScaledRate("linear", 2, 2.0), RateDecay("steps", milestones=[1]), module=module)
    assert module.watched.param_groups[0]["lr"] == RATE * 4
    assert not module.watched._optimizer_step_pre_hooks
    assert not module.watched._optimizer_step_post_hooks


def test_the_polynomial_lasts_as_long_as_a_budget_of_steps():
    rates = train(RateDecay("polynomial"), max_epochs=-1, max_steps=13).watched.rates
    assert rates == pytest.approx([RATE * (1 - step / 13) ** 2 for step in range(13)])


class Rates(pl.Callback):
    """Notes what is logged and what a curve would get at each point."""

    def __init__(self, decay):
        self.decay, self.curve, self.logged = decay, [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.curve.append(self.decay.curve_values(trainer, pl_module))

    def on_train_epoch_end(self, trainer, pl_module):
        self.logged.append(trainer.callback_metrics["learning_rate"].item())


def test_the_rate_that_steps_use_is_logged():
    decay = RateDecay("polynomial")
    rates = Rates(decay)
    found = train(decay, ScaledRate("linear", 2, 2.0), rates).watched.rates
    assert rates.logged == pytest.approx(found[::5], rel=1e-6)
    assert [values["learning_rate"] for values in rates.curve] == [*found[1:], 0.0]
    assert rates.curve[0].keys() == {"learning_rate"}
    assert RateDecay().curve_values(pl.Trainer(logger=False, accelerator="cpu"), Stranger()) == {}


def trained(folder):
    pl.seed_everything(1, verbose=False)
    module = ImageClassification(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)),
        lambda parameters: Watched(parameters, momentum=0.9),
        lambda optimizer: ExponentialLR(optimizer, 0.97),
    )
    data = ImageData("digits", 25, train_examples=100, test_examples=20)
    point = folder / resume.NAME
    trainer = pl.Trainer(
        max_epochs=3, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        callbacks=[RateDecay("steps", every=0.75, factor=0.5), ScaledRate("square-root", 5, 2), ResumePoint()],
        default_root_dir=folder,
    )  # fmt: skip
    trainer.fit(module, datamodule=data, ckpt_path=point if point.exists() else None, weights_only=True)
    return module, trainer.optimizers[0].rates


@pytest.mark.parametrize("at", [1, 3, 4, 9])
def test_a_resumed_run_has_the_rates_and_the_bits_of_an_uninterrupted_one(tmp_path, monkeypatch, at):
    whole, rates = trained(tmp_path / "whole")
    asked = []
    monkeypatch.setattr(resume, "should_stop", lambda: asked.append(None) or len(asked) == at)
    with pytest.raises(Interrupted):
        trained(tmp_path / "cut")
    rest, its_rates = trained(tmp_path / "cut")
    assert same(rest.network.state_dict(), whole.network.state_dict())
    assert its_rates == rates[at:]


def test_a_schedule_can_be_had_without_a_trainer():
    assert RateDecay().schedule(10) is None
    assert RateDecay("steps", milestones=[1, 2], stretch=3).schedule(None) == StepDecay([3, 6])
    assert RateDecay("steps", every=2, factor=0.5).schedule(None) == PeriodicDecay(2, 0.5)
    assert RateDecay("polynomial", power=1).schedule(8) == PolynomialDecay(8, 1)
    assert RateDecay("polynomial", stretch=3).schedule(8) == PolynomialDecay(8)  # the trainer's length is adapted
    assert RateDecay("polynomial", epochs=5, stretch=3).schedule(8) == PolynomialDecay(15)


STEPS = {"shape": "steps", "milestones": [1, 2]}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shape": "cosine"}, "decay.shape must be one of none, steps, polynomial, got 'cosine'"),
        ({"milestones": [1]}, "decay.milestones means nothing with decay.shape none"),
        ({"every": 1}, "decay.every means nothing with decay.shape none"),
        ({"factor": 0.2}, "decay.factor means nothing with decay.shape none"),
        ({"stretch": 2}, "decay.stretch means nothing with decay.shape none"),
        ({"shape": "polynomial", "every": 1}, "decay.every means nothing with decay.shape polynomial"),
        (STEPS | {"power": 1}, "decay.power means nothing with decay.shape steps"),
        (STEPS | {"epochs": 9}, "decay.epochs means nothing with decay.shape steps"),
        ({"shape": "steps"}, "decay.shape steps needs either decay.milestones or decay.every"),
        (STEPS | {"every": 1}, "decay.shape steps needs either decay.milestones or decay.every, and not both"),
        (STEPS | {"milestones": []}, "decay.milestones must be at least one number"),
        (STEPS | {"milestones": [2, 1]}, "decay.milestones must ascend"),
        (STEPS | {"milestones": [1, 1]}, "decay.milestones must ascend, none of them twice"),
        (STEPS | {"milestones": [-1, 1]}, "decay.milestones must be at least one number of epochs above 0"),
        (STEPS | {"factor": 0}, "decay.factor must be above 0, got 0"),
        (STEPS | {"factors": [0.1]}, "decay.factors must be one for each of the 2 milestones, got 1"),
        (STEPS | {"factors": [0.1, -1]}, "decay.factors must be above 0, got -1"),
        (STEPS | {"factors": [0.1, 0.1], "factor": 0.2}, "decay.factors belong to decay.milestones, one each"),
        ({"shape": "steps", "every": 1, "factors": [0.1]}, "decay.factors belong to decay.milestones, one each"),
        ({"shape": "steps", "every": 0}, "decay.every must be a number of epochs above 0, got 0"),
        ({"shape": "polynomial", "power": 0}, "decay.power must be above 0, got 0"),
        ({"shape": "polynomial", "epochs": -2}, "decay.epochs must be a number above 0, got -2"),
        (STEPS | {"stretch": 0}, "decay.stretch must be above 0, got 0"),
        (STEPS | {"stretch": float("nan")}, "decay.stretch must be above 0, got nan"),
    ],
)
def test_what_cannot_be_is_refused(options, words):
    with pytest.raises(UsageError, match=words) as refusal:
        RateDecay(**options)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shape": "steps", "milestones": [4, 5]}, "decay.milestones: the rate first changes after 4 epochs, and .* 4"),
        ({"shape": "steps", "every": 2, "stretch": 3}, "decay.every: the rate first changes after 6 epochs, and .* 4"),
        ({"shape": "polynomial", "epochs": 3}, "decay.epochs: the rate is 0 after 3 epochs, and the training lasts 4"),
    ],
)
def test_a_decay_that_does_not_fit_the_training_is_refused(options, words):
    module = Stranger()
    with pytest.raises(UsageError, match=words):
        train(RateDecay(**options), module=module)
    assert module.watched.rates == []


def test_a_length_that_nobody_knows_must_be_given():
    endless = {"max_epochs": -1, "max_time": {"seconds": 0.001}}
    with pytest.raises(UsageError, match=r"decay\.epochs: the length of the training is not known"):
        train(RateDecay("polynomial"), **endless)
    assert train(RateDecay("polynomial", epochs=1000), **endless).watched.rates[0] == RATE


def test_two_decays_are_one_too_many():
    module = Stranger()
    with pytest.raises(UsageError, match="multiplied by a factor 'decay' already"):
        train(RateDecay("steps", every=1), RateDecay("polynomial"), module=module)
    assert not module.watched._optimizer_step_pre_hooks


def test_the_command_takes_it_from_a_recipe_and_an_overlay_of_scalars(runs):
    runs.values["decay"] = {"shape": "steps", "every": 1, "factor": 0.5}
    runs.values["model"]["init_args"]["schedule"] = None
    rates = []

    class Logged(pl.Callback):
        def on_train_batch_start(self, trainer, *_):
            rates.append(effective_rate(trainer.optimizers[0]))

    runs.fit("half", callbacks=[Logged()])
    assert rates == pytest.approx([0.1] * 3 + [0.05] * 3)
    assert runs.main("late", "--decay.stretch=2") == 2
    resolved = cli.resolve(runs.root / "recipe.yaml", overrides={"decay.every": 2.5})["decay"]
    assert resolved["every"] == 2.5
    assert resolved["factor"] == 0.5


def test_the_example_holds():
    found = doctest.testmod(importlib.import_module("bsgap.callbacks.decay"))
    assert found.attempted
    assert not found.failed
