import math
from dataclasses import asdict

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from bsgap.errors import UsageError
from bsgap.measures import difference, evaluate, random_direction, state_path, surface
from bsgap.measures.modes import evaluation_mode
from bsgap.measures.shortcuts import shortcuts
from bsgap.networks import CifarResNet, LSTMLanguageModel

ALPHAS, BETAS = [-0.5, 0.0, 0.25], [-0.3, 0.0]


class LastWord(nn.Module):
    """An LSTM that classifies, with dropout."""

    def __init__(self):
        super().__init__()
        self.network = LSTMLanguageModel(11, embedding=6, hidden=6, layers=2, dropout=0.5)

    def forward(self, tokens):
        return self.network(tokens)[0][:, -1]


class Flat(nn.Module):
    """Images that are taken apart by `view`, which channels-last images refuse."""

    def __init__(self):
        super().__init__()
        self.convolution, self.norm, self.head = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Linear(144, 3)

    def forward(self, images):
        return self.head(torch.relu(self.norm(self.convolution(images))).view(len(images), -1))


class Twice(nn.Module):
    """The outputs of a layer go into BatchNorm and elsewhere, which nothing can be folded into."""

    def __init__(self):
        super().__init__()
        self.layer, self.norm, self.head = nn.Linear(5, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)

    def forward(self, inputs):
        hidden = self.layer(inputs)
        return self.head(torch.tanh(self.norm(hidden)) + hidden)


def images(count, side=8):
    draws = torch.Generator().manual_seed(count)
    return torch.randn(count, 3, side, side, generator=draws), torch.randint(0, 3, (count,), generator=draws)


def vectors(count):
    draws = torch.Generator().manual_seed(count)
    return torch.randn(count, 5, generator=draws), torch.randint(0, 3, (count,), generator=draws)


def words(count):
    draws = torch.Generator().manual_seed(count)
    return torch.randint(0, 11, (count, 4), generator=draws), torch.randint(0, 11, (count,), generator=draws)


CASES = {
    "resnet": (lambda: CifarResNet(8, (3, 8, 8), 3, width=0.5), images, (7, True, 16)),
    "view": (Flat, images, (1, False, 16)),
    "twice": (Twice, vectors, (0, False, 16)),
    "dropout": (
        lambda: nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 3)),
        vectors, (1, False, 16),
    ),
    "lstm": (LastWord, words, (0, False, 16)),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch):
    monkeypatch.setattr("bsgap.measures.shortcuts._CACHE", 1)


def built(make):
    """A network whose running averages are not those of any batch."""
    with torch.random.fork_rng():
        torch.manual_seed(4)
        model = make()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                nn.init.normal_(module.running_mean, 0, 0.3)
                nn.init.uniform_(module.running_var, 0.5, 2)
                nn.init.normal_(module.weight, 1, 0.3)
                nn.init.normal_(module.bias, 0, 0.3)
    return model


def one_pass_a_point(model, splits, directions, alphas, betas, **options):
    """The plain loop: move, evaluate, move back."""
    start = {name: parameter.data for name, parameter in model.named_parameters()}
    found = {name: [] for name in splits}
    for alpha in alphas:
        for name in splits:
            found[name].append([])
        for beta in betas:
            for name, parameter in model.named_parameters():
                parameter.data = start[name] + alpha * directions[0][name] + beta * directions[1][name]
            for name, batches in splits.items():
                found[name][-1].append(evaluate(model, batches, **options))
    for name, parameter in model.named_parameters():
        parameter.data = start[name]
    return found


@pytest.mark.parametrize("statistics", ["running", "batch", "recomputed"])
@pytest.mark.parametrize("case", CASES)
def test_equals_one_pass_a_point(case, statistics):
    make, data, _ = CASES[case]
    model = built(make)
    splits = {"train": [data(50), data(21)], "test": [data(20)]}
    directions = [random_direction(model, seed, norms=statistics == "running") for seed in (0, 1)]
    only = {"train": splits["train"]} if statistics == "recomputed" else splits  # the loop recomputes on each
    found = surface(model, only, directions, ALPHAS, BETAS, statistics=statistics)
    expected = one_pass_a_point(model, only, directions, ALPHAS, BETAS, statistics=statistics)
    for name in only:
        for i, row in enumerate(expected[name]):
            for j, value in enumerate(row):
                assert found.losses[name][i][j] == pytest.approx(value.loss, rel=1e-4)
                assert found.accuracies[name][i][j] == pytest.approx(value.accuracy, abs=0.02)
    assert found.statistics == statistics
    assert found.examples == (71 if statistics == "recomputed" else 91)
    assert found.start_losses["train"] == found.losses["train"][1][1]


@pytest.mark.parametrize("case", CASES)
def test_which_shortcuts_a_network_takes(case):
    make, data, expected = CASES[case]
    model, batches = built(make), [data(50)]
    with evaluation_mode(model, "running"):
        way = shortcuts(model, batches, "running")
    assert (len(way.folds), way.channels_last, way.rows) == expected
    with evaluation_mode(model, "batch"):
        way = shortcuts(model, batches, "batch")
    assert (way.folds, way.rows) == ((), None)


@pytest.mark.parametrize("at_once", [1, 2, 100, None])
def test_points_in_a_pass_change_nothing_but_the_number_of_passes(at_once):
    model, batches = built(CASES["resnet"][0]), [images(20), images(13)]
    directions = [random_direction(model, seed) for seed in (0, 1)]
    found = surface(model, batches, directions, [-0.1, 0, 0.1], at_once=at_once)
    assert found.betas == found.alphas == (-0.1, 0, 0.1)
    assert found.passes == {1: 9, 2: 5}.get(at_once, 2)
    assert found.losses == surface(model, batches, directions, [-0.1, 0, 0.1]).losses


def test_closed_form_of_a_quadratic_in_double_precision():
    model = nn.Linear(2, 1, bias=False).double()
    model.weight.data = torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    data = torch.eye(2).double() * 2**0.5, torch.zeros(2, 1).double()  # the loss is w1² + w2²
    directions = [{"weight": torch.tensor([[1.0, 0.0]])}, {"weight": torch.tensor([[0.0, 1.0]])}]
    found = surface(model, [data], directions, [0, 3], [1, 2.5, 4], loss=mse_loss)
    expected = [[(1 + a) ** 2 + (-2 + b) ** 2 for b in found.betas] for a in found.alphas]
    assert found.losses["train"] == [pytest.approx(row, rel=1e-14) for row in expected]
    assert found.start_losses == {"train": pytest.approx(5)}
    assert found.accuracies == {"train": [[None] * 3] * 2}


def test_the_line_between_two_solutions_is_that_of_the_path(small):
    network, inputs, targets = small
    start, end = network(), network()
    for parameter in end.parameters():
        parameter.data += torch.sin(parameter.data * 9)
    alphas = [-0.5, 0, 0.5, 1]
    path = state_path(start, start.state_dict(), end.state_dict(), alphas, {"train": [(inputs, targets)]})
    found = surface(start, [(inputs, targets)], difference(start.state_dict(), end.state_dict()), alphas)
    assert found.losses["train"] == pytest.approx(path.losses["train"], rel=1e-5)
    assert found.betas is None


def test_weighted_by_example_and_a_loss_that_sees_whole_batches():
    model, batches = built(CASES["dropout"][0]), [vectors(33), vectors(5)]

    def loss(outputs, targets):
        return cross_entropy(outputs, targets, weight=torch.tensor([1.0, 5.0, 0.2]))  # no mean over pieces of a batch

    found = surface(model, batches, random_direction(model), [0.0, 0.4], loss=loss)
    assert found.start_losses["train"] == pytest.approx(evaluate(model, batches, loss=loss).loss, rel=1e-5)


def test_model_is_untouched_also_after_an_error(unusual, small, snapshot):
    _, inputs, targets = small
    before = snapshot(unusual)
    direction = random_direction(unusual)
    for statistics in ("running", "batch", "recomputed"):
        surface(unusual, [(inputs, targets)], direction, [0, 0.5], statistics=statistics)
        before.check()

    calls = []

    def fails(outputs, targets):
        calls.append(1)
        if len(calls) > 2:
            raise RuntimeError("in the loss")
        return cross_entropy(outputs, targets)

    with pytest.raises(RuntimeError, match="in the loss"):
        surface(unusual, [(inputs, targets)], direction, [0, 0.5, 1], loss=fails)
    before.check()
    assert all("forward" not in vars(module) for module in unusual.modules())
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in unusual.modules())


def test_layers_without_a_bias_have_none_afterwards():
    model = built(CASES["resnet"][0])
    surface(model, [images(9)], random_direction(model), [0.1])
    assert all(layer.bias is None for layer in model.modules() if isinstance(layer, nn.Conv2d))


def test_gradients_are_not_asked_for_and_autocast_is_off():
    model, batches = built(CASES["resnet"][0]), [images(9)]
    direction = random_direction(model)
    plain = surface(model, batches, direction, [0.3])
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        assert surface(model, batches, direction, [0.3]).losses == plain.losses
    half = surface(built(CASES["resnet"][0]).bfloat16(), batches, direction, [0.3]).losses["train"][0]
    assert half == pytest.approx(plain.losses["train"][0], rel=0.05)


def test_what_explodes_away_from_the_start_is_kept():
    model = nn.Linear(5, 3)
    found = surface(
        model, [vectors(9)], random_direction(model, normalise="none"), [0, 3e38], loss=lambda o, t: o.sum(1).mean()
    )
    assert math.isfinite(found.losses["train"][0])
    assert not math.isfinite(found.losses["train"][1])


def test_result_is_plain_and_tidy():
    model = built(CASES["dropout"][0])
    found = surface(model, {"train": [vectors(9)], "test": [vectors(4)]}, random_direction(model), [0, 1])
    assert type(found)(**asdict(found)) == found
    rows = found.rows()
    assert [(row["alpha"], row["split"]) for row in rows] == [(0, "train"), (1, "train"), (0, "test"), (1, "test")]
    assert rows[2]["loss"] == found.losses["test"][0]


class Noisy(nn.Linear):
    def forward(self, inputs):
        return super().forward(inputs) + torch.randn(3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alphas": []}, "alphas is empty: a grid needs at least one point"),
        ({"alphas": 5}, "alphas must be a list of numbers, got 5: linspace"),
        ({"alphas": [0, math.nan]}, "alphas must be finite numbers, got nan"),
        ({"alphas": [0], "betas": [1.0]}, "betas are steps along a second direction"),
        ({"directions": []}, "directions must be one mapping from parameter names to tensors or two, got 0"),
        ({"directions": {"weight": torch.zeros(3, 4), "bias": torch.zeros(3)}}, r"must be \(3, 5\) for the parameter"),
        ({"directions": [random_direction(nn.Linear(5, 3))] * 2, "betas": []}, "betas is empty"),
        ({"at_once": 0}, "at_once must be at least 1 or None, got 0"),
        ({"statistics": "none"}, "statistics must be one of batch, running, recomputed, got 'none'"),
        ({"batches": []}, "batches is empty"),
        ({"batches": {}}, "batches has no split"),
        ({"loss": lambda outputs, targets: cross_entropy(outputs, targets) / 0 * 0}, "the loss on 'train' is nan at the"),
        ({"loss": lambda outputs, targets: outputs}, r"one number a batch, got the shape \(9, 3\): take a mean"),
        ({"model": nn.Flatten()}, "no trainable parameters"),
        ({"model": Noisy(5, 3)}, "the model is not deterministic: twice the same examples"),
        ({"loss": lambda outputs, targets: cross_entropy(outputs + torch.randn(3), targets)}, "the loss is not determin"),
    ],
)  # fmt: skip
def test_bad_input_gets_one_line(change, message):
    options = {
        "model": nn.Linear(5, 3), "batches": [vectors(9)], "directions": random_direction(nn.Linear(5, 3)), "alphas": [0]
    } | change  # fmt: skip
    with pytest.raises(UsageError, match=message) as found:
        surface(**options)
    assert "\n" not in str(found.value)


def test_half_precision_weights_with_gradients_are_measured_and_left_as_they_were():
    model = nn.Linear(5, 3).bfloat16()
    inputs, targets = vectors(9)
    cross_entropy(model(inputs.bfloat16()), targets).backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    surface(model, [(inputs, targets)], random_direction(model), [0.0, 1.0])
    assert all(parameter.grad is kept for parameter, kept in zip(model.parameters(), gradients, strict=True))
    assert model.weight.dtype == model.weight.grad.dtype == torch.bfloat16
