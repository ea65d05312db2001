"""The norm of the weights along a run, which `Curves` writes where it is asked to."""

import pytest
import torch
from pytorch_lightning import Trainer, seed_everything

from bsgap.callbacks import Curves
from bsgap.data import ImageData
from bsgap.networks import SmallConvNet
from bsgap.tasks import ImageClassification


def fitted(tmp_path, **options):
    seed_everything(0)
    curves = Curves(test_every=0, **options)
    task = ImageClassification(lambda: SmallConvNet(in_shape=(1, 8, 8), classes=10, width=4))
    data = ImageData("digits", 50, train_examples=100, sample_examples=20)
    trainer = Trainer(
        max_epochs=2, callbacks=[curves], logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, accelerator="cpu", default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(task, data)
    return curves, task


def test_the_norm_is_that_of_the_weights_at_each_evaluation(tmp_path):
    curves, task = fitted(tmp_path, weight_norm=True)
    norms = {step: value for step, _, _, metric, value in curves.rows if metric == "weight_norm"}
    assert list(norms) == [0, 2, 4]
    weights = [p.detach().double().flatten() for p in task.network.parameters() if p.ndim > 1]
    assert norms[4] == pytest.approx(torch.cat(weights).norm().item(), rel=1e-12)
    assert len(set(norms.values())) == 3


def test_it_is_off_unless_asked_for_and_changes_nothing_else(tmp_path):
    plain, trained = fitted(tmp_path)
    watched, other = fitted(tmp_path, weight_norm=True)
    assert [row for row in watched.rows if row[3] != "weight_norm"] == plain.rows
    states = trained.state_dict(), other.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
