import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from bsgap.errors import UsageError
from bsgap.measures import evaluate


@pytest.mark.parametrize("sizes", [[10], [9, 1], [3, 4, 3]])
def test_mean_is_over_examples_not_over_batches(small, ragged, sizes):
    network, inputs, targets = small
    model = network(norm=True).eval()
    logits = model.double()(inputs.double())
    model.float()
    found = evaluate(model, ragged(inputs, targets, sizes))
    assert found.loss == pytest.approx(cross_entropy(logits, targets).item(), rel=1e-6)
    assert found.accuracy == pytest.approx((logits.argmax(1) == targets).double().mean().item())
    assert found.examples == 10


def test_tiny_losses_are_not_rounded_away():
    """log(1 + e^-z) of a confident example is below float32's rounding of 1 + e^-z."""
    gaps = torch.tensor([20.0, 30.0, 40.0])
    logits = torch.stack([gaps, torch.zeros(3)], 1)
    expected = sum(math.log1p(math.exp(-gap)) for gap in gaps.tolist()) / 3
    found = evaluate(nn.Identity(), [(logits, torch.zeros(3, dtype=torch.long))])
    assert found.loss == pytest.approx(expected, rel=1e-6)


def test_accuracy_counts_every_pixel():
    logits = torch.randn(2, 5, 3, 4)
    targets = torch.randint(0, 5, (2, 3, 4))
    found = evaluate(nn.Identity(), [(logits, targets)])
    assert found.accuracy == pytest.approx((logits.argmax(1) == targets).double().mean().item())
    assert found.examples == 2


def test_targets_that_are_no_classes_have_no_accuracy(small):
    network, inputs, _ = small
    targets = torch.randn(10, 3)
    found = evaluate(network(), [(inputs, targets)], loss=mse_loss)
    assert found.accuracy is None
    assert found.loss == pytest.approx(mse_loss(network()(inputs), targets).item())


def test_custom_loss_with_float32_weights_of_its_own(small):
    network, inputs, targets = small
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0]))
    assert evaluate(network(), [(inputs, targets)], loss=loss).loss == pytest.approx(
        loss(network()(inputs), targets).item()
    )


def test_inputs_may_be_nested(small):
    _, inputs, targets = small

    class Sum(nn.Module):
        def forward(self, x):
            return x["a"][0] + x["a"][1]

    batch = ({"a": [inputs[:, :3], inputs[:, 1:].bfloat16()]}, targets)
    expected = cross_entropy(inputs[:, :3] + inputs[:, 1:].bfloat16().float(), targets).item()
    assert evaluate(Sum(), [batch]).loss == pytest.approx(expected)


def test_half_weights_are_cast_up_for_the_evaluation(small):
    network, inputs, targets = small
    half = network(norm=True).half()
    expected = evaluate(network(norm=True).half().float(), [(inputs, targets)])
    with torch.autocast("cpu", torch.bfloat16):
        assert evaluate(half, [(inputs, targets)]) == expected


def test_matmul_precision_is_the_callers_afterwards(small):
    network, inputs, targets = small
    inside = []
    model = network()
    torch.set_float32_matmul_precision("medium")
    try:
        with model.register_forward_hook(lambda *_: inside.append(torch.get_float32_matmul_precision())):
            evaluate(model, [(inputs, targets)])
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert inside == ["highest"]


def test_device_may_be_named(small):
    network, inputs, targets = small
    assert evaluate(network(), [(inputs, targets)], device="cpu") == evaluate(network(), [(inputs, targets)])


@pytest.mark.parametrize("statistics", ["batch", "running", "recomputed"])
def test_leaves_everything_as_it_was(unusual, small, snapshot, statistics):
    before = snapshot(unusual)
    evaluate(unusual, iter([(small[1], small[2])]), statistics=statistics)
    before.check()


def test_no_batches(small):
    with pytest.raises(UsageError, match="batches is empty"):
        evaluate(small[0](), iter(()))
