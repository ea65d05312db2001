"""What is refused at the start of a training, before the hours of it, by each of the callbacks that measure."""

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import cross_entropy, dropout
from torch.utils.data import DataLoader, TensorDataset

from bsgap.callbacks import Hessian, LinearApproximationError, LossLandscape, Sharpness
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
