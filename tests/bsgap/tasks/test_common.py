"""What the tasks share: the compiled network, and what a task must define."""

import pytest
import pytorch_lightning as pl
import torch
from probes import same
from torch import nn

from bsgap.data import ImageData
from bsgap.networks import SmallConvNet
from bsgap.tasks import ImageClassification
from bsgap.tasks.common import ManualTask


def fit(tmp_path, **options):
    task = ImageClassification(lambda: SmallConvNet(width=4), lambda p: torch.optim.SGD(p, 0.1), seed=0, **options)
    run = pl.Trainer(
        default_root_dir=tmp_path, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_model_summary=False, enable_progress_bar=False, max_epochs=1,
    )  # fmt: skip
    run.fit(task, ImageData(train_examples=40, batch_size=16, seed=1, validation_examples=8))
    return task


@pytest.fixture
def compilations(monkeypatch):
    """Count what `torch.compile` is given, and run it uncompiled: a C++ compiler may not be at hand."""
    calls, forwards = [], []

    class Compiled(nn.Module):
        def __init__(self, network):
            super().__init__()
            self._orig_mod = network

        def forward(self, inputs):
            forwards.append((len(inputs), self._orig_mod.training))
            return self._orig_mod(inputs)

    def compile(network, **options):
        calls.append((network, options))
        return Compiled(network)

    monkeypatch.setattr(torch, "compile", compile)
    return calls, forwards


def test_only_training_goes_through_the_compiled_network(tmp_path, compilations):
    calls, forwards = compilations
    plain = fit(tmp_path)
    assert not calls
    compiled = fit(tmp_path, compile=True, micro_batch=8)
    assert calls == [(compiled.network, {"dynamic": False})]
    assert forwards == [(8, True)] * 5  # 40 examples; the validation passes are not among them
    compiled = fit(tmp_path, compile=True)
    assert compiled.state_dict().keys() == plain.state_dict().keys()
    assert [name for name, _ in compiled.named_parameters()] == [name for name, _ in plain.named_parameters()]
    assert same(compiled.network.state_dict(), plain.network.state_dict())


@pytest.mark.parametrize("option", [None, False])
def test_absent_means_uncompiled(tmp_path, compilations, option):
    fit(tmp_path, compile=option)
    assert not compilations[0]


def test_channels_last_reaches_the_compiled_network(tmp_path, monkeypatch):
    seen = []

    def compile(network, **_):
        return lambda inputs: seen.append(inputs.is_contiguous(memory_format=torch.channels_last)) or network(inputs)

    monkeypatch.setattr(torch, "compile", compile)
    fit(tmp_path, compile=True, channels_last=True)
    assert seen == [True] * 3


def test_a_task_defines_its_loss():
    task = ManualTask(lambda: nn.Linear(2, 2), torch.optim.Adam)
    with pytest.raises(NotImplementedError, match="ManualTask must define loss or accumulate"):
        task.loss(torch.zeros(1, 2), torch.zeros(1))
