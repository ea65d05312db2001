"""Counts of pixels against scikit-learn, torchmetrics, and a square that is counted by hand."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, jaccard_score
from torch import nn
from torch.nn.functional import cross_entropy, one_hot
from torchmetrics.classification import MulticlassJaccardIndex

from bsgap.errors import UsageError
from bsgap.tasks import class_table
from bsgap.tasks.pixels import count_pixels

CLASSES = 5


class Given(nn.Module):
    """Its inputs are the logits."""

    def forward(self, inputs):
        return inputs


def batches(labels=CLASSES, seed=0):
    """Logits and masks in batches of 3 and 4, about a fifth of the pixels without a label."""
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(7, CLASSES, 6, 9, generator=draw)
    masks = torch.randint(0, labels, (7, 6, 9), generator=draw)
    masks[torch.rand(7, 6, 9, generator=draw) < 0.2] = 255
    return list(zip(logits.split([3, 4]), masks.split([3, 4]), strict=True))


def counts(pairs, model=None, statistics="running"):
    return count_pixels(model or Given(), pairs, ignore_label=255, statistics=statistics)


@pytest.mark.parametrize("labels", [CLASSES, 3])
def test_against_other_libraries(labels):
    pairs = batches(labels)
    logits, masks = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    guess, kept = logits.argmax(1), masks != 255
    truth, guessed = masks[kept].numpy(), guess[kept].numpy()
    found = counts(pairs)
    assert np.array_equal(found.confusion.numpy(), confusion_matrix(truth, guessed, labels=range(CLASSES)))
    result = found.evaluation()
    assert result.accuracy == pytest.approx(accuracy_score(truth, guessed), rel=1e-12)
    assert result.per_class == pytest.approx(jaccard_score(truth, guessed, average=None), rel=1e-12)
    metric = MulticlassJaccardIndex(CLASSES, ignore_index=255)
    assert result.miou == pytest.approx(metric(guess, masks).item(), rel=1e-6)
    flat = logits.movedim(1, -1)[kept].double()
    assert result.loss == pytest.approx(cross_entropy(flat, masks[kept]).item(), rel=1e-12)
    assert (result.examples, sum(result.pixels)) == (7, len(truth))
    assert result.values() == {"loss": result.loss, "accuracy": result.accuracy, "miou": result.miou}


def test_by_hand():
    """Labels 0 0 1 -, guesses 0 1 1 2: of class 0 one of two, of class 1 one of two, class 2 nowhere that counts."""
    masks = torch.tensor([[[0, 0], [1, 255]]])
    logits = 50.0 * one_hot(torch.tensor([[[0, 1], [1, 2]]]), 4).movedim(-1, 1)
    result = counts([(logits, masks)]).evaluation()
    assert result.per_class[:2] == (0.5, 0.5)
    assert all(math.isnan(value) for value in result.per_class[2:])
    assert result.miou == 0.5
    assert result.accuracy == pytest.approx(2 / 3)
    assert result.pixels == (2, 1, 0, 0)
    assert result.loss == pytest.approx(50 / 3)  # one pixel of three is wrong, by 50 nats
    guessed_too = counts([(logits, torch.tensor([[[0, 0], [1, 1]]]))]).evaluation()
    assert guessed_too.per_class[2] == 0  # a class that is only guessed counts
    assert guessed_too.miou == pytest.approx((1 / 2 + 1 / 3 + 0) / 3)


def test_counts_add_up_and_do_not_depend_on_the_batches():
    pairs = batches()
    whole = counts(pairs).evaluation()
    parts = counts(pairs[:1]) + counts(pairs[1:])
    images = [(image[None], mask[None]) for images, masks in pairs for image, mask in zip(images, masks, strict=True)]
    for other in (parts.evaluation(), counts(images).evaluation()):
        assert other.loss == pytest.approx(whole.loss, rel=1e-12)
        assert other.per_class == whole.per_class


def test_batches_are_read_one_at_a_time():
    held = []

    def stream():
        for pair in batches():
            held.append(pair)
            yield pair
            assert len(held) == 1
            held.clear()

    assert counts(stream()).evaluation() == counts(batches()).evaluation()


def test_a_batch_without_labels_adds_nothing_and_only_such_have_no_mean():
    pairs = batches()
    empty = (torch.randn(2, CLASSES, 6, 9), torch.full((2, 6, 9), 255))
    result, expected = counts([*pairs, empty]).evaluation(), counts(pairs).evaluation()
    assert (result.loss, result.per_class) == (expected.loss, expected.per_class)
    assert result.examples == 9
    with pytest.raises(UsageError, match="no pixel of the batches is labelled"):
        counts([empty]).evaluation()


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ((torch.randn(1, 3, 2, 2), torch.full((1, 2, 2), 3)), "a mask has the label 3, and .* classes 0 to 2"),
        ((torch.randn(1, 3, 1, 1), torch.zeros(1, 2, 2).long()), r"masks \[1, 2, 2\], got \[1, 3, 1, 1\]"),
        ((torch.randn(1, 3), torch.zeros(1, 2, 2).long()), "Use a segmentation network"),
    ],
)
def test_batches_that_cannot_be_counted(pair, words):
    with pytest.raises(UsageError, match=words) as raised:
        counts([pair])
    assert "\n" not in str(raised.value)


def test_no_batches():
    with pytest.raises(UsageError, match="batches is empty"):
        counts([])


@pytest.mark.parametrize("statistics", ["batch", "running"])
def test_dropout_is_off_norms_are_as_stated_and_the_model_is_untouched(statistics):
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(CLASSES)
    model = nn.Sequential(norm, nn.Dropout(0.9)).train()
    norm.running_mean.fill_(3.0)
    before = [buffer.clone() for buffer in model.buffers()]
    found = counts(batches(), model, statistics).evaluation()
    norm.train(statistics == "batch")
    plain = nn.BatchNorm2d(CLASSES, track_running_stats=False) if statistics == "batch" else norm.eval()
    assert found == counts(batches(), plain).evaluation()
    assert all(torch.equal(one, other) for one, other in zip(before, model.buffers(), strict=True))
    assert model.training
    assert model[1].training


def test_class_table():
    result = counts(batches(labels=3)).evaluation()
    table = class_table(result, ["sky", "road", "tree", "car", "pole"])
    assert list(table.columns) == ["class", "pixels", "share", "iou"]
    assert list(table["class"]) == ["sky", "road", "tree", "car", "pole"]
    assert table["share"].sum() == pytest.approx(1)
    assert table["iou"].tolist() == list(result.per_class)
    assert table["pixels"].tolist() == list(result.pixels)
    with pytest.raises(UsageError, match="as many as the 5 classes, got 2"):
        class_table(result, ["sky", "road"])
