"""The fast gradient sign method against closed forms and a hand-written loop."""

import math
from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from bsgap.errors import UsageError
from bsgap.measures import evaluate, fgsm

SIZES = (0.0, 0.05, 0.2)


@pytest.fixture
def case():
    """A small convolutional network with BatchNorm and dropout, in training, and ragged batches."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, 3)
    ).train()
    model[1].running_mean.normal_()
    return model, [(torch.randn(k, 2, 4, 4), torch.randint(3, (k,))) for k in (5, 2)]


def by_hand(model, batches, epsilon, unit=1.0, bounds=(-math.inf, math.inf)):
    """Loss and accuracy, one example after the other."""
    model = deepcopy(model).eval()
    losses, right = [], []
    for inputs, targets in batches:
        for x, y in zip(inputs.split(1), targets.split(1), strict=True):
            leaf = x.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(cross_entropy(model(leaf), y), leaf)
            moved = torch.minimum(
                torch.maximum(x + epsilon * unit * gradient.sign(), torch.as_tensor(bounds[0])),
                torch.as_tensor(bounds[1]),
            )
            logits = model(moved)
            losses.append(cross_entropy(logits, y).item())
            right.append((logits.argmax() == y).item())
    return sum(losses) / len(losses), sum(right) / len(right)


def test_a_linear_classifier_has_a_closed_form():
    torch.manual_seed(0)
    weight = torch.randn(6, dtype=torch.float64)
    model = nn.Linear(6, 2, bias=False).double()
    model.weight.data = torch.stack([weight, -weight])
    inputs = torch.randn(40, 6, dtype=torch.float64)
    targets = torch.randint(2, (40,))
    # The margin 2·w·x (its sign flipped for class 1) falls by 2·ε·|w|_1, for every example alike.
    margins = 2 * (inputs @ weight) * (1 - 2 * targets)
    found = fgsm(model, [(inputs[:30], targets[:30]), (inputs[30:], targets[30:])], SIZES)
    for epsilon, loss, accuracy in zip(SIZES, found.losses, found.accuracies, strict=True):
        left = margins - 2 * epsilon * weight.abs().sum()
        assert loss == pytest.approx(torch.log1p(torch.exp(-left)).mean().item(), rel=1e-12)
        assert accuracy == (left > 0).double().mean().item()
    assert (found.examples, found.still, found.epsilons) == (40, 0.0, SIZES)


def test_it_is_what_a_loop_over_examples_finds(case):
    model, batches = case
    found = fgsm(model, batches, SIZES)
    for epsilon, loss, accuracy in zip(SIZES, found.losses, found.accuracies, strict=True):
        expected = by_hand(model, batches, epsilon)
        assert (loss, accuracy) == (pytest.approx(expected[0], rel=1e-5), pytest.approx(expected[1]))
    assert found.losses[0] < found.losses[1] < found.losses[2]


def test_without_an_attack_it_is_the_evaluation(case):
    model, batches = case
    found, plain = fgsm(model, batches, 0.0), evaluate(model, batches)
    assert found.loss == found.losses[0] == pytest.approx(plain.loss)
    assert found.accuracy == found.accuracies[0] == plain.accuracy


def test_epsilon_is_in_pixels_where_the_unit_says_so(case):
    model, _ = case
    pixels, targets = torch.rand(9, 2, 4, 4), torch.randint(3, (9,))
    mean, std = torch.tensor([0.4, 0.6]).view(2, 1, 1), torch.tensor([0.2, 0.5]).view(2, 1, 1)
    bounds = (0 - mean) / std, (1 - mean) / std
    batches = [((pixels - mean) / std, targets)]
    found = fgsm(model, batches, 0.1, unit=1 / std, low=bounds[0], high=bounds[1])
    # the same on pixels, with the normalisation a layer of the network
    layer = nn.Conv2d(2, 2, 1, groups=2)
    layer.weight.data, layer.bias.data = (1 / std).view(2, 1, 1, 1), (-mean / std).view(2)
    whole = fgsm(nn.Sequential(layer, model), [(pixels, targets)], 0.1, low=0.0, high=1.0)
    assert found.losses == pytest.approx(whole.losses, rel=1e-5)
    assert found.losses[0] == pytest.approx(by_hand(model, batches, 0.1, 1 / std, bounds)[0], rel=1e-5)
    assert fgsm(model, batches, 0.1, unit=1 / std).losses != pytest.approx(found.losses, rel=1e-4)  # the bounds bind


def test_one_bound_is_enough(case):
    model, batches = case
    assert fgsm(model, batches, 0.2, low=-0.1).losses == pytest.approx(
        fgsm(model, batches, 0.2, low=-0.1, high=1e9).losses
    )


def test_an_example_without_gradient_is_counted():
    model = nn.Sequential(nn.ReLU(), nn.Linear(2, 2))
    torch.nn.init.eye_(model[1].weight)
    inputs = torch.tensor([[-1.0, -2.0], [1.0, 2.0], [-1.0, 2.0]])
    assert fgsm(model, [(inputs, torch.tensor([0, 1, 1]))], 0.1).still == pytest.approx(1 / 3)


def test_a_very_sure_network_is_still_attacked():
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    inputs = torch.randn(8, 4)
    targets = model(inputs).argmax(1)
    model.weight.data, model.bias.data = 40 * model.weight, 40 * model.bias  # losses down to 1e-30
    assert fgsm(model, [(inputs, targets)], 0.1).still == 0


def test_the_model_and_its_random_state_stay_as_they_were(case):
    model, batches = case
    model[0].weight.requires_grad_(False)
    model[5].weight.grad = torch.ones_like(model[5].weight)
    before, state = deepcopy(model.state_dict()), torch.get_rng_state()
    fgsm(model, batches, SIZES)
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())
    assert [module.training for module in model] == [True] * 6
    assert torch.equal(torch.get_rng_state(), state)
    assert [p.requires_grad for p in model.parameters()] == [False, True, True, True, True, True]
    assert model[5].weight.grad.eq(1).all()
    assert all(not inputs.requires_grad and inputs.grad is None for inputs, _ in batches)
    with pytest.raises(UsageError):
        fgsm(model, [(torch.ones(2, 2, 4, 4).long(), torch.tensor([0, 1]))], 0.1)
    assert [p.requires_grad for p in model.parameters()] == [False, True, True, True, True, True]


@pytest.mark.parametrize("statistics", ["batch", "recomputed"])
def test_the_statistics_are_those_asked_for(case, statistics):
    model, batches = case
    found = fgsm(model, batches, 0.0, statistics=statistics)
    assert found.loss == pytest.approx(evaluate(model, batches, statistics=statistics).loss)
    assert found.statistics == statistics


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilons": -0.1}, r"epsilons must be one or more finite numbers, none below 0, got -0\.1\."),
        ({"epsilons": ()}, r"epsilons must be one or more finite numbers, none below 0, got \(\)\."),
        ({"epsilons": [0.1, math.nan]}, r"got \[0\.1, nan\]\."),
        ({"epsilons": 0.1, "low": 1.0, "high": 0.0}, r"low must not be above high, got 1\.0 and 0\.0\."),
        ({"epsilons": 0.1, "statistics": "none"}, "statistics must be one of"),
    ],
)
def test_options_that_mean_nothing_are_refused(case, options, message):
    model, batches = case
    with pytest.raises(UsageError, match=message):
        fgsm(model, batches, **options)


@pytest.mark.parametrize(
    ("model", "batches", "message"),
    [
        (nn.Linear(2, 2), [], "batches is empty"),
        (nn.Linear(2, 2), [(torch.ones(2, 2, dtype=torch.int64), torch.tensor([0, 1]))], "floating point, got torch.int64"),
        (nn.Embedding(3, 2), [((torch.ones(2),), torch.tensor([0, 1]))], "floating point, got tuple"),
        (nn.Linear(2, 2), [(torch.ones(2, 2), torch.ones(2, 2))], r"class indices \[m\], got outputs \(2, 2\)"),
        (nn.Linear(2, 2), [(torch.full((2, 2), math.nan), torch.tensor([0, 1]))], "the loss is nan without any attack"),
        (nn.Threshold(math.inf, 0.0), [(torch.ones(2, 2), torch.tensor([0, 1]))], None),
    ],
)  # fmt: skip
def test_what_cannot_be_attacked_is_refused(model, batches, message):
    if message is None:  # its gradient is 0, which is a result
        assert fgsm(model, batches, 0.1).still == 1
        return
    with pytest.raises(UsageError, match=message):
        fgsm(model, batches, 0.1)


def test_a_network_that_draws_random_numbers_is_refused():
    class Noisy(nn.Linear):
        def forward(self, inputs):
            return super().forward(inputs) + 0.01 * torch.randn(2)

    batches = [(torch.ones(2, 2), torch.tensor([0, 1]))]
    with pytest.raises(UsageError, match="the loss is not deterministic: twice the same examples gave") as error:
        fgsm(Noisy(2, 2), batches, 0.1)
    assert "\n" not in str(error.value)
    with pytest.raises(UsageError, match="the loss is not deterministic"):
        fgsm(nn.Linear(2, 2), batches, 0.1, loss=lambda *pair: cross_entropy(*pair) * (1 + torch.rand(())))


def test_a_network_that_ignores_its_inputs_is_refused():
    class Constant(nn.Module):
        def forward(self, inputs):
            return torch.zeros(len(inputs), 2)

    with pytest.raises(UsageError, match="does not depend on the inputs"):
        fgsm(Constant(), [(torch.ones(2, 2), torch.tensor([0, 1]))], 0.1)
