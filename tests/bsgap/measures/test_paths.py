import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from bsgap.errors import UsageError
from bsgap.measures import evaluate, state_path


@pytest.fixture
def states(small):
    """A model in a third state, and two states of its network, with BatchNorm."""
    network, inputs, _ = small
    found = []
    for shift in (0.0, 2.0):
        model = network(norm=True)
        model(inputs * 3 + shift)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.sin(parameter * 9 + shift))
        found.append({name: value.clone() for name, value in model.state_dict().items()})
    return network(norm=True), *found


@pytest.mark.parametrize("statistics", ["batch", "running", "recomputed"])
@pytest.mark.parametrize("kind", ["linear", "curvilinear"])
def test_ends_are_the_two_solutions(states, small, ragged, statistics, kind):
    model, start, end = states
    splits = {"train": ragged(small[1], small[2], [6, 4]), "test": [(small[1][:5], small[2][:5])]}
    path = state_path(model, start, end, [0, 1], splits, kind=kind, statistics=statistics)
    for index, state in enumerate((start, end)):
        network = small[0](norm=True)
        network.load_state_dict(state)
        found = evaluate(network, splits["train"], statistics=statistics)
        assert path.losses["train"][index] == pytest.approx(found.loss, rel=1e-6)
        assert path.accuracies["train"][index] == found.accuracy
    assert path.alphas == (0, 1)
    assert (path.kind, path.statistics) == (kind, statistics)
    assert set(path.losses) == set(path.accuracies) == {"train", "test"}


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [("linear", 1.5, -0.5), ("curvilinear", math.cos(-math.pi / 4), math.sin(-math.pi / 4))],
)
def test_points_off_the_ends_mix_the_parameters(states, small, kind, one, other):
    model, start, end = states
    batch = (small[1], small[2])
    found = state_path(model, start, end, [-0.5], {"train": [batch]}, kind=kind, statistics="batch")
    network = small[0](norm=True)
    network.load_state_dict({name: (one * start[name] + other * end[name]).to(start[name].dtype) for name in start})
    network.train()
    assert found.losses["train"][0] == pytest.approx(cross_entropy(network(batch[0]), batch[1]).item(), rel=1e-5)


def test_running_averages_are_mixed_and_variances_stay_positive(states, small):
    model, start, end = states
    alphas = np.linspace(-1, 2, 7).tolist()
    end["1.running_var"] = start["1.running_var"] * 4
    assert ((1 - 2) * start["1.running_var"] + 2 * end["1.running_var"] > 0).all()
    assert (2 * start["1.running_var"] - end["1.running_var"] < 0).all()
    path = state_path(model, start, end, alphas, {"train": [(small[1], small[2])]}, statistics="running")
    assert np.isfinite(path.losses["train"]).all()
    network = small[0](norm=True).eval()
    network.load_state_dict({name: torch.lerp(start[name].double(), end[name].double(), 0.5) for name in start})
    found = evaluate(network, [(small[1], small[2])]).loss
    assert path.losses["train"][alphas.index(0.5)] == pytest.approx(found, rel=1e-5)


def test_recomputed_averages_over_the_first_split_at_every_point(states, small):
    model, start, end = states
    train, test = (small[1][:6], small[2][:6]), (small[1][6:], small[2][6:])
    path = state_path(model, start, end, [0.5], {"train": [train], "test": [test]}, statistics="recomputed")
    network = small[0](norm=True)
    network.load_state_dict({name: torch.lerp(start[name].double(), end[name].double(), 0.5) for name in start})
    network[1].momentum = 1.0
    network.train()(train[0])
    expected = cross_entropy(network.eval()(test[0]), test[1]).item()
    assert path.losses["test"][0] == pytest.approx(expected, rel=1e-5)


def test_leaves_everything_as_it_was(states, small, snapshot):
    model, start, end = states
    before = snapshot(model)
    state_path(model, start, end, [0.3], {"train": [(small[1], small[2])]})
    before.check()


def test_tied_parameters(small):
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    model[1].weight = model[0].weight
    start = {name: value.clone() for name, value in model.state_dict().items()}
    end = {name: value * 2 for name, value in start.items()}
    path = state_path(model, start, end, [0.5], {"train": [(small[1], small[2])]})
    expected = cross_entropy(small[1] @ (1.5 * start["0.weight"]).T @ (1.5 * start["0.weight"]).T, small[2]).item()
    assert path.losses["train"][0] == pytest.approx(expected, rel=1e-5)


def test_usage_errors(states, small):
    model, start, end = states
    splits = {"train": [(small[1], small[2])]}
    with pytest.raises(UsageError, match="kind must be one of linear, curvilinear, got 'spiral'"):
        state_path(model, start, end, [0], splits, kind="spiral")
    with pytest.raises(UsageError, match="splits is empty"):
        state_path(model, start, end, [0], {})
    with pytest.raises(UsageError, match=r"'0.weight' must be \(6, 4\) in both states, got nothing"):
        state_path(model, start, {}, [0], splits)
    with pytest.raises(UsageError, match=r"got \(2, 4\)"):
        state_path(model, start, end | {"0.weight": torch.zeros(2, 4)}, [0], splits)
