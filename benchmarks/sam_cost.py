"""Cost of a step of SAM in steps of its base optimizer, through Lightning's Trainer, and what of it is no gradient.

Two gradients cost two; the target is at most 2.1 steps of the base. One trainer takes both kinds of steps in turns:
with rho at 0 SAM is its base.

- `resnet8`: the residual network of He et al. as a task of bsgap (manual optimisation), on random images of 32 x 32.
- `stranger`: somebody's LightningModule (automatic optimisation): convolutions, BatchNorm, a metric, a logged loss.
- `wide`: the same with two large fully connected layers, whose 1.8 million weights take little computing each.

    python benchmarks/sam_cost.py [--cases resnet8 ...] [--steps 20] [--rounds 7] [--batch-size 128] [--save]

prints a row for each case and for SAM and ASAM: milliseconds a step of the base and of SAM, their ratio by the wall
clock (median over rounds, and its range) and by processor time, which other processes disturb less, and the share of
SAM's step in which the weights climb and come back.
"""

import argparse
import functools
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from machine import clocks, describe, save
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchmetrics.classification import MulticlassAccuracy

from bsgap.networks import CifarResNet
from bsgap.optim import SAM
from bsgap.optim.perturbation import ascend_, perturbed, room_for
from bsgap.tasks import ImageClassification
from bsgap.terminal import quiet

TARGET = 2.1
WARM_UP = 3  # steps of each kind that are not timed
RHO = 0.05


class Stranger(pl.LightningModule):
    """Somebody's module."""

    def __init__(self, make: Callable[[Any], SAM], wide: bool = False):
        super().__init__()
        if wide:
            layers = [nn.Flatten(), nn.Linear(3072, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 512)]
        else:
            layers = [nn.Conv2d(3, 32, 3), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3)]
            layers += [nn.BatchNorm2d(64), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        self.network = nn.Sequential(*layers, nn.ReLU(), nn.LazyLinear(10))
        self.network(torch.zeros(2, 3, 32, 32))
        self.make, self.accuracy = make, MulticlassAccuracy(10)

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """Mean cross-entropy, with what people log."""
        outputs = self.network(batch[0])
        loss = cross_entropy(outputs, batch[1])
        self.accuracy.update(outputs, batch[1])
        self.log("loss", loss, on_step=True, on_epoch=True)
        return loss

    def configure_optimizers(self) -> SAM:
        """SAM over a base."""
        return self.make(self.parameters())


CASES: dict[str, Callable[[Any], pl.LightningModule]] = {
    "resnet8": lambda make: ImageClassification(lambda: CifarResNet(8), make, channels_last=True, seed=0),
    "stranger": Stranger,
    "wide": functools.partial(Stranger, wide=True),
}


class Turns(pl.Callback):
    """Lets the base take some steps, then SAM, and so on; `seconds` has the `clocks` of both of each round."""

    def __init__(self, steps: int):
        self.steps, self.seconds = steps, []
        self._done, self._start = -2 * WARM_UP, clocks()

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Begin with the base."""
        trainer.optimizers[0].rho = 0.0

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Count a step, and change sides when it is time."""
        self._done += 1
        if self._done < 0:
            trainer.optimizers[0].rho = RHO if self._done >= -WARM_UP else 0.0
            return
        if self._done % self.steps:
            return
        now = clocks()
        if self._done == self.steps:
            self._base = now - self._start
        elif self._done == 2 * self.steps:
            self.seconds.append((self._base, now - self._start))
            self._done = 0
        trainer.optimizers[0].rho = RHO if self._done else 0.0
        self._start = clocks()


def climb(optimizer: SAM, repeats: int) -> np.ndarray:
    """Wall and processor time of climbing and coming back."""
    weights = [w for group in optimizer.param_groups for w in group["params"]]
    gradients, room = [torch.randn_like(w) for w in weights], room_for(weights)
    options: dict[str, Any] = {"eta": 0.01} if optimizer.adaptive else {}
    used = np.zeros(2)
    for _ in range(repeats):
        steps = [gradient.clone() for gradient in gradients]  # ε of ε of ε would be of numbers too small to be fast
        start = clocks()
        ascend_(weights, steps, RHO, room, **options)
        with perturbed(weights, steps, room):
            pass
        used += clocks() - start
    return used / repeats


def measure(module: pl.LightningModule, options: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds a step of the base and of SAM, and their ratio."""
    batch = torch.randn(options.batch_size, 3, 32, 32), torch.randint(0, 10, (options.batch_size,))
    turns = Turns(options.steps)
    count = 2 * (WARM_UP + options.steps * options.rounds)
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            max_steps=count, max_epochs=-1, default_root_dir=folder, callbacks=[turns], devices=1,
            logger=False, enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
        )  # fmt: skip
        trainer.fit(module, DataLoader([batch] * count, batch_size=None))
    rounds = 1e3 * np.array(turns.seconds) / options.steps  # [rounds, (base, SAM), (wall, processor)]
    ratios = rounds[:, 1] / rounds[:, 0]
    base, sam = np.median(rounds[..., 0], 0).tolist()
    ratio, processor = np.median(ratios, 0).tolist()
    used = 1e3 * climb(trainer.optimizers[0], 50)[1] / np.median(rounds[:, 1, 1])
    return {
        "base_ms": base,
        "sam_ms": sam,
        "ratio": ratio,
        "lowest": ratios[:, 0].min().item(),
        "highest": ratios[:, 0].max().item(),
        "processor_ratio": processor,
        "perturbation_share": float(used),
        "verdict": "met" if ratio <= TARGET else "missed",
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--steps", type=int, default=20, help="of either in a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save", action="store_true", help="keep the result as results/sam_cost.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    quiet()
    warnings.filterwarnings("ignore", ".*no `val_dataloader`")
    where = describe()
    print(", ".join(f"{key} {value}" for key, value in where.items()))
    # The same batch every time: at a larger rate it is soon learned, and numbers as small as its gradients are slow.
    momentum = functools.partial(torch.optim.SGD, lr=1e-5, momentum=0.9, weight_decay=5e-4, fused=True)
    found = {}
    for case in options.cases:
        for adaptive in (False, True):
            torch.manual_seed(0)
            make = functools.partial(SAM, base=momentum, rho=RHO, adaptive=adaptive)
            name = f"{case}, {'ASAM' if adaptive else 'SAM'}"
            found[name] = row = measure(CASES[case](make), options)
            print(
                f"{name:14} base {row['base_ms']:7.2f} ms a step  SAM {row['sam_ms']:7.2f}  ratio {row['ratio']:.2f}"
                f" ({row['lowest']:.2f}-{row['highest']:.2f}), processor {row['processor_ratio']:.2f}  target {TARGET}:"
                f" {row['verdict']}; perturbation {row['perturbation_share']:.1%}",
                flush=True,
            )
    if options.save:
        settings = {name: getattr(options, name) for name in ("steps", "rounds", "batch_size")}
        save("sam_cost", where | settings | {"target": TARGET, "cases": found})


if __name__ == "__main__":
    main()
