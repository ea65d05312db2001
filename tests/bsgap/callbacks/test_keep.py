"""Weights of the start, the end, declared epochs and first crossings of a level."""

import json
import math
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from probes import Dropped, same
from torch import nn

from bsgap.callbacks import KeepWeights, Point
from bsgap.data import ImageData
from bsgap.measures import evaluate


@pytest.fixture
def trainer(tmp_path):
    return SimpleNamespace(is_global_zero=True, default_root_dir=str(tmp_path))


def show(keep, trainer, points):
    """Show `(epoch, loss)` points, one step each; the weight of the network is the number of the step."""
    network = nn.Linear(1, 1)
    for step, (epoch, loss) in enumerate(points):
        nn.init.constant_(network.weight, step)
        keep.on_evaluation(trainer, network, Point(step, epoch, step, epoch == int(epoch), {"train_loss": loss}))
    return network


def step_of(trainer, name):
    state = torch.load(f"{trainer.default_root_dir}/weights/{name}.pt", weights_only=True)
    return state["weight"].item()


def test_the_first_crossing_of_each_level_is_kept(trainer):
    keep = KeepWeights(levels=[0.1, 1.0, 0.3])
    show(keep, trainer, [(0.0, 2.3), (0.5, 1.0), (1.0, 1.4), (1.5, 0.05), (2.0, 0.02), (2.5, math.nan)])
    assert {name: found["step"] for name, found in keep.kept.items()} == {"loss-1": 1, "loss-0.3": 3, "loss-0.1": 3}
    assert {name: step_of(trainer, name) for name in keep.kept} == {"loss-1": 1, "loss-0.3": 3, "loss-0.1": 3}
    assert keep.kept["loss-0.3"] == {"step": 3, "epoch": 1.5, "loss": 0.05}


def test_declared_epochs_are_kept_at_their_ends(trainer):
    keep = KeepWeights(epochs=[2, 0, 1])
    show(keep, trainer, [(0.0, 2.0), (0.5, 1.9), (1.0, 1.8), (1.5, 1.7), (2.0, 1.6), (3.0, 1.5)])
    assert {name: step_of(trainer, name) for name in keep.kept} == {"epoch-0": 0, "epoch-1": 2, "epoch-2": 4}


def test_ends(trainer):
    keep = KeepWeights(ends=True)
    network = show(keep, trainer, [(0.0, 2.0), (1.0, 1.0)])
    keep.on_train_end(trainer, network)
    assert {name: step_of(trainer, name) for name in keep.kept} == {"initial": 0, "final": 1}


def test_nothing_is_kept_unasked(trainer, tmp_path):
    keep = KeepWeights()
    keep.on_train_end(trainer, show(keep, trainer, [(0.0, 2.0), (1.0, 1.0)]))
    assert keep.kept == {}
    assert not list(tmp_path.iterdir())
    assert not keep.needs_curves


def test_what_was_kept_is_not_kept_again_after_a_resume(trainer):
    first = KeepWeights(levels=[1.0])
    show(first, trainer, [(0.0, 2.0), (1.0, 0.9)])
    second = KeepWeights(levels=[1.0])
    second.load_state_dict(first.state_dict())
    show(second, trainer, [(2.0, 0.5)] * 4)
    assert second.kept["loss-1"]["step"] == 1
    assert step_of(trainer, "loss-1") == 1


def test_a_run_keeps_the_weights_that_have_the_stated_losses(runs):
    """The loss that the outcome states is that of the kept weights on the fixed sample."""
    folder = runs.fit("run", "--keep.levels=[2.2,2.0]", "--keep.epochs=[1]", "--trainer.max_epochs=20",
                      "--model.init_args.schedule=null")  # fmt: skip
    kept = json.loads((folder / "outcome.json").read_text())["kept"]
    assert set(kept) == {"initial", "final", "epoch-1", "loss-2.2", "loss-2"}
    assert {path.stem for path in (folder / "weights").iterdir()} == set(kept)
    curves = pd.read_csv(folder / "metrics.csv").query("metric == 'train_loss'").set_index("step")["value"]
    assert kept["loss-2"]["step"] == curves.index[curves <= 2.0][0]
    assert kept["epoch-1"]["epoch"] == 1
    data = ImageData(**runs.values["data"]["init_args"])
    for name, found in kept.items():
        network = Dropped()
        network.load_state_dict(torch.load(folder / "weights" / f"{name}.pt", weights_only=True))
        assert evaluate(network, data.batches("sample")).loss == pytest.approx(found["loss"], rel=1e-6)
        assert curves[found["step"]] == found["loss"]
    initial, final = (torch.load(folder / "weights" / f"{name}.pt", weights_only=True) for name in ("initial", "final"))
    assert not same(initial, final)
