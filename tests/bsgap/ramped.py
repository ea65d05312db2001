"""What the tests of the ramp train: a linear task on data of this package, and somebody's modules and data."""

import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, TensorDataset

from bsgap.data.base import ExactData
from bsgap.data.loader import FixedLoader, TensorLoader
from bsgap.tasks.common import ManualTask

N = 96
BASE = 8


def tensors(n=N):
    """Inputs whose first column is their number, and targets of a linear model."""
    draws = torch.Generator().manual_seed(1)
    inputs = torch.randn(n, 4, generator=draws)
    inputs[:, 0] = torch.arange(n) / n
    return inputs, inputs.sum(1, keepdim=True) + 0.1 * torch.randn(n, 1, generator=draws)


class OwnTask(ManualTask):
    """Linear regression as a task of this package."""

    def __init__(self, schedule=None, micro_batch=None, optimizer=None, network=lambda: nn.Linear(4, 1)):
        super().__init__(
            network, optimizer or (lambda weights: torch.optim.SGD(weights, lr=0.01)), schedule, seed=0,
            micro_batch=micro_batch,
        )  # fmt: skip
        self.seen, self.rates, self.per_epoch = [], [], []

    def loss(self, inputs, targets):
        return mse_loss(self.network(inputs), targets)

    def training_step(self, batch, batch_idx):
        note(self, batch, batch_idx)
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch, batch_idx):
        self.log("validation_loss", mse_loss(self.network(batch[0]), batch[1]), batch_size=len(batch[1]))


class OwnData(ExactData):
    """A loader of this package over `tensors`."""

    def __init__(self, batch_size=BASE, n=N, last="keep", validation=False):
        super().__init__()
        self.batch_size, self.n, self.last = batch_size, n, last
        self.validation_examples = 16 if validation else 0

    _data = None

    def _cut(self):
        pass

    def _check_training(self):
        pass

    def _training(self):
        rank, world_size = self._ranks()
        return TensorLoader(
            *tensors(self.n), batch_size=self.batch_size, shuffle=True, seed=3, last=self.last, rank=rank,
            world_size=world_size,
        )  # fmt: skip

    def _fixed(self, split):
        return FixedLoader(*tensors(16), batch_size=16)


class Somebody(pl.LightningModule):
    """Automatic optimisation, with the mean loss of a batch."""

    def __init__(self, schedule=None, interval="step", rate=0.01, optimizer=None, norm=False, frequency=1):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 1)) if norm else nn.Linear(4, 1)
        self.schedule, self.interval, self.rate, self.frequency = schedule, interval, rate, frequency
        self.optimizer = optimizer or (lambda weights: torch.optim.SGD(weights, lr=self.rate))
        self.seen, self.rates, self.per_epoch = [], [], []

    def training_step(self, batch, batch_idx):
        note(self, batch, batch_idx)
        loss = mse_loss(self.layer(batch[0]), batch[1])
        self.log("loss", loss, on_epoch=True, on_step=False)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("validation_loss", mse_loss(self.layer(batch[0]), batch[1]), batch_size=len(batch[1]))

    def configure_optimizers(self):
        optimizer = self.optimizer(self.parameters())
        if self.schedule is None:
            return optimizer
        schedule = self.schedule(optimizer, self.trainer)
        return [optimizer], [{"scheduler": schedule, "interval": self.interval, "frequency": self.frequency}]


class Stated(pl.LightningDataModule):
    """Somebody's data module with a batch size."""

    def __init__(self, batch_size=BASE, n=N, drop_last=False, validation=False):
        super().__init__()
        self.batch_size, self.n, self.drop_last, self.validation = batch_size, n, drop_last, validation
        self.loaded = self.validated = 0

    def train_dataloader(self):
        self.loaded += 1
        return dataloader(self.batch_size, self.n, self.drop_last)

    def val_dataloader(self):
        self.validated += 1
        return DataLoader(TensorDataset(*tensors(16)), batch_size=16) if self.validation else []


def dataloader(batch_size=BASE, n=N, drop_last=False, **options):
    """A DataLoader that shuffles `tensors`."""
    draws = torch.Generator().manual_seed(2)
    return DataLoader(
        TensorDataset(*tensors(n)), batch_size=batch_size, shuffle=True, drop_last=drop_last, generator=draws, **options
    )


class TwoClosures(torch.optim.SGD):
    """Evaluates its closure twice a step, as SAM does, and steps with the second gradient."""

    def __init__(self, parameters, lr=0.01):
        super().__init__(parameters, lr=lr)
        self.used = []

    def step(self, closure):
        with torch.enable_grad():
            closure()
            loss = closure()
        self.used.append(self.param_groups[0]["lr"])
        super().step()
        return loss


class Saves(pl.Callback):
    """Saves after the batch of a step."""

    def __init__(self, path, step):
        self.path, self.step = path, step

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)


def note(module, batch, batch_idx):
    """Keep which examples came, in which batches, and how many were announced."""
    epoch = module.trainer.current_epoch
    while len(module.seen) <= epoch:
        module.seen.append([])
        module.per_epoch.append(module.trainer.num_training_batches)
    module.seen[epoch].append((batch[0][:, 0] * module.trainer.datamodule_n).round().int().tolist())


def train(module, data, *callbacks, folder=None, checkpoint=None, **options):
    """Fit, and give the trainer."""
    trainer = pl.Trainer(
        **{"max_epochs": 4, "accelerator": "cpu", "logger": False, "enable_checkpointing": folder is not None} | options,
        callbacks=list(callbacks), enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder,
        num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.datamodule_n = getattr(data, "n", N)
    given = {"datamodule": data} if isinstance(data, pl.LightningDataModule) else {"train_dataloaders": data}
    trainer.fit(module, **given, ckpt_path=checkpoint, weights_only=None if checkpoint is None else True)
    return trainer


def sizes(module):
    """Batch sizes of each epoch."""
    return [[len(batch) for batch in epoch] for epoch in module.seen]


def once_an_epoch(module, n=N):
    """Whether each example came once an epoch."""
    return all(sorted(number for batch in epoch for number in batch) == list(range(n)) for epoch in module.seen)
