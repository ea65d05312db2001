"""Segmentation under Lightning: steps against a hand-written loop over labelled pixels, evaluation, exact resume."""

import math

import pytest
import pytorch_lightning as pl
import torch
from probes import same
from torch import nn
from torch.nn.functional import cross_entropy

from bsgap.callbacks import resume
from bsgap.data import SceneData
from bsgap.errors import Interrupted, UsageError
from bsgap.tasks import SemanticSegmentation

CLASSES = 8


def plain(classes=CLASSES):
    """A map of logits, without BatchNorm."""
    return nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, classes, 3, padding=1))


def normed():
    return nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, CLASSES, 1))


def sgd(parameters):
    return torch.optim.SGD(parameters, 0.2, momentum=0.9)


def data(**options):
    return SceneData(**{"batch_size": 7, "seed": 1, "shrink": 4, "train_examples": 20, "crop": (9, 11), **options})


def trainer(tmp_path, **options):
    return pl.Trainer(
        default_root_dir=tmp_path, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_model_summary=False, enable_progress_bar=False, **{"max_epochs": 2, **options},
    )  # fmt: skip


def ragged(examples=6, seed=0):
    """A float64 batch in which image k has about k/examples of its pixels labelled; the first has none."""
    draw = torch.Generator().manual_seed(seed)
    inputs = torch.randn(examples, 3, 5, 6, generator=draw, dtype=torch.float64)
    masks = torch.randint(0, CLASSES, (examples, 5, 6), generator=draw)
    share = torch.arange(examples)[:, None, None] / examples
    masks[torch.rand(examples, 5, 6, generator=draw) >= share] = 255
    return inputs, masks


def mean_over_labelled(network, inputs, masks):
    """The definition: cross-entropy of each labelled pixel, and their mean."""
    logits = network(inputs).movedim(1, -1)[masks != 255]
    return cross_entropy(logits, masks[masks != 255])


def gradient(task, batch):
    """What a step accumulates, without a trainer."""
    task.manual_backward = lambda loss: loss.backward()
    task.zero_grad()
    loss = task.accumulate(batch)
    return loss, [parameter.grad.clone() for parameter in task.network.parameters()]


def test_training_is_a_loop_by_hand(tmp_path):
    task = SemanticSegmentation(plain, sgd, seed=0)
    network = plain()
    network.load_state_dict(task.network.state_dict())
    fit = trainer(tmp_path)
    fit.fit(task, data())
    optimizer = sgd(network.parameters())
    scenes = data()
    scenes.setup("fit")
    for _ in range(2):
        for inputs, masks in scenes.train_dataloader():
            optimizer.zero_grad()
            mean_over_labelled(network, inputs, masks).backward()
            optimizer.step()
    assert fit.global_step == 6
    for name, value in network.state_dict().items():
        torch.testing.assert_close(task.network.state_dict()[name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("size", [None, 1, 2, 4, 6, 9])
def test_micro_batches_give_the_gradient_of_the_mean_over_all_labelled_pixels(size):
    task = SemanticSegmentation(plain, sgd, micro_batch=size, seed=0).double()
    batch = ragged()
    assert (batch[1][0] == 255).all()
    loss, found = gradient(task, batch)
    expected_loss = mean_over_labelled(task.network, *batch)
    expected = torch.autograd.grad(expected_loss, list(task.network.parameters()))
    assert loss.item() == pytest.approx(expected_loss.item(), rel=1e-12)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-14)


def test_ranks_with_unequal_labels_average_to_the_gradient_of_the_batch(monkeypatch):
    inputs, masks = ragged()
    task = SemanticSegmentation(plain, sgd, micro_batch=2, seed=0).double()
    _, expected = gradient(task, (inputs, masks))
    mean = (masks != 255).sum() / 2
    monkeypatch.setattr(task, "_over_ranks", lambda count: mean)
    halves = [gradient(task, (inputs[part], masks[part]))[1] for part in (slice(0, 3), slice(3, 6))]
    for whole, left, right in zip(expected, *halves, strict=True):
        torch.testing.assert_close((left + right) / 2, whole, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("size", [None, 1])
def test_a_batch_without_labels_is_a_step_of_nothing(size):
    task = SemanticSegmentation(plain, sgd, micro_batch=size, seed=0).double()
    inputs, masks = ragged()
    loss, found = gradient(task, (inputs, torch.full_like(masks, 255)))
    assert loss.item() == 0
    assert all(not value.any() for value in found)
    assert task.criterion(task(inputs), torch.full_like(masks, 255)).item() == 0


def test_another_ignore_label():
    inputs, masks = ragged()
    task = SemanticSegmentation(plain, sgd, seed=0, ignore_label=CLASSES - 1).double()
    masks[masks == 255] = CLASSES - 1
    kept = masks != CLASSES - 1
    expected = cross_entropy(task(inputs).movedim(1, -1)[kept], masks[kept])
    assert task.loss(inputs, masks).item() == pytest.approx(expected.item(), rel=1e-12)
    assert sum(task.evaluate([(inputs, masks)]).pixels) == int(kept.sum())


@pytest.mark.parametrize("statistics", ["batch", "running"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_validation_and_test_are_what_evaluate_finds(tmp_path, statistics, precision):
    task = SemanticSegmentation(normed, sgd, statistics=statistics, seed=0, channels_last=True)
    scenes = data(validation_examples=5, evaluation_batch_size=3)
    run = trainer(tmp_path, precision=precision)
    run.fit(task, scenes)
    for stage, found in (
        ("validation", run.validate(task, scenes, verbose=False)[0]),
        ("test", run.test(task, scenes, verbose=False)[0]),
    ):
        expected = task.evaluate(scenes.batches(stage))
        assert expected.examples == {"validation": 5, "test": 16}[stage]
        assert set(found) == {f"{stage}_{name}" for name in expected.values()}
        for name, value in expected.values().items():
            assert found[f"{stage}_{name}"] == pytest.approx(value, rel=1e-6)


def test_streamed_batches_are_evaluated_as_listed_ones():
    task = SemanticSegmentation(plain, sgd, seed=0)
    kept, streamed = (data(resident=resident).batches("test") for resident in ("always", "never"))
    assert task.evaluate(streamed) == task.evaluate(kept)


def test_a_loss_in_bf16_is_summed_in_float32():
    task = SemanticSegmentation(plain, sgd, seed=0)
    inputs, masks = (part.float() if part.is_floating_point() else part for part in ragged())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert task(inputs).dtype == torch.bfloat16
        loss = task.loss(inputs, masks)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(task.loss(inputs, masks).item(), rel=0.02)


def test_training_learns_more_than_the_most_frequent_class(tmp_path):
    scenes = data(crop=None, train_examples=None, batch_size=8)
    task = SemanticSegmentation(normed, lambda p: torch.optim.Adam(p, 0.03), statistics="batch", seed=0)
    trainer(tmp_path, max_epochs=10).fit(task, scenes)
    found = task.evaluate(scenes.batches("test"))
    share = max(found.pixels) / sum(found.pixels)
    assert found.loss < math.log(CLASSES)
    assert found.accuracy > share + 0.2
    assert 1 / CLASSES < found.miou < found.accuracy


def test_a_network_that_does_not_fit_the_data_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"gives 5 classes and the data have 8. Set the network's classes to 8"):
        trainer(tmp_path).fit(SemanticSegmentation(lambda: plain(5), sgd), data())
    pooled = SemanticSegmentation(lambda: nn.Sequential(plain(), nn.MaxPool2d(2)), sgd)
    with pytest.raises(UsageError, match=r"masks \[7, 9, 11\], got \[7, 8, 4, 5\]"):
        trainer(tmp_path).fit(pooled, data())


@pytest.mark.parametrize("options", [{"micro_batch": 0}, {"gradient_clip": 0.0}, {"statistics": "recomputed"}])
def test_options_out_of_range(options):
    (name,) = options
    with pytest.raises(UsageError, match=f"{name} must be"):
        SemanticSegmentation(plain, **options)


def test_an_interrupted_run_continues_to_the_same_bits(runs, final, monkeypatch):
    """The recipe of the other resume tests, with scenes: crops and flips, BatchNorm, momentum, micro-batches."""
    runs.values["model"]["class_path"] = "bsgap.tasks.SemanticSegmentation"
    runs.values["model"]["init_args"]["network"] = {
        "class_path": "bsgap.networks.DRN", "init_args": {"width": 0.0625, "in_shape": [3, 8, 16], "classes": 8}
    }  # fmt: skip
    runs.values["model"]["init_args"]["micro_batch"] = 3
    runs.values["data"] = {
        "class_path": "bsgap.data.SceneData",
        "init_args": {"batch_size": 5, "train_examples": 6, "test_examples": 3, "shrink": 4, "crop": [8, 16],
                      "crops_per_image": 2, "sample_examples": 4},
    }  # fmt: skip
    whole = runs.fit("whole")
    for step in (1, 3, 4):
        asked = []
        monkeypatch.setattr(resume, "should_stop", lambda asked=asked, step=step: asked.append(0) or len(asked) == step)
        with pytest.raises(Interrupted, match=f"stopped at step {step}"):
            runs.fit(f"at-{step}")
        monkeypatch.setattr(resume, "should_stop", lambda: False)
        folder = runs.fit(f"at-{step}")
        assert same(final(folder), final(whole))
        assert (folder / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()
    assert "test_miou" in (whole / "metrics.csv").read_text()
