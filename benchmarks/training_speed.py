"""Training speed of bsgap, through Lightning's Trainer, against loops without it; both take turns in one process.

- `resnet8`, `resnet20`: the networks of He et al. in bfloat16, channels last, compiled, with data on the device,
  against a tutorial's loop: float32, a DataLoader, transforms of each image. Target: at least 2.5 times its speed.
- `image`, `language`, `segmentation`: each task against a bare loop with the same tricks. Target: at least 0.9 of its
  speed, where a step takes 5 ms or more.

    python benchmarks/training_speed.py [--cases resnet8 ...] [--steps 20] [--rounds 5] [--threads 1] [--save]

prints a row a case: milliseconds a step of either, the ratio of their speeds by the wall clock (median over rounds, and
its range) and by processor time, and the verdict.
Images are random, as the time does not depend on what they show; text and scenes are those that come with bsgap.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from machine import clocks, describe, save
from rivals import Steps, TransformedImages, bare_images, bare_scenes, bare_text, plain
from torch import Tensor

from bsgap.callbacks import ResumePoint, ScaledRate
from bsgap.data import SceneData, TensorLoader, TextData
from bsgap.data.augment import crop_flip
from bsgap.data.normalise import Normalise
from bsgap.networks import DRN, CifarResNet, LSTMLanguageModel
from bsgap.tasks import ImageClassification, LanguageModelling
from bsgap.tasks.segmentation import SemanticSegmentation
from bsgap.terminal import quiet

WARM_UP = 3  # steps that are not timed; the first one compiles


class RandomImages(pl.LightningDataModule):
    """Random images of CIFAR-10's size in bsgap's loader, with crop, flip and normalisation."""

    def __init__(self, images: Tensor, labels: Tensor, batch_size: int):
        super().__init__()
        self.images, self.labels, self.batch_size = images, labels, batch_size

    def train_dataloader(self) -> TensorLoader:
        """The loader of bsgap's own data modules."""
        place = self.trainer.strategy.root_device
        mean, std = (torch.from_numpy(v).view(3, 1, 1) for v in (TransformedImages.mean, TransformedImages.std))
        return TensorLoader(
            self.images, self.labels, batch_size=self.batch_size, shuffle=True, seed=0, last="drop",
            augment=crop_flip, prepare=Normalise(255.0, mean, std).to(place), device=place,
        )  # fmt: skip

    def val_dataloader(self) -> list[Any]:
        """None; without this Lightning warns."""
        return []


class Duel(pl.Callback):
    """Between rounds of bsgap's steps lets the rival take as many; `seconds` has the `clocks` of both of each round."""

    def __init__(self, rival: Steps, steps: int):
        self.rival, self.steps = rival, steps
        self.seconds: list[tuple[np.ndarray, np.ndarray]] = []
        self._done, self._start = -WARM_UP, clocks()

    def on_train_batch_end(self, *_: Any) -> None:
        """Count a step."""
        self._done += 1
        if self._done == 0:
            self._theirs(WARM_UP)
        elif self._done == self.steps:
            mine = clocks() - self._start
            self.seconds.append((mine, self._theirs(self.steps)))
            self._done = 0
        if self._done == 0:
            self._start = clocks()

    def _theirs(self, steps: int) -> np.ndarray:
        start = clocks()
        for _ in range(steps):
            next(self.rival)
        return clocks() - start


@dataclass(frozen=True)
class Case:
    """What is trained, and against whom.

    Attributes:
        task: The LightningModule.
        data: Its data.
        rival: The other loop.
        precision: Of the trainer.
        target: Least ratio of steps a second.
    """

    task: pl.LightningModule
    data: pl.LightningDataModule
    rival: Steps
    precision: str
    target: float


def images(count: int) -> tuple[Tensor, Tensor]:
    """Random bytes and labels."""
    return torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8), torch.randint(0, 10, (count,))


def momentum_sgd(parameters: Iterator[Tensor]) -> torch.optim.SGD:
    """The optimizer of the image and segmentation recipes."""
    return torch.optim.SGD(parameters, lr=0.01, momentum=0.9, weight_decay=5e-4, fused=True)


def image_case(depth: int, options: argparse.Namespace, bare: bool) -> Case:
    """A residual network against the tutorial's loop, or against a bare one."""
    data, batch, compiled = images(options.images), options.batch_size, not options.no_compile
    task = ImageClassification(lambda: CifarResNet(depth), momentum_sgd, channels_last=True, compile=compiled, seed=0)
    network = CifarResNet(depth)
    rival = bare_images(network, *data, batch, compiled) if bare else plain(network, *data, batch)
    return Case(task, RandomImages(*data, batch), rival, "bf16-mixed", 0.9 if bare else 2.5)


def language_case(options: argparse.Namespace) -> Case:
    """A two-layer LSTM on Python's documentation."""
    data = TextData("pydoc", batch_size=32, vocabulary_size=3000, train_tokens=60_000)
    data.setup("fit")
    network = partial(LSTMLanguageModel, data.classes, embedding=100, hidden=100)
    task = LanguageModelling(network, lambda p: torch.optim.SGD(p, lr=1.0), gradient_clip=0.25, seed=0)
    text = torch.cat([inputs[0] for inputs, _ in data.batches("train", batch_size=1)])
    return Case(task, data, bare_text(network(), text, 32, data.sequence_length), "32-true", 0.9)


def segmentation_case(options: argparse.Namespace) -> Case:
    """DRN-D-22 at a quarter of its width on crops of drawn scenes."""
    crop = (48, 64)
    data = SceneData("drawn", batch_size=4, crop=crop, last="drop")
    data.setup("fit")
    network = partial(DRN, 22, in_shape=(3, *crop), classes=data.classes, width=0.25)
    task = SemanticSegmentation(network, momentum_sgd, channels_last=True, seed=0)
    scenes = (torch.cat(parts) for parts in zip(*data.batches("train"), strict=True))
    return Case(task, data, bare_scenes(network(), *scenes, 4, crop), "bf16-mixed", 0.9)


CASES: dict[str, Callable[[argparse.Namespace], Case]] = {
    "resnet8": lambda options: image_case(8, options, bare=False),
    "resnet20": lambda options: image_case(20, options, bare=False),
    "image": lambda options: image_case(8, options, bare=True),
    "language": language_case,
    "segmentation": segmentation_case,
}


def compare(case: Case, steps: int, rounds: int) -> dict[str, Any]:
    """Milliseconds a step of either, and the ratio of their speeds."""
    duel = Duel(case.rival, steps)
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            max_steps=WARM_UP + steps * rounds, max_epochs=-1, precision=case.precision, default_root_dir=folder,
            callbacks=[ResumePoint(), ScaledRate(), duel], limit_val_batches=0, logger=False,
            enable_progress_bar=False, enable_model_summary=False, devices=1,
        )  # fmt: skip
        trainer.fit(case.task, datamodule=case.data)
    rounds = 1e3 * np.array(duel.seconds) / steps  # [rounds, (bsgap, rival), (wall, processor)]
    ratios = rounds[:, 1] / rounds[:, 0]
    step, rival = np.median(rounds[..., 0], 0).tolist()
    ratio, processor = np.median(ratios, 0).tolist()
    judged = case.target > 1 or step >= 5
    return {
        "bsgap_ms": step,
        "rival_ms": rival,
        "ratio": ratio,
        "lowest": ratios[:, 0].min().item(),
        "highest": ratios[:, 0].max().item(),
        "processor_ratio": processor,
        "target": case.target,
        "verdict": "not judged (a step under 5 ms)" if not judged else "met" if ratio >= case.target else "missed",
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--steps", type=int, default=20, help="of either in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--batch-size", type=int, default=128, help="of the cases with images")
    parser.add_argument("--no-compile", action="store_true", help="neither bsgap's image tasks nor the bare loop")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save", action="store_true", help="keep the result as results/training_speed.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    quiet()
    where = describe()
    print(", ".join(f"{key} {value}" for key, value in where.items()))
    found = {}
    for name in options.cases:
        torch.manual_seed(0)
        found[name] = row = compare(CASES[name](options), options.steps, options.rounds)
        print(
            f"{name:13} bsgap {row['bsgap_ms']:8.2f} ms a step  rival {row['rival_ms']:8.2f}  ratio {row['ratio']:.2f}"
            f" ({row['lowest']:.2f}-{row['highest']:.2f}), processor {row['processor_ratio']:.2f}"
            f"  target {row['target']}: {row['verdict']}",
            flush=True,
        )
    if options.save:
        settings = {name: getattr(options, name) for name in ("steps", "rounds", "images", "batch_size")}
        save("training_speed", where | settings | {"compiled": not options.no_compile, "cases": found})


if __name__ == "__main__":
    main()
