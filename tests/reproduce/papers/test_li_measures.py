"""The kinds of measures that li needs, as a worker takes them, against the library's functions called directly."""

import json

import pytest
import torch

from bsgap.data import ImageData
from bsgap.measures import evaluate, random_direction, state_path, surface, weight_histogram
from bsgap.networks import VGG9
from reproduce import measuring, recipes
from reproduce.study import Trial


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    """Files with the weights of two networks; BatchNorm's averages are not those of the start."""
    folder, found = tmp_path_factory.mktemp("weights"), []
    for seed in range(2):
        torch.manual_seed(seed)
        network = VGG9((1, 8, 8), width=0.125)
        network.classifier[-1].weight.data.mul_(100)
        network(torch.randn(64, 1, 8, 8))
        found.append(folder / f"{seed}.pt")
        torch.save(network.state_dict(), found[-1])
    return found


@pytest.fixture(scope="module")
def data():
    data = ImageData(
        "digits", 16, train_examples=1000, test_examples=797, normalise="standard", evaluation_batch_size=500
    )
    data.setup("fit")
    return data


def network(state):
    network = VGG9((1, 8, 8), width=0.125)
    network.load_state_dict(torch.load(state))
    return network


def taken(kind, states, **options):
    config = recipes.configuration(Trial("li", "vgg9", "demo", 0))
    found = measuring.measure(kind, {"config": config, "weights": [str(state) for state in states], "options": options})
    return json.loads(json.dumps(found))  # plain types


LINE = {"normalise": "filter", "low": -1.0, "high": 1.0, "points": 3}


def test_a_line_is_the_librarys_over_the_examples_asked_for(states, data):
    found = taken("surface", states[:1], directions=[4], examples=60, test_examples=40, **LINE)
    model = network(states[0])
    sets = {"train": data.batches("train", examples=60), "test": data.batches("test", examples=40)}
    direct = surface(model, sets, random_direction(model, 4), [-1.0, 0.0, 1.0])
    assert found["alphas"] == [-1, 0, 1]
    assert found["betas"] is None
    assert found["losses"] == {split: pytest.approx(losses) for split, losses in direct.losses.items()}
    assert found["accuracies"] == direct.accuracies
    assert found["statistics"] == "running"
    assert found["losses"]["train"][1] == pytest.approx(evaluate(model, sets["train"]).loss, rel=1e-5)


def test_a_plane_has_two_directions_and_without_test_examples_no_test_loss(states, data):
    found = taken("surface", states[:1], directions=[0, 1], examples=60, **LINE)
    model = network(states[0])
    plane = [random_direction(model, seed) for seed in (0, 1)]
    axis = [-1.0, 0.0, 1.0]
    direct = surface(model, data.batches("train", examples=60), plane, axis, axis)
    assert set(found["losses"]) == {"train"}
    assert found["betas"] == axis
    for mine, theirs in zip(found["losses"]["train"], direct.losses["train"], strict=True):
        assert mine == pytest.approx(theirs)


def test_a_histogram_is_the_librarys(states):
    found = taken("weights", states[:1], bins=11, limit=0.5)
    direct = weight_histogram(network(states[0]), bins=11, limit=0.5)
    assert found["counts"] == list(direct.counts)
    assert (found["norm"], found["outside"], found["weights"]) == (direct.norm, direct.outside, direct.weights)


def test_a_path_may_take_a_part_of_the_test_examples(states, data):
    options = {"shape": "linear", "low": -0.5, "high": 1.5, "points": 5, "examples": 60}
    found = taken("path", states, **options, test_examples=40)
    sets = {"train": data.batches("train", examples=60), "test": data.batches("test", examples=40)}
    ends = [torch.load(state) for state in states]
    direct = state_path(network(states[0]), *ends, [-0.5, 0.0, 0.5, 1.0, 1.5], sets, statistics="running")
    assert found["losses"] == {split: pytest.approx(losses) for split, losses in direct.losses.items()}
    whole = taken("path", states, **options)
    assert whole["losses"]["train"] == found["losses"]["train"]
    assert whole["losses"]["test"] != found["losses"]["test"]
