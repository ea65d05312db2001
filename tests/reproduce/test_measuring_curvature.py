"""Eigenvalues, the loss along an eigenvector and attacks as a worker takes them, against the library and dense matrices."""

import json

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils import parameters_to_vector

from bsgap.data import ImageData
from bsgap.errors import UsageError
from bsgap.measures import fgsm
from bsgap.networks import MLP
from reproduce import measuring
from reproduce.measuring import measure

OPTIONS = {"in_shape": [1, 8, 8], "classes": 10, "layers": 2, "width": 3}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    found = MLP(**OPTIONS)
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return found


@pytest.fixture(scope="module")
def payload(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "final.pt"
    torch.save(network.state_dict(), path)
    data = {
        "source": "digits",
        "batch_size": 10,
        "train_examples": 40,
        "test_examples": 30,
        "evaluation_batch_size": 16,
    }
    network_config = {"class_path": "bsgap.networks.MLP", "init_args": OPTIONS}
    return {
        "config": {
            "model": {"class_path": "bsgap.tasks.ImageClassification", "init_args": {"network": network_config, "seed": 0}},
            "data": {"class_path": "bsgap.data.ImageData", "init_args": data},
        },
        "weights": [str(path)],
    }  # fmt: skip


@pytest.fixture(scope="module")
def data(payload):
    found = ImageData(**payload["config"]["data"]["init_args"], seed=0)
    found.setup("fit")
    return found


@pytest.fixture(scope="module")
def dense(network, data):
    """Eigenvalues of the Hessian of the mean loss over all training examples, rising, in float64."""
    model = MLP(**OPTIONS).double()
    model.load_state_dict(network.state_dict())
    inputs, targets = (torch.cat(parts) for parts in zip(*data.batches("train"), strict=True))
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(cross_entropy(model(inputs.double()), targets), parameters, create_graph=True)
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    rows = [torch.autograd.grad(entry, parameters, retain_graph=True) for entry in flat]
    return torch.linalg.eigvalsh(torch.stack([parameters_to_vector(row) for row in rows]))


def taken(kind, payload, **options):
    found = measure(kind, payload | {"options": options})
    json.dumps(found)  # it goes into the store as JSON
    return found


def test_eigenvalues_are_those_of_the_dense_hessian(payload, dense):
    found = taken("eigenvalues", payload, k=2, tolerance=1e-3)
    assert found["values"] == pytest.approx([dense[-1].item(), dense[-2].item()], rel=1e-4)
    assert found["lambda_max"] == found["values"][0]
    assert found["converged"] == [True, True]
    assert (found["examples"], found["statistics"]) == (40, "running")
    assert "lambda_min" not in found
    assert "vectors" not in found


def test_the_most_negative_eigenvalue_is_that_of_the_dense_hessian(payload, dense):
    found = taken("eigenvalues", payload, k=1, tolerance=1e-2, lowest_products=60)
    assert dense[0] < 0
    assert found["lambda_min"] == pytest.approx(dense[0].item(), rel=0.01)
    assert found["lowest"]["converged"] is True
    assert 0 < found["lowest"]["products"] <= 60
    few = taken("eigenvalues", payload, k=1, tolerance=1e-2, lowest_products=2)
    assert (few["lowest"]["converged"], few["lowest"]["products"]) == (False, 2)


def test_a_sample_is_the_first_examples(payload):
    assert taken("eigenvalues", payload, k=1, tolerance=1e-2, examples=20)["examples"] == 20


def test_along_the_top_eigenvector_the_loss_bends_by_the_eigenvalue(payload, dense):
    found = taken("along", payload, span=0.02, points=5, tolerance=1e-5)
    assert found["alphas"] == pytest.approx([-0.02, -0.01, 0.0, 0.01, 0.02])
    left, middle, right = found["losses"][1:4]
    assert (left + right - 2 * middle) / 0.01**2 == pytest.approx(dense[-1].item(), rel=0.03)
    assert found["lambda_max"] == pytest.approx(dense[-1].item(), rel=1e-4)
    assert middle == pytest.approx(found["loss"])
    assert found["losses"][-1] > found["losses"][0]  # whichever sign the eigenvector came with
    assert len(found["accuracies"]) == 5


def test_an_attack_is_the_measure_of_the_library_in_pixels(payload, data, network):
    found = taken("adversarial", payload, epsilons=[0.05, 0.2])
    expected = fgsm(network, data.batches("test"), [0.05, 0.2], low=0.0, high=1.0)
    assert found["accuracies"] == list(expected.accuracies)
    assert found["losses"] == pytest.approx(list(expected.losses))
    assert (found["accuracy"], found["examples"], found["still"]) == (expected.accuracy, 30, expected.still)
    assert taken("adversarial", payload, epsilons=[0.1], split="train", examples=20)["examples"] == 20


def test_an_attack_on_inputs_that_are_no_pixels_is_refused(payload):
    config = {name: dict(section) for name, section in payload["config"].items()}
    config["data"]["init_args"] = config["data"]["init_args"] | {"normalise": "standard"}
    with pytest.raises(UsageError, match=r"ε is in pixels, so the data must have normalise unit, got standard\."):
        measure("adversarial", payload | {"config": config, "options": {"epsilons": [0.1]}})


def test_they_are_known_kinds():
    assert {"eigenvalues", "along", "adversarial"} <= set(measuring.KINDS)
