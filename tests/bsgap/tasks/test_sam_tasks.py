"""SAM in the tasks: micro-batches, m-sharpness, clipping, a ramp, and what cannot be honoured."""

import copy
import functools

import pytest
import pytorch_lightning as pl
import torch
from probes import same
from ramped import BASE, OwnData, OwnTask, train
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from bsgap.callbacks import BatchSizeRamp
from bsgap.errors import Interrupted, UsageError
from bsgap.optim import ASAM, SAM
from bsgap.tasks import ImageClassification, LanguageModelling, SemanticSegmentation

SGD = functools.partial(torch.optim.SGD, lr=0.1, momentum=0.9)
KINDS = {"sam": functools.partial(SAM, base=SGD, rho=0.3), "asam": functools.partial(ASAM, base=SGD)}
N = 40


class Data(pl.LightningDataModule):
    """Two batches of 16 examples and one of 8, in float64."""

    def __init__(self, inputs, targets, batch_size=16):
        super().__init__()
        self.batches = list(zip(inputs.split(batch_size), targets.split(batch_size), strict=True))

    def train_dataloader(self):
        return DataLoader(self.batches, batch_size=None)

    def val_dataloader(self):
        return []


def examples():
    draws = torch.Generator().manual_seed(1)
    return torch.randn(N, 1, 4, 4, generator=draws, dtype=torch.float64), torch.randint(3, (N,), generator=draws)


def network(norm=False):
    middle = nn.BatchNorm2d(2) if norm else nn.Identity()
    return nn.Sequential(nn.Conv2d(1, 2, 3), middle, nn.Tanh(), nn.Flatten(), nn.Linear(8, 3)).double()


def fit(task, data=None, **options):
    trainer = pl.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, limit_val_batches=0, **options,
    )  # fmt: skip
    trainer.fit(task, datamodule=data or Data(*examples()))
    return task


def image(make="sam", norm=False, **options):
    return ImageClassification(functools.partial(network, norm), KINDS.get(make, make), seed=0, **options)


def by_hand(make, m, clip=None, micro=None, norm=False):
    """The network after two epochs in which each group of m examples has a perturbation of its own."""
    model = image(norm=norm).network
    weights, base, rho = list(model.parameters()), SGD(model.parameters()), KINDS[make].keywords.get("rho", 0.5)

    def gradient(net, inputs, targets):
        found = [torch.zeros_like(w) for w in weights]
        for x, y in zip(inputs.split(micro or N), targets.split(micro or N), strict=True):
            loss = cross_entropy(net(x), y) * (len(y) / len(targets))
            for total, g in zip(found, torch.autograd.grad(loss, list(net.parameters())), strict=True):
                total += g
        return found

    for _ in range(2):
        for inputs, targets in Data(*examples()).batches:
            totals = [torch.zeros_like(w) for w in weights]
            for x, y in zip(inputs.split(m or N), targets.split(m or N), strict=True):
                first = gradient(model, x, y)
                sizes = [
                    w.detach().abs() + 0.01 if make == "asam" and w.ndim > 1 else torch.ones_like(w) for w in weights
                ]
                length = torch.cat([(t * g).flatten() for t, g in zip(sizes, first, strict=True)]).norm()
                other = copy.deepcopy(model)
                with torch.no_grad():
                    for w, t, g in zip(other.parameters(), sizes, first, strict=True):
                        w += rho * t * t * g / length
                for total, g in zip(totals, gradient(other, x, y), strict=True):
                    total += g * (len(y) / len(targets))
            for w, total in zip(weights, totals, strict=True):
                w.grad = total
            if clip is not None:
                nn.utils.clip_grad_norm_(weights, clip)
            base.step()
    return model.state_dict()


def close(found, expected):
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("micro_batch", [None, 1, 3, 5, 16])
@pytest.mark.parametrize("make", KINDS)
def test_the_perturbation_is_that_of_the_whole_batch(make, micro_batch):
    close(fit(image(make, micro_batch=micro_batch)).network.state_dict(), by_hand(make, None))


@pytest.mark.parametrize("m", [1, 3, 8, 16])  # the batches have 16, 16 and 8 examples
@pytest.mark.parametrize("clip", [None, 0.05])
@pytest.mark.parametrize("make", KINDS)
def test_groups_are_perturbed_apart(make, m, clip):
    task = image(make, sharpness_batch=m, gradient_clip=clip)
    close(fit(task).network.state_dict(), by_hand(make, m, clip))
    whole = fit(image(make, gradient_clip=clip)).network.state_dict()
    assert same(task.network.state_dict(), whole) == (m == 16)


@pytest.mark.parametrize(("m", "micro"), [(None, None), (8, 4), (4, None)])
def test_batch_norm_counts_the_first_passes_only(m, micro):
    task = fit(image(norm=True, sharpness_batch=m, micro_batch=micro))
    close(task.network.state_dict(), by_hand("sam", m, micro=micro, norm=True))
    assert int(task.network[1].num_batches_tracked) == 2 * (3 if m is None else 10)


def test_only_the_descent_gradient_is_clipped():
    """One that is clipped in both passes takes the same step; a clip is counted."""
    task, clipped = image(gradient_clip=0.05), []
    clip = nn.utils.clip_grad_norm_

    def counted(weights, most):
        weights = list(weights)
        clipped.append(torch.cat([w.grad.flatten() for w in weights]).norm())
        return clip(weights, most)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.utils, "clip_grad_norm_", counted)
        fit(task)
    assert len(clipped) == 6
    close(task.network.state_dict(), by_hand("sam", None, 0.05))


def test_the_loss_is_that_of_the_first_pass():
    losses = []

    class Notes(pl.Callback):
        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            losses.append(outputs["loss"])
            assert losses[-1] == self.before

        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            with torch.no_grad():
                self.before = cross_entropy(module.network(batch[0]), batch[1])

    fit(image(), callbacks=[Notes()])
    assert len(losses) == 6
    whole = losses.copy()
    losses.clear()

    class Loose(Notes):
        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            losses.append(outputs["loss"])
            torch.testing.assert_close(losses[-1], self.before)

    fit(image(sharpness_batch=4), callbacks=[Loose()])
    assert losses != whole


def test_a_compiled_network(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda net, **_: lambda inputs: net(inputs))
    assert same(fit(image(compile=True)).network.state_dict(), fit(image()).network.state_dict())


@pytest.mark.parametrize("m", [None, 4])
def test_a_ramp(m):
    """And memory that ends: the micro-batch is halved, in whichever pass, with the same numbers."""

    class Small(nn.Linear):
        room = 10

        def __init__(self):
            super().__init__(4, 1)
            self.calls = 0

        def forward(self, inputs):
            self.calls += 1
            if len(inputs) > self.room or self.calls == 50:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return super().forward(inputs)

    class Task(OwnTask):
        def __init__(self, network):
            super().__init__(network=network, optimizer=functools.partial(SAM, base=functools.partial(SGD, lr=0.01)))
            self.sharpness_batch = m

    small, plenty = Task(Small), Task(lambda: nn.Linear(4, 1))
    for task in (small, plenty):
        trainer = train(task, OwnData(), BatchSizeRamp(factor=2, every=1))
    assert trainer.global_step == 12 + 6 + 3 + 2
    assert len(plenty.seen[1][0]) == 2 * BASE
    for one, two in zip(small.parameters(), plenty.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)


def test_a_text_is_read_on_from_the_first_pass():
    """The state in which a step ends is that of the unperturbed weights, of all columns in their order."""

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.layer, self.out = nn.Embedding(7, 3), nn.LSTM(3, 4, batch_first=True), nn.Linear(4, 7)
            self.double()

        def forward(self, tokens, state=None):
            found, state = self.layer(self.table(tokens), state)
            return self.out(found), state

    draws = torch.Generator().manual_seed(1)
    tokens, targets = (torch.randint(7, (4, 6, 5), generator=draws) for _ in range(2))
    found = []
    for options in ({}, {"sharpness_batch": 6}, {"micro_batch": 1}, {"sharpness_batch": 2, "micro_batch": 1}):
        task = LanguageModelling(Recurrent, KINDS["sam"], seed=0, **options)
        states = []

        class Notes(pl.Callback):
            def on_train_batch_start(self, trainer, module, batch, index):
                with torch.no_grad():
                    self.end = module.network(batch[0], module._state)[1]

            def on_train_batch_end(self, trainer, module, outputs, batch, index):
                states.append(module._state)  # noqa: B023
                for one, two in zip(module._state, self.end, strict=True):
                    torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-12)

        fit(task, Data(tokens.flatten(0, 1), targets.flatten(0, 1), 6), callbacks=[Notes()])
        assert len(states) == 8
        found.append(task.network.state_dict())
    assert same(found[1], found[0])
    close(found[2], found[0])
    assert not same(found[3], found[0])


def test_pixels_are_weighted_over_the_whole_batch():
    draws = torch.Generator().manual_seed(1)
    inputs = torch.randn(12, 3, 4, 4, generator=draws, dtype=torch.float64)
    targets = torch.randint(3, (12, 4, 4), generator=draws)
    targets[::3, :2] = 255
    found = []
    for options in ({}, {"sharpness_batch": 6, "micro_batch": 2}, {"sharpness_batch": 2}):
        task = SemanticSegmentation(lambda: nn.Conv2d(3, 3, 1).double(), KINDS["sam"], seed=0, **options)
        fit(task, Data(inputs, targets, 6))
        found.append(task.network.state_dict())
    close(found[1], found[0])
    assert not same(found[2], found[0])


@pytest.mark.parametrize("m", [None, 8])
def test_interrupted_is_uninterrupted(runs, final, monkeypatch, m):
    """With dropout, BatchNorm, momentum, a schedule, clipping and micro-batches, at every step."""
    from bsgap.callbacks import resume

    model = runs.values["model"]["init_args"]
    model["optimizer"] = {"class_path": "bsgap.optim.ASAM", "init_args": {"base": model["optimizer"], "rho": 0.3}}
    model["sharpness_batch"] = m
    expected = runs.fit("whole")
    asked = []
    for step in (1, 3, 4):
        asked.clear()
        monkeypatch.setattr(resume, "should_stop", lambda at=step: asked.append(1) or len(asked) == at)
        with pytest.raises(Interrupted):
            runs.fit(f"at-{step}")
        monkeypatch.setattr(resume, "should_stop", resume.never)
        torch.manual_seed(step)
        runs.fit(f"at-{step}")
        assert same(final(runs.root / f"at-{step}"), final(expected)), step
        assert (runs.root / f"at-{step}" / "metrics.csv").read_bytes() == (expected / "metrics.csv").read_bytes()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"sharpness_batch": 0}, "sharpness_batch must be at least 1 or absent, got 0"),
        ({"sharpness_batch": 17}, "sharpness_batch must be at most the 16 examples of a batch, got 17"),
        ({"sharpness_batch": 8, "micro_batch": 3}, "multiple of micro_batch .* got 8 on 1 device.* micro_batch 3"),
        ({"sharpness_batch": 4, "micro_batch": 8}, "multiple of micro_batch .* Set micro_batch to a divisor of 4"),
        ({"sharpness_batch": 4, "make": SGD}, "for bsgap.optim.SAM with a rho above 0, the optimizer is SGD"),
        ({"sharpness_batch": 4, "make": functools.partial(SAM, base=SGD, rho=0)}, "the optimizer is SAM with rho 0"),
    ],
)
def test_what_is_refused(options, told):
    with pytest.raises(UsageError, match=told) as error:
        fit(image(**options))
    assert "\n" not in str(error.value)


def test_a_ghost_batch_larger_than_a_group_is_refused(runs, capsys):
    model = runs.values["model"]["init_args"]
    model["optimizer"] = {"class_path": "bsgap.optim.SAM", "init_args": {"base": model["optimizer"]}}
    model["micro_batch"] = None
    assert runs.main("run", "--model.init_args.sharpness_batch=4", "--model.init_args.ghost_batch=8") == 2
    assert "ghost_batch must be at most the 4 examples that sharpness_batch lets" in capsys.readouterr().err
