"""SAM in somebody's LightningModule: two passes a step, of which the module, its metrics and its hooks see one."""

import copy
import functools

import pytest
import pytorch_lightning as pl
import torch
from probes import same
from pytorch_lightning.callbacks import GradientAccumulationScheduler, StochasticWeightAveraging
from pytorch_lightning.plugins.precision import MixedPrecision
from torch import nn
from torch.nn.functional import cross_entropy, dropout
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassPrecision

from bsgap.callbacks import BatchSizeRamp, RateDecay, ScaledRate
from bsgap.errors import UsageError
from bsgap.networks import GhostBatchNorm1d
from bsgap.optim import ASAM, SAM

SGD = functools.partial(torch.optim.SGD, lr=0.1, momentum=0.9)
SAM_OVER_SGD = functools.partial(SAM, base=SGD, rho=0.3)
BATCHES = 5  # of 8 examples


class Somebody(pl.LightningModule):
    """BatchNorm of two kinds, dropout, metrics, a schedule and logs; SAM in its own configure_optimizers."""

    def __init__(self, make=SAM_OVER_SGD, drop=0.0, schedule=False, double=True):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 3)
        self.norm, self.ghost = nn.BatchNorm1d(8), GhostBatchNorm1d(8, size=4)
        self.make, self.drop, self.schedule = make, drop, schedule
        self.mean = MeanMetric()
        self.scores = MetricCollection([MulticlassAccuracy(3), MulticlassPrecision(3)])  # which share their counts
        self.passes = 0
        self.register_buffer("queue", torch.zeros(2))
        if double:
            self.double()

    def forward(self, inputs):
        return self.second(dropout(self.ghost(torch.tanh(self.norm(self.first(inputs)))), self.drop, self.training))

    def training_step(self, batch, _):
        inputs, targets = batch
        self.passes += 1
        outputs = self(inputs)
        loss = cross_entropy(outputs, targets)
        self.queue[0] += 1
        self.queue = self.queue.roll(1)  # another tensor
        self.mean.update(loss.detach())
        self.scores.update(outputs, targets)
        self.log("loss", loss, on_step=True, on_epoch=True, batch_size=len(targets))
        self.log_dict({"mean": self.mean}, on_epoch=True, on_step=False)
        return {"loss": loss, "more": 1}

    def configure_optimizers(self):
        optimizer = self.make(self.parameters())
        if not self.schedule:
            return optimizer
        return [optimizer], [{"scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 3, 0.5), "interval": "step"}]


def dataset(double=True):
    draws = torch.Generator().manual_seed(1)
    inputs = torch.randn(8 * BATCHES, 4, generator=draws, dtype=torch.float64 if double else torch.float32)
    return TensorDataset(inputs, torch.randint(3, (8 * BATCHES,), generator=draws))


def train(module, *callbacks, checkpoint=None, double=True, **options):
    trainer = pl.Trainer(
        **{"max_epochs": 2, "accelerator": "cpu", "logger": False, "enable_checkpointing": False, **options},
        callbacks=list(callbacks), enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    loader = DataLoader(dataset(double), batch_size=8)
    trainer.fit(module, loader, ckpt_path=checkpoint, weights_only=None if checkpoint is None else True)
    return trainer


def by_hand(make, rho, norm=None, value=None):
    """The module after a loop that takes two passes a step, and the losses of the first ones."""
    module = Somebody()
    weights, base, losses = list(module.parameters()), make(module.parameters()), []
    for _ in range(2):
        for inputs, targets in DataLoader(dataset(), batch_size=8):
            loss = cross_entropy(module(inputs), targets)
            losses.append(loss.item())
            gradients = torch.autograd.grad(loss, weights)
            length = torch.cat([g.flatten() for g in gradients]).norm()
            other = copy.deepcopy(module)
            with torch.no_grad():
                for w, g in zip(other.parameters(), gradients, strict=True):
                    w += rho * g / length
            found = torch.autograd.grad(cross_entropy(other(inputs), targets), list(other.parameters()))
            for w, g in zip(weights, found, strict=True):
                w.grad = g
            if norm is not None:
                nn.utils.clip_grad_norm_(weights, norm)
            if value is not None:
                nn.utils.clip_grad_value_(weights, value)
            base.step()
    return module, losses


def network(module):
    return {name: value for name, value in module.state_dict().items() if name.split(".")[0] not in ("queue", "mean")}


class Watch(pl.Callback):
    """What hooks and loggers are told."""

    def __init__(self):
        self.norms, self.weights, self.losses, self.logged = [], [], [], []

    def on_before_optimizer_step(self, trainer, module, optimizer):
        self.norms.append(torch.cat([p.grad.flatten() for p in module.parameters()]).norm().item())
        self.weights.append(module.first.weight.detach().clone())

    def on_after_backward(self, trainer, module):
        self.log("by a callback", 1.0, on_step=False, on_epoch=True, reduce_fx="sum", batch_size=8)

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.before = module.first.weight.detach().clone()

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        assert torch.equal(self.weights[-1], self.before)  # the hook saw the weights that the step starts from
        assert outputs["more"] == 1
        self.losses.append(outputs["loss"].item())
        self.logged.append(trainer.callback_metrics["loss_step"].item())


@pytest.mark.parametrize("clip", [{}, {"norm": 0.1}, {"value": 0.01}], ids=["unclipped", "norm", "value"])
@pytest.mark.parametrize(
    "base", [SGD, functools.partial(torch.optim.Adam, lr=0.01, eps=1e-3, fused=True)], ids=["sgd", "adam"]
)
def test_it_is_a_loop_by_hand(base, clip):
    expected, losses = by_hand(base, 0.3, **clip)
    (algorithm, most), *_ = [*clip.items(), (None, None)]
    options = {"gradient_clip_algorithm": algorithm, "gradient_clip_val": most}
    module, watch = Somebody(functools.partial(SAM, base=base, rho=0.3)), Watch()
    trainer = train(module, watch, **options)
    assert trainer.global_step == 2 * BATCHES  # one a batch
    assert module.passes == 2 * trainer.global_step
    expected, found = network(expected), network(module)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-9, atol=1e-12)
    assert watch.losses == pytest.approx(losses, rel=1e-9)
    assert watch.logged == pytest.approx(losses, rel=1e-6)
    assert trainer.callback_metrics["loss_epoch"].item() == pytest.approx(sum(losses[BATCHES:]) / BATCHES, rel=1e-6)
    assert trainer.callback_metrics["by a callback"] == BATCHES
    assert len(watch.norms) == trainer.global_step  # once a step, before it is clipped


def test_buffers_and_metrics_see_the_first_pass_only():
    module = Somebody()
    kept = module.queue
    trainer = train(module, max_epochs=1)
    assert int(module.norm.num_batches_tracked) == int(module.ghost.num_batches_tracked) == BATCHES
    assert module.queue.sum() == BATCHES
    assert module.queue is not kept
    assert not module.queue.requires_grad
    plain = Somebody(SGD)
    plain_trainer = train(plain, max_epochs=1)
    assert set(trainer.callback_metrics) == set(plain_trainer.callback_metrics)
    for metrics in (module.scores, plain.scores):
        (first, second) = metrics.values(copy_state=False)
        assert first.tp.data_ptr() == second.tp.data_ptr()  # still shared
        assert int((first.tp + first.fn).sum()) == 8 * BATCHES
        assert first.update_count == BATCHES
    assert "log" not in vars(module)
    for callback in trainer.callbacks:
        assert vars(callback).get("log", module.log) == module.log


@pytest.mark.parametrize("make", [SAM_OVER_SGD, functools.partial(ASAM, base=SGD)])
def test_resumed_is_uninterrupted(tmp_path, make):
    whole = Somebody(make, schedule=True)
    train(whole, max_epochs=3)
    first = train(Somebody(make, schedule=True), max_epochs=2)
    first.save_checkpoint(tmp_path / "some.ckpt")
    assert torch.load(tmp_path / "some.ckpt", weights_only=True)["optimizer_states"][0]["sam"]["rho"]
    second = Somebody(make, schedule=True)
    train(second, max_epochs=3, checkpoint=tmp_path / "some.ckpt")
    assert same(network(whole), network(second))


def test_both_passes_have_the_same_dropout():
    """With one mask in both, and ρ near 0, the step is that of the base to float tolerance; and so is what is drawn."""
    states = []
    for make in (SGD, functools.partial(SAM, base=SGD, rho=1e-9)):
        module = Somebody(make, drop=0.5)
        torch.manual_seed(3)
        train(module)
        states.append((network(module), torch.get_rng_state()))
    for name in states[0][0]:
        torch.testing.assert_close(states[1][0][name], states[0][0][name], rtol=1e-5, atol=1e-8)
    assert torch.equal(states[0][1], states[1][1])


def test_rates_are_multiplied_as_for_the_base():
    states = []
    for rate in (0.1, 0.2):
        callbacks = [ScaledRate("linear", base_batch_size=4)] if rate == 0.1 else []
        module = Somebody(functools.partial(SAM, base=functools.partial(SGD, lr=rate), rho=0.3))
        train(module, *callbacks)
        states.append(network(module))
    assert same(*states)
    decay = RateDecay("steps", milestones=[1], factor=0.5)
    module = Somebody()
    trainer = train(module, decay)
    assert trainer.optimizers[0].param_groups[0]["lr"] == 0.1
    assert not same(network(module), states[0])


@pytest.mark.filterwarnings("ignore:`training_step` returned `None`")  # Lightning says so once a process
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_batch_that_is_skipped(wrapped):
    class Skips(Somebody):
        def training_step(self, batch, index):
            return None if index == 1 else super().training_step(batch, index)

        def optimizer_step(self, epoch, index, optimizer, closure):
            optimizer.step(closure=(lambda: closure()) if wrapped else closure)

    module = Skips()
    train(module)
    assert module.passes == 2 * 2 * (BATCHES - 1)


def test_somebody_who_takes_the_steps():
    """Manual optimisation with a closure of one's own."""

    class Manual(Somebody):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch, index):
            def closure():
                loss = Somebody.training_step(self, batch, index)["loss"]
                self.manual_backward(loss)
                return loss

            self.optimizers().step(closure)

    module, expected = Manual(), Somebody()
    for each in (module, expected):
        train(each)
    assert same(network(module), network(expected))


def _without(self, batch, index):
    loss = Somebody.training_step(self, batch, index)["loss"]
    self.optimizers().zero_grad()
    self.manual_backward(loss)
    self.optimizers().step()


def _before(self, epoch, index, optimizer, closure):
    closure()
    optimizer.step()


@pytest.mark.parametrize(
    ("automatic", "own"),
    [(False, {"training_step": _without}), (True, {"optimizer_step": _before})],
    ids=["manual", "hook"],
)
def test_steps_without_a_closure_are_refused_and_not_lost(automatic, own):
    """Lightning gives the optimizer a closure that does nothing: nothing would be trained, and nothing said."""
    module = type("Mine", (Somebody,), own)()
    module.automatic_optimization = automatic
    start = copy.deepcopy(dict(module.named_parameters()))
    with pytest.raises(UsageError, match=r"SAM needs a closure, .*optimizer.step\(closure\)") as error:
        train(module)
    assert "\n" not in str(error.value)
    assert same(dict(module.named_parameters()), start)
    base = type("Mine", (Somebody,), own)(functools.partial(SAM, base=SGD, rho=0.0))
    base.automatic_optimization = automatic
    train(base)  # with rho 0 it is the base, which needs none
    assert not same(dict(base.named_parameters()), start)


def test_a_closure_that_hides_its_module():
    """BatchNorm is kept by whoever is called in the second pass."""
    found, expected = Somebody(), Somebody()
    train(expected, max_epochs=1)
    optimizer = found.make(found.parameters())
    for inputs, targets in DataLoader(dataset(), batch_size=8):

        def closure(inputs=inputs, targets=targets):
            loss = cross_entropy(found(inputs), targets)
            loss.backward()
            return loss

        optimizer.step(closure)
    assert same(network(found), network(expected))
    assert not torch.nn.modules.module._global_forward_pre_hooks


def test_mixed_precision():
    module = Somebody(double=False)
    trainer = train(module, precision="bf16-mixed", double=False, gradient_clip_val=1.0)
    assert trainer.global_step == 2 * BATCHES
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in module.parameters())


def test_accumulation_is_refused():
    with pytest.raises(
        UsageError, match=r"SAM: the trainer accumulates 2 batches .* Set it to 1 and use larger"
    ) as error:
        train(Somebody(), accumulate_grad_batches=2)
    assert "\n" not in str(error.value)


def test_accumulation_that_begins_later_is_refused_at_once():
    module = Somebody()
    with pytest.raises(UsageError, match="accumulates 4 batches"):
        train(module, GradientAccumulationScheduler({0: 1, 1: 4}))
    assert module.passes == 0


@pytest.mark.parametrize("make", [SAM_OVER_SGD, SGD])
def test_weights_that_are_averaged_over_epochs(make):
    """Lightning passes over the data once more for BatchNorm, without gradients, and says that it accumulates."""
    module = Somebody(make)
    train(module, StochasticWeightAveraging(0.05, swa_epoch_start=1), max_epochs=3)
    passes = 2 if make is SAM_OVER_SGD else 1
    assert module.passes == (3 * passes + 1) * BATCHES
    assert module.norm.running_mean.isfinite().all()


def test_accumulation_by_a_ramp_is_refused():
    ramp = BatchSizeRamp(factor=2, every=1, micro_batch=8)
    with pytest.raises(UsageError, match="SAM: the trainer accumulates 2 batches"):
        train(Somebody(), ramp)


def test_a_gradient_scaler_is_refused():
    plugin = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))
    with pytest.raises(UsageError, match="Precision 16-mixed has none, as it scales the gradient: use bf16-mixed"):
        train(Somebody(double=False), plugins=[plugin], double=False)


def test_a_ramp_of_the_loaded_batch():
    module = Somebody()
    trainer = train(module, BatchSizeRamp(factor=2, every=1))
    assert trainer.global_step == BATCHES + 3
    assert module.passes == 2 * trainer.global_step
