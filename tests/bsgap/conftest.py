import copy
import os
from pathlib import Path

import pytest
import torch
import yaml

from bsgap import cli

# Everything that draws: shuffling, augmentation, dropout; everything with a state: momentum, a schedule, BatchNorm.
# 40 examples in batches of 16, 16 and 8: three steps an epoch, and micro-batches.
RECIPE = {
    "seed_everything": 3,
    "model": {
        "class_path": "bsgap.tasks.ImageClassification",
        "init_args": {
            "network": {"class_path": "probes.Dropped"},
            "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1, "momentum": 0.9}},
            "schedule": {"class_path": "torch.optim.lr_scheduler.StepLR", "init_args": {"step_size": 2, "gamma": 0.7}},
            "micro_batch": 8,
            "gradient_clip": 1.0,
        },
    },
    "data": {
        "class_path": "bsgap.data.ImageData",
        "init_args": {
            "source": "digits",
            "train_examples": 40,
            "test_examples": 50,
            "batch_size": 16,
            "augment": "crop-flip",
            "sample_examples": 30,
            "evaluation_batch_size": 20,
        },
    },
    "trainer": {"max_epochs": 2, "precision": "32-true", "accelerator": "cpu", "enable_progress_bar": False},
    "curves": {"per_epoch": 2},
    "keep": {"ends": True},
    "threads": 1,
}


@pytest.fixture(autouse=True)
def _environment():
    """As it was before: Lightning's seed_everything leaves its seed in the environment."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


class Runs:
    """Runs of one recipe in folders of their own."""

    def __init__(self, root):
        self.root = root
        self.values = copy.deepcopy(RECIPE)

    def arguments(self, name, *options, command="fit"):
        """Arguments of `bsgap` for a run in the folder `name`."""
        path = self.root / "recipe.yaml"
        path.write_text(yaml.safe_dump(self.values))
        return [command, f"--config={path}", f"--trainer.default_root_dir={self.root / name}", *options]

    def fit(self, name, *options, callbacks=()):
        """Train in this process, without the command's handling of errors and signals; the folder."""
        cli.BsgapCLI(self.arguments(name, *options), callbacks=callbacks)
        return self.root / name

    def main(self, name, *options, command="fit"):
        """What the command `bsgap` does: its exit code."""
        return cli.main(self.arguments(name, *options, command=command))


@pytest.fixture
def runs(tmp_path):
    return Runs(tmp_path)


@pytest.fixture
def final():
    """The weights that a run ended with."""

    def load(folder: Path):
        return torch.load(folder / "weights" / "final.pt", weights_only=True)

    return load
