import pytest
import torch
from torch import nn

from bsgap.errors import UsageError
from bsgap.measures import difference, random_direction
from bsgap.measures.directions import checked
from bsgap.networks import CifarResNet, LSTMLanguageModel


def hand_normalised(model, seed, normalise):
    """A second, plain way: filter by filter, over the entries as drawn."""
    drawn = random_direction(model, seed, "none")
    for name, parameter in model.named_parameters():
        if parameter.ndim <= 1:
            continue
        parts = zip(drawn[name], parameter, strict=True) if normalise == "filter" else [(drawn[name], parameter)]
        for piece, weight in parts:
            piece.mul_(weight.norm() / (piece.norm() + 1e-10))
    return drawn


@pytest.mark.parametrize("normalise", ["filter", "layer"])
@pytest.mark.parametrize(
    "model",
    [CifarResNet(8, width=0.25), LSTMLanguageModel(11, embedding=4, hidden=5, layers=2), nn.Conv1d(3, 4, 5)],
    ids=["resnet", "lstm", "conv1d"],
)
def test_each_filter_has_the_norm_of_its_weight(model, normalise):
    found = random_direction(model, 3, normalise)
    with torch.no_grad():
        expected = hand_normalised(model, 3, normalise)
    assert list(found) == [name for name, _ in model.named_parameters()]
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)


def test_biases_and_normalisation_layers_stand_still_unless_asked():
    model = nn.Sequential(nn.Linear(4, 6), nn.LayerNorm([2, 3]), nn.BatchNorm1d(6))
    found = random_direction(model)
    assert [name for name, value in found.items() if value.any()] == ["0.weight"]
    moved = random_direction(model, norms=True)
    assert all(value.any() for name, value in moved.items() if name != "1.bias" and name != "2.bias")
    torch.testing.assert_close(moved["1.weight"].norm(), model[1].weight.norm())
    torch.testing.assert_close(moved["0.bias"].norm(), model[0].bias.norm())
    assert torch.equal(moved["0.weight"], found["0.weight"])  # what else is moved changes nothing of it


def test_entries_are_standard_normal_and_follow_the_seed_alone():
    model = nn.Linear(200, 100)
    found = random_direction(model, 1, "none")["weight"]
    assert abs(found.mean()) < 0.03
    assert found.std() == pytest.approx(1, abs=0.02)
    torch.manual_seed(9)
    assert torch.equal(random_direction(model, 1, "none")["weight"], found)
    other = random_direction(model, 2, "none")["weight"]
    assert abs(nn.functional.cosine_similarity(found.flatten(), other.flatten(), dim=0)) < 0.05


def test_a_filter_of_zeros_stays_where_it_is():
    model = nn.Linear(3, 2)
    model.weight.data[0] = 0
    found = random_direction(model)["weight"]
    assert not found[0].any()
    assert found.isfinite().all()


def test_frozen_and_tied_parameters():
    model = LSTMLanguageModel(11, embedding=4, hidden=4, layers=1, tied=True)
    model.lstm.weight_hh_l0.requires_grad_(False)
    names = list(random_direction(model))
    assert "lstm.weight_hh_l0" not in names
    assert "embedding.weight" in names
    assert "decoder.weight" not in names


def test_half_precision_weights_get_a_float32_direction():
    model = nn.Linear(3, 2).bfloat16()
    assert random_direction(model)["weight"].dtype == torch.float32
    assert random_direction(model.double())["weight"].dtype == torch.float64


def test_difference_of_states():
    one, other = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    other.weight.data += 2
    other.running_mean += 1
    found = difference(one.state_dict(), other.state_dict())
    assert found.keys() == {"weight", "bias"}
    assert torch.equal(found["weight"], torch.full((3,), 2.0))
    assert checked(one, found).keys() == found.keys()


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda m: random_direction(m, normalise="filters"), "normalise must be one of filter, layer, none, got 'filters'"),
        (lambda m: random_direction(nn.ReLU()), "no trainable parameters"),
        (lambda m: difference(m.state_dict(), nn.Linear(3, 5).state_dict()), r"one shape in both states, got \(5, 4\) and"),
        (lambda m: difference({}, m.state_dict()), r"got nothing and \(5, 4\)"),
        (lambda m: checked(m, [1.0]), "must be a mapping from parameter names to tensors, got list"),
        (lambda m: checked(m, {"weight": m.weight}), "lacks the parameter 'bias'"),
        (lambda m: checked(m, random_direction(m) | {"extra": m.bias}), "has 'extra', which the model has not"),
        (lambda m: checked(m, random_direction(nn.Linear(3, 5))), r"must be \(5, 4\) for the parameter 'weight', got \(5, 3\)"),
        (lambda m: checked(m, {"weight": 1.0, "bias": m.bias}), r"must be \(5, 4\) .* got float"),
        (lambda m: checked(m, {"weight": m.weight / 0, "bias": m.bias}), "not finite, for the parameter 'weight'"),
    ],
)  # fmt: skip
def test_bad_input_gets_one_line(act, message):
    with pytest.raises(UsageError, match=message) as found:
        act(nn.Linear(4, 5))
    assert "\n" not in str(found.value)
