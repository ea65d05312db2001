"""An optimizer that notes the rate of each step, and somebody's module that trains with it: five steps an epoch."""

import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

RATE = 0.125

# From here on SGD's own step runs the hooks of a step too, besides that of a subclass that calls it.
torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=RATE)


class Watched(torch.optim.SGD):
    """Notes the rate of each step."""

    def __init__(self, parameters, lr=RATE, momentum=0.0):
        super().__init__(parameters, lr=lr, momentum=momentum)
        self.rates = []

    def step(self, closure=None):
        self.rates.append(self.param_groups[0]["lr"])
        return super().step(closure)


class Stranger(pl.LightningModule):
    """Somebody's module with automatic optimisation, and a schedule that advances every step or epoch."""

    def __init__(self, schedule=None, interval="step"):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.schedule, self.interval = nn.Linear(4, 3), schedule, interval

    def training_step(self, batch, _):
        return cross_entropy(self.layer(batch[0]), batch[1])

    def configure_optimizers(self):
        self.watched = Watched(self.parameters())
        if self.schedule is None:
            return self.watched
        return [self.watched], [{"scheduler": self.schedule(self.watched), "interval": self.interval}]


def train(*callbacks, module=None, batch=8, folder=None, **options):
    """The module after a training on 40 examples."""
    draws = torch.Generator().manual_seed(1)
    data = TensorDataset(torch.randn(40, 4, generator=draws), torch.randint(0, 3, (40,), generator=draws))
    module = module or Stranger()
    trainer = pl.Trainer(
        **{"max_epochs": 4, "accelerator": "cpu", "logger": False, "enable_checkpointing": False} | options,
        callbacks=list(callbacks), enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder,
    )  # fmt: skip
    trainer.fit(module, DataLoader(data, batch_size=batch))
    return module
