"""When memory ends: a smaller micro-batch and the same step, or one line that says what to set."""

import pytest
import pytorch_lightning as pl
import torch
from ramped import OwnData, OwnTask, TwoClosures, sizes, train
from torch import nn

from bsgap.callbacks import BatchSizeRamp
from bsgap.errors import UsageError
from bsgap.networks import GhostBatchNorm1d


class Small(nn.Linear):
    """A network on a device with room for so many examples."""

    room = 10

    def __init__(self):
        super().__init__(4, 1)
        self.sizes = []

    def forward(self, inputs):
        if len(inputs) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        self.sizes.append(len(inputs))
        return super().forward(inputs)


def weights(task):
    return torch.cat([parameter.detach().flatten() for parameter in task.network.parameters()])


def test_it_goes_on_in_halves_with_the_same_numbers():
    small, plenty = OwnTask(network=Small), OwnTask()
    ramp = BatchSizeRamp(factor=2, every=1)
    train(small, OwnData(), ramp)
    train(plenty, OwnData(), BatchSizeRamp(factor=2, every=1))
    assert sizes(small) == sizes(plenty)
    assert torch.allclose(weights(small), weights(plenty), atol=1e-6)
    assert set(small.network.sizes[12:]) == {8}
    assert small.micro_batch is None  # as it was


def test_what_it_came_down_to_is_in_the_checkpoint(tmp_path):
    class Saves(pl.Callback):
        def on_train_epoch_end(self, trainer, module):
            if trainer.current_epoch == 1:
                trainer.save_checkpoint(tmp_path / "some.ckpt")

    train(OwnTask(network=Small), OwnData(), BatchSizeRamp(factor=2, every=1), Saves())
    state = torch.load(tmp_path / "some.ckpt", weights_only=True)
    (found,) = [value for name, value in state["callbacks"].items() if name.startswith("BatchSizeRamp")]
    assert found["fit"]["micro_batch"] == 8
    resumed = OwnTask()
    parts = []
    resumed.loss = lambda inputs, targets: (
        parts.append(len(inputs)) or (resumed.network(inputs) - targets).square().mean()
    )
    train(resumed, OwnData(), BatchSizeRamp(factor=2, every=1), checkpoint=tmp_path / "some.ckpt")
    assert set(parts) == {8}


def test_other_errors_are_not_about_memory():
    class Broken(nn.Linear):
        def forward(self, inputs):
            raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        train(OwnTask(network=lambda: Broken(4, 1)), OwnData(), BatchSizeRamp(factor=2, every=1))


def test_batch_statistics_would_be_others():
    network = lambda: nn.Sequential(nn.BatchNorm1d(4), Small())  # noqa: E731
    with pytest.raises(UsageError) as error:
        train(OwnTask(network=network), OwnData(), BatchSizeRamp(factor=2, every=1))
    assert str(error.value) == (
        "memory ended with 16 examples in the network at once (CUDA out of memory. Tried to allocate 2.00 GiB). Set"
        " ramp.micro_batch, for instance to 8: with BatchNorm it is also the number of examples over which the"
        " statistics are taken, so it is not chosen for you."
    )


def test_ghost_batches_are_kept_whole_in_what_is_proposed():
    network = lambda: nn.Sequential(GhostBatchNorm1d(4, size=6), Small())  # noqa: E731
    with pytest.raises(
        UsageError, match=r"Set ramp.micro_batch, for instance to 6: its ghost batches stay what"
    ) as error:
        train(OwnTask(network=network), OwnData(), BatchSizeRamp(factor=2, every=1))
    assert "running averages move once for each part" in str(error.value)


def test_what_was_stated_is_not_halved():
    with pytest.raises(torch.OutOfMemoryError):
        train(OwnTask(network=Small), OwnData(), BatchSizeRamp(factor=2, every=1, micro_batch=16))


def test_without_a_ramp_nothing_is_halved():
    with pytest.raises(torch.OutOfMemoryError):
        train(OwnTask(network=Small), OwnData(16))


def test_one_example_that_is_too_much(monkeypatch):
    monkeypatch.setattr(Small, "room", 0)
    with pytest.raises(UsageError, match="memory ended with 1 examples in the network at once"):
        train(OwnTask(network=Small), OwnData(), BatchSizeRamp(factor=2, every=1))


def test_a_closure_that_is_asked_twice_is_halved_where_it_ends():
    small = OwnTask(network=Small, optimizer=TwoClosures)
    plenty = OwnTask(optimizer=TwoClosures)
    for task in (small, plenty):
        train(task, OwnData(), BatchSizeRamp(factor=2, every=1))
    assert torch.allclose(weights(small), weights(plenty), atol=1e-6)
