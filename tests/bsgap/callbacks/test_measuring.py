"""What is refused at the start of a training, before the hours of it, by each of the callbacks that measure."""

import math
import warnings
from dataclasses import asdict, dataclass

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import cross_entropy, dropout
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, get_worker_info

from bsgap.callbacks import Hessian, LinearApproximationError, LossLandscape, Sharpness
from bsgap.callbacks.measured_batches import draws_anew
from bsgap.errors import UsageError

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*The number of training batches.*is smaller than the logging interval"),
]
KINDS = [Sharpness, Hessian, LossLandscape, LinearApproximationError]


class Once(torch.autograd.Function):
    """The identity, with a first derivative only."""

    @staticmethod
    def forward(ctx, value):
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        return gradient


class Module(pl.LightningModule):
    def __init__(self, between=None):
        super().__init__()
        self.layer, self.between, self.steps = nn.Linear(6, 3), between or nn.Identity(), 0

    def forward(self, x):
        return self.between(self.layer(x))

    def training_step(self, batch, _):
        self.steps += 1
        return cross_entropy(self(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05)


class Noise(nn.Module):
    def forward(self, x):
        return dropout(x, training=True)


class Single(nn.Module):
    def forward(self, x):
        return Once.apply(x)


def fit(callback, module, folder, batches=8):
    draws = torch.Generator().manual_seed(2)
    data = TensorDataset(torch.randn(8 * batches, 6, generator=draws), torch.randint(0, 3, (8 * batches,)))
    pl.Trainer(
        max_epochs=2, accelerator="cpu", callbacks=[callback], default_root_dir=folder, logger=False,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    ).fit(module, DataLoader(data, batch_size=8, shuffle=True))  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_that_is_not_deterministic_is_refused_before_the_first_step(kind, tmp_path):
    module = Module(Noise())
    with pytest.raises(UsageError, match="not deterministic"):
        fit(kind(), module, tmp_path)
    assert module.steps == 0


def test_a_module_without_a_second_derivative_is_refused_before_the_first_step(tmp_path):
    module = Module(Single())
    with pytest.raises(UsageError, match="once_differentiable"):
        fit(Hessian(), module, tmp_path)
    assert module.steps == 0
    fit(Sharpness(), module, tmp_path)
    assert module.steps == 16


@pytest.mark.parametrize("kind", KINDS)
def test_batches_of_another_kind_are_refused_before_the_first_step(kind, tmp_path):
    module = Module()
    with pytest.raises(UsageError, match="must be a pair"):
        fit(kind(batches=[torch.zeros(4, 6)]), module, tmp_path)
    assert module.steps == 0


@pytest.mark.parametrize("kind", KINDS)
def test_batches_that_can_be_read_only_once_are_kept(kind, tmp_path):
    batches = [(torch.randn(12, 6), torch.randint(0, 3, (12,))) for _ in range(2)]
    callback = kind(batches=iter(batches))
    fit(callback, Module(), tmp_path)
    assert callback.results[0].examples == 24


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_statistics_are_refused_at_once(kind):
    with pytest.raises(UsageError, match="statistics must be one of"):
        kind(statistics="none")


class Stateful(Dataset):
    """Draws from a generator of its own, as augmentations do."""

    def __init__(self):
        self.draws = np.random.default_rng(0)

    def __len__(self):
        return 24

    def __getitem__(self, index):
        return torch.from_numpy(self.draws.standard_normal(6, dtype=np.float32)), index % 3


class Stream(IterableDataset):
    def __iter__(self):
        return iter(zip(torch.randn(48, 6), torch.arange(48) % 3, strict=True))


class Noted(Module):
    """Keeps the sums of its batches."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def training_step(self, batch, index):
        self.seen.append(batch[0].sum().item())
        return super().training_step(batch, index)


def trained(module, loader, *callbacks, **options):
    torch.manual_seed(1)
    options = {"max_epochs": 2} | options
    trainer = pl.Trainer(
        accelerator="cpu", callbacks=list(callbacks), logger=False, enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False, **options,
    )  # fmt: skip
    trainer.fit(module, loader)
    return trainer


@pytest.mark.parametrize("options", [{}, {"every_n_epochs": 1}])
@pytest.mark.parametrize("kind", [Hessian, LinearApproximationError])
def test_workers_that_persist_go_on_as_without_it(kind, options):
    data = TensorDataset(torch.arange(24 * 6.0).view(24, 6) / 100, torch.arange(24) % 3)

    def seen(*callbacks):
        module = Noted()
        loader = DataLoader(data, batch_size=8, shuffle=True, num_workers=1, persistent_workers=True)
        trained(module, loader, *callbacks)
        return module.seen

    expected = seen()
    assert len(expected) == 6
    assert seen(kind(**options)) == expected


@pytest.mark.filterwarnings("ignore:the training data are augmented")
@pytest.mark.parametrize("kind", KINDS)
def test_data_that_draw_for_themselves_are_not_touched_before_the_end(kind, tmp_path):
    def seen(*callbacks):
        module = Noted()
        trained(module, DataLoader(Stateful(), batch_size=8), *callbacks, default_root_dir=tmp_path)
        return module.seen

    assert seen(kind()) == seen()


class Augmented(Dataset):
    """Ten examples, with noise of a given size drawn anew each time."""

    def __init__(self, noise):
        self.noise = noise

    def __len__(self):
        return 10

    def __getitem__(self, index):
        return torch.full((6,), float(index)) + self.noise * torch.rand(6), index % 3


class ByName(Augmented):
    """Whose examples have names and not numbers."""

    def __getitem__(self, index):
        return super().__getitem__({"a": 0, "b": 1}[index])


class Nested(Augmented):
    """Whose inputs are a dict of a tensor and an array, of a length that differs."""

    def __getitem__(self, index):
        row, target = super().__getitem__(index)
        more = torch.randint(1, 5, ()).item() if self.noise else 2
        return {"row": row.numpy(), "more": [torch.ones(2)] * more}, target


class Mirrored(Augmented):
    """Every other time, and its first example not at all."""

    def __getitem__(self, index):
        row = torch.arange(6.0) + index
        return row.flip(0) if self.noise and index and torch.rand(()) < 0.5 else row, index % 3


class Gaps(Augmented):
    """With gaps in its inputs."""

    def __getitem__(self, index):
        row, target = super().__getitem__(index)
        return torch.cat([row, torch.tensor([math.nan])]), math.nan if target else 0.0


@dataclass
class Example:
    row: torch.Tensor
    target: int


class Records(Augmented):
    """Whose examples are of a class of its own, which is no reason to fail."""

    def __getitem__(self, index):
        return Example(*super().__getitem__(index))


class Refusing(Augmented):
    """Which gives its examples all together."""

    def __getitem__(self, index):
        raise NotImplementedError

    def __getitems__(self, indices):
        return [super(Refusing, self).__getitem__(index) for index in indices]


@pytest.mark.parametrize("kind", [Augmented, Nested, Mirrored, Gaps])
def test_an_example_is_held_against_itself_whatever_it_is_made_of(kind):
    torch.manual_seed(0)
    assert draws_anew(DataLoader(kind(0.1), shuffle=True))
    assert not draws_anew(DataLoader(kind(0.0), shuffle=True))


@pytest.mark.parametrize(
    "loader",
    [
        DataLoader(Records(0.1)),
        DataLoader(Refusing(0.1)),
        DataLoader(Stream()),
        DataLoader(Augmented(0.1), sampler=["a"]),
        [torch.zeros(2, 6)],
    ],
)
def test_what_cannot_be_held_against_itself_is_let_be(loader):
    assert not draws_anew(loader)


class Opened(Augmented):
    """Which must not be opened in the process of the training."""

    def __getitem__(self, index):
        if get_worker_info() is None:
            pytest.fail("opened outside of a worker")
        return super().__getitem__(index)


@pytest.mark.parametrize(("noise", "augmented"), [(0.1, True), (0.0, False)])
def test_where_workers_read_a_worker_looks(noise, augmented):
    assert draws_anew(DataLoader(Opened(noise), num_workers=2)) is augmented


def test_a_look_at_the_examples_leaves_the_order_as_it_was():
    loader = DataLoader(Augmented(0.0), shuffle=True, generator=torch.Generator().manual_seed(1))
    state = loader.generator.get_state()
    assert not draws_anew(loader)
    assert torch.equal(loader.generator.get_state(), state)


def test_augmentation_in_the_loader_is_named(tmp_path):
    def measured(data, **options):
        trained(
            Noted(), DataLoader(data, batch_size=5, **options), Sharpness(every_n_epochs=1), default_root_dir=tmp_path
        )

    with pytest.warns(UserWarning, match="the training data are augmented.*Give `batches` without it") as found:
        measured(Augmented(0.1))
    assert sum("augmented" in str(warning.message) for warning in found) == 1  # once a fit
    with pytest.warns(UserWarning, match="the training data are augmented"):
        measured(ByName(0.1), sampler=["a", "b"])
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*are augmented")
        measured(Augmented(0.0))


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_without_a_length_needs_a_number_of_examples(kind, tmp_path):
    module = Noted()
    with pytest.raises(UsageError, match="may have no end: give `examples`"):
        trained(module, DataLoader(Stream(), batch_size=8), kind(), default_root_dir=tmp_path)
    assert module.seen == []
    if kind is LinearApproximationError:  # its mini-batch comes from all
        with pytest.raises(UsageError, match="may have no end"):
            trained(module, DataLoader(Stream(), batch_size=8), kind(examples=16), default_root_dir=tmp_path)
        return
    callback = kind(examples=16)
    trained(module, DataLoader(Stream(), batch_size=8), callback, default_root_dir=tmp_path)
    assert len(module.seen) == 12
    assert callback.results[0].examples == 16


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Sharpness(maximiser="foo"), "maximiser must be one of"),
        (lambda: Sharpness(epsilon=float("nan")), "epsilon must be positive and finite"),
        (lambda: Sharpness(iterations=0), "iterations must be at least 1"),
        (lambda: Sharpness(scaling="x"), "scaling must be one of"),
        (lambda: LinearApproximationError(rate=float("inf")), "rate must be positive and finite"),
    ],
)
def test_options_out_of_range_are_refused_at_once(make, error):
    with pytest.raises(UsageError, match=error):
        make()


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Sharpness(subspace=100), "subspace is 100, but there are 21 parameters"),
        (lambda: Hessian(k=30), "k is 30, but there are 21 trainable parameters"),
        (lambda: LinearApproximationError(batch_size=100), "at most the 64 examples that there are, got 100"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_the_first_step(make, error, tmp_path):
    module = Module()
    with pytest.raises(UsageError, match=error):
        fit(make(), module, tmp_path)
    assert module.steps == 0


@pytest.mark.filterwarnings("ignore:.*configure_optimizers. returned .None.")
def test_a_module_without_an_optimizer_has_no_step_to_measure(tmp_path):
    module = Module()
    module.configure_optimizers = lambda: None
    with pytest.raises(UsageError, match="expected one optimizer, got 0"):
        fit(LinearApproximationError(), module, tmp_path)
    assert module.steps == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_of_one_output_has_to_be_given(kind, tmp_path):
    class One(Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 1)

        def training_step(self, batch, _):
            self.steps += 1
            return (self(batch[0])[:, 0] - batch[1]).square().mean()

    module = One()
    with pytest.raises(UsageError, match=r"cross-entropy of one output is always 0 .*: give the loss"):
        fit(kind(), module, tmp_path)
    assert module.steps == 0
    fit(kind(loss=lambda outputs, targets: (outputs[:, 0] - targets).square().mean()), module, tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_that_the_module_keeps_is_named(kind, tmp_path):
    module = Module()
    module.criterion = nn.CrossEntropyLoss(label_smoothing=0.3)
    with pytest.warns(UserWarning, match="give loss=module.criterion if that is meant"):
        fit(kind(), module, tmp_path)
    module.criterion = nn.CrossEntropyLoss()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.filterwarnings("ignore", ".*does not have many workers")
        warnings.filterwarnings("ignore", ".*smaller than the logging interval")
        fit(kind(), module, tmp_path)


def test_a_landscape_needs_no_gradient(tmp_path):
    wrong = LossLandscape(points=3, loss=lambda outputs, targets: (outputs.argmax(1) != targets).float().mean())
    fit(wrong, Module(), tmp_path)
    assert 0 <= min(wrong.results[0].losses["train"]) <= 1


def test_a_run_whose_loss_is_no_number_ends_as_without_it(tmp_path):
    class Lost(Module):
        def on_train_epoch_end(self):
            with torch.no_grad():
                self.layer.weight.fill_(float("nan"))

    for kind in KINDS:
        callback = kind()
        with pytest.warns(UserWarning, match="not measured at step 16: the "):
            fit(callback, Lost(), tmp_path)
        assert callback.results == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_module_that_cannot_be_called_is_refused_in_one_line(kind, tmp_path):
    class Two(Module):
        def forward(self, x, y):
            return self.layer(x)

        def training_step(self, batch, _):
            return cross_entropy(self(batch[0], None), batch[1])

    with pytest.raises(
        UsageError, match=r"module\(inputs\) fails on the inputs of a batch, TypeError: .* Define forward"
    ):
        fit(kind(), Two(), tmp_path)


@pytest.mark.parametrize(
    ("options", "examples"),
    [({"fast_dev_run": True}, 8), ({"overfit_batches": 2}, 16), ({"limit_train_batches": 2}, 64)],
)
def test_what_is_measured_is_what_is_trained_on(options, examples):
    data = TensorDataset(torch.randn(64, 6), torch.arange(64) % 3)
    callback = Hessian()
    trained(Module(), DataLoader(data, batch_size=8), callback, **options)
    assert callback.results[0].examples == examples


def test_gradients_of_half_precision_weights_are_put_back(tmp_path):
    callback = LossLandscape(points=3)
    trained(Module(), DataLoader(TensorDataset(torch.randn(64, 6), torch.arange(64) % 3), batch_size=8), callback,
            precision="bf16-true", default_root_dir=tmp_path)  # fmt: skip
    assert callback.results[0].examples == 64


class Transferred(Module):
    """Half of its preparation is done on the device."""

    def on_before_batch_transfer(self, batch, _):
        return batch[0] + 1, batch[1]

    def on_after_batch_transfer(self, batch, _):
        return batch[0] * 5, batch[1]


class TransferringData(pl.LightningDataModule):
    def __init__(self, loader):
        super().__init__()
        self.loader = loader

    def train_dataloader(self):
        return self.loader

    def on_after_batch_transfer(self, batch, _):
        return (batch[0] + 1) * 5, batch[1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("owner", ["module", "data module"])
def test_inputs_go_through_the_hooks_of_a_transfer_as_in_training(kind, owner, tmp_path):
    draws = torch.Generator().manual_seed(2)
    inputs, targets = torch.randn(32, 6, generator=draws), torch.randint(0, 3, (32,), generator=draws)
    loader = DataLoader(TensorDataset(inputs, targets), batch_size=8)
    given = [((inputs[rows] + 1) * 5, targets[rows]) for rows in torch.arange(32).split(8)]
    torch.manual_seed(0)
    module = Transferred() if owner == "module" else Module()
    found, expected = kind(name="found"), kind(name="expected", batches=given)
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", callbacks=[found, expected], default_root_dir=tmp_path, logger=False,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(module, loader if owner == "module" else TransferringData(loader))
    assert [_untimed(asdict(result)) for result in found.results] == [_untimed(asdict(r)) for r in expected.results]
    assert len(found.results) == 1


def _untimed(result):
    return {
        name: _untimed(value) if isinstance(value, dict) else value
        for name, value in result.items()
        if name != "seconds"
    }


def test_inputs_have_the_precision_of_the_training(tmp_path):
    module, hessian = Module(), Hessian(k=1)
    pl.Trainer(
        max_epochs=1, accelerator="cpu", callbacks=[hessian], precision="64-true", logger=False,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    ).fit(module, DataLoader(TensorDataset(torch.randn(16, 6), torch.randint(0, 3, (16,))), batch_size=8))  # fmt: skip
    (result,) = hessian.results
    assert result.eigenvalues.values[0] > 0
