"""The options of a task that concern normalisation: ghost batches, and no decay on gains and biases."""

import copy

import pytest
import pytorch_lightning as pl
import torch
from probes import Dropped, same
from torch import nn
from torch.nn.functional import cross_entropy

from bsgap.callbacks import LinearApproximationError, ScaledRate, resume
from bsgap.data import ImageData
from bsgap.errors import Interrupted, UsageError
from bsgap.networks import GhostBatchNorm1d, LSTMLanguageModel, SmallConvNet
from bsgap.tasks import ImageClassification, LanguageModelling

DECAY = 0.1


def sgd(parameters):
    return torch.optim.SGD(parameters, 0.1, momentum=0.9, weight_decay=DECAY)


def network():
    return SmallConvNet(width=4)


def fit(tmp_path, *callbacks, batch_size=16, last="keep", epochs=2, **options):
    task = ImageClassification(options.pop("network", network), sgd, seed=0, **options)
    trainer = pl.Trainer(
        default_root_dir=tmp_path, accelerator="cpu", logger=False, enable_checkpointing=False, max_epochs=epochs,
        enable_model_summary=False, enable_progress_bar=False, callbacks=list(callbacks),
    )  # fmt: skip
    trainer.fit(task, ImageData(train_examples=40, batch_size=batch_size, last=last, sample_examples=20, seed=1))
    return task


def test_ghost_batches_start_from_the_same_weights_under_the_same_names():
    plain, ghost = (ImageClassification(network, seed=0, ghost_batch=size) for size in (None, 4))
    assert same(plain.state_dict(), ghost.state_dict())
    assert [name for name, _ in plain.named_parameters()] == [name for name, _ in ghost.named_parameters()]


def test_ghost_batches_are_micro_batches_in_one_pass(tmp_path):
    """Means over ghost batches of 8 are means over micro-batches of 8, up to the running averages and rounding."""
    ghost = fit(tmp_path, ghost_batch=8)
    micro = fit(tmp_path, micro_batch=8)
    for one, two in zip(ghost.parameters(), micro.parameters(), strict=True):
        assert torch.allclose(one, two, rtol=1e-3, atol=1e-4)
    assert not same(ghost.state_dict(), fit(tmp_path).state_dict())


def test_the_rest_of_an_epoch_may_be_smaller_than_a_ghost_batch(tmp_path):
    fit(tmp_path, ghost_batch=16)  # 40 = 16 + 16 + 8


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ghost_batch": 17}, "ghost_batch must be at most the 16 examples that a batch on one device has, got 17"),
        ({"ghost_batch": 9, "micro_batch": 8}, "the 8 examples that micro_batch lets through the network at once"),
    ],
)
def test_a_ghost_batch_that_does_not_fit_is_refused_before_training(tmp_path, options, words):
    with pytest.raises(UsageError, match=words):
        fit(tmp_path, **options)


@pytest.mark.parametrize("option", [{"ghost_batch": 4}, {"decay_norms": False}])
def test_a_network_without_norms_is_refused(option, tmp_path):
    name = next(iter(option))
    with pytest.raises(UsageError, match=f"{name}: the network has no"):
        fit(tmp_path, network=lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), **option)


def test_a_task_on_text_refuses_what_its_network_has_not():
    with pytest.raises(UsageError, match="ghost_batch: the network has no BatchNorm layer"):
        LanguageModelling(lambda: LSTMLanguageModel(20, embedding=4, hidden=4), ghost_batch=4)


def test_no_decay_on_norms_is_a_loop_by_hand(tmp_path):
    task = fit(tmp_path, decay_norms=False, batch_size=40, network=lambda: Dropped(width=8), micro_batch=None, epochs=0)
    model = copy.deepcopy(task.network)
    optimizer = task.configure_optimizers()
    start = [p.detach().clone() for p in model.parameters()]
    inputs, targets = torch.randn(40, 1, 8, 8), torch.arange(40) % 10
    task.network.eval()
    model.eval()
    cross_entropy(task.network(inputs), targets).backward()
    cross_entropy(model(inputs), targets).backward()
    optimizer.step()
    names = [name for name, _ in model.named_parameters()]
    for name, p, twin, before in zip(names, task.network.parameters(), model.parameters(), start, strict=True):
        decay = 0 if name.startswith("layers.2.") else DECAY
        assert torch.allclose(p, before - 0.1 * (twin.grad + decay * before), atol=1e-6)


@pytest.mark.parametrize("option", [None, True])
def test_absent_or_true_is_the_optimizer_as_it_was(option):
    task = ImageClassification(network, sgd, seed=0, decay_norms=option)
    (group,) = task.configure_optimizers().param_groups
    assert all(mine is theirs for mine, theirs in zip(group["params"], task.parameters(), strict=True))


def test_callbacks_take_two_groups(tmp_path):
    rate = ScaledRate("linear", base_batch_size=8, warmup_epochs=1)
    error = LinearApproximationError(per_doubling=1, step="optimizer", examples=20)
    task = fit(tmp_path, rate, error, decay_norms=False, ghost_batch=8)
    assert [group["lr"] for group in task.trainer.optimizers[0].param_groups] == [0.2, 0.2]
    assert error.results[-1].rate == 0.2


@pytest.fixture
def options(runs):
    runs.values["model"]["init_args"] |= {"ghost_batch": 4, "decay_norms": False}
    runs.values["model"]["init_args"]["optimizer"] = {
        "class_path": "bsgap.optim.LARS", "init_args": {"lr": 1.0, "weight_decay": 0.01},
    }  # fmt: skip
    return runs


@pytest.mark.parametrize("step", [2, 4])
def test_an_interrupted_run_with_all_of_it_continues_to_the_bit(options, step, final, monkeypatch):
    runs = options
    expected = runs.fit("whole")
    asked = []
    monkeypatch.setattr(resume, "should_stop", lambda: asked.append(None) or len(asked) == step)
    with pytest.raises(Interrupted):
        runs.fit("stopped")
    monkeypatch.undo()
    folder = runs.fit("stopped")
    assert same(final(folder), final(expected))
    assert (folder / "metrics.csv").read_bytes() == (expected / "metrics.csv").read_bytes()


def test_the_command_refuses_a_ghost_batch_in_one_line(runs, capsys):
    assert runs.main("run", "--model.init_args.ghost_batch=64") == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert "ghost_batch must be at most the 8 examples" in told[-1]


def test_layers_are_those_of_ghost_batches():
    task = ImageClassification(lambda: Dropped(width=8), seed=0, ghost_batch=4)
    (layer,) = [module for module in task.modules() if isinstance(module, GhostBatchNorm1d)]
    assert (layer.size, layer.updates) == (4, "step")
