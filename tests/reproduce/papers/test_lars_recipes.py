"""The recipes of LARS: both methods differ in the optimizer alone."""

import pytest

from reproduce import recipes
from reproduce.papers.lars.problems import LARS, PAIRS, SGD
from reproduce.study import SCALES, Trial

PLACES = [(scale, name) for scale in SCALES for name in PAIRS[scale]]


def config(scale, name, method, batch=None):
    problem = PAIRS[scale][name].problems[method]
    overrides = problem.arm(f"{method}-{batch}").overrides if batch else ()
    return recipes.configuration(Trial("lars", problem.recipe, scale, 3, overrides))


@pytest.mark.parametrize(("scale", "name"), PLACES)
def test_both_methods_differ_in_the_optimizer_alone(scale, name):
    plain, layered = (config(scale, name, method) for method in (SGD, LARS))
    optimizers = [found["model"]["init_args"].pop("optimizer") for found in (plain, layered)]
    assert plain == layered
    assert [optimizer["class_path"] for optimizer in optimizers] == ["torch.optim.SGD", "bsgap.optim.LARS"]
    sgd, lars = (optimizer["init_args"] for optimizer in optimizers)
    assert (sgd["momentum"], sgd["weight_decay"]) == (lars["momentum"], lars["weight_decay"])
    assert sgd["momentum"] == 0.9
    assert (lars["trust"], lars["exclude_one_dimensional"]) == (0.001, False)


@pytest.mark.parametrize(("scale", "name"), PLACES)
def test_a_recipe_warms_up_scales_and_decays_by_a_polynomial(scale, name):
    found, pair = config(scale, name, LARS), PAIRS[scale][name]
    assert (found["decay"]["shape"], found["decay"]["power"], found["decay"].get("epochs")) == ("polynomial", 2.0, None)
    rate, data = found["rate"], found["data"]["init_args"]
    assert (rate["scaling"], rate.get("warmup"), rate["warmup_epochs"] > 0) == ("linear", None, True)
    assert rate["base_batch_size"] == data["batch_size"] == pair.batches[0]
    assert found["keep"]["ends"]  # the norms are measured at the start
    assert (found["trainer"]["max_epochs"], data["source"]) == (pair.plain.epochs, pair.plain.source)
    assert data.get("train_examples") in (None, pair.plain.examples)
    assert pair.batches[-1] <= pair.plain.examples // 2
    assert found["model"]["init_args"]["statistics"] == pair.plain.statistics


@pytest.mark.parametrize("scale", SCALES)
def test_alexnet_has_batch_norm(scale):
    network = config(scale, "AlexNet", SGD)["model"]["init_args"]["network"]
    assert network["class_path"] == "bsgap.networks.AlexNet"
    assert network["init_args"]["batch_norm"]


@pytest.mark.parametrize(("scale", "name"), PLACES)
@pytest.mark.parametrize("method", [SGD, LARS])
def test_an_arm_changes_the_batch_size(scale, name, method):
    for batch in PAIRS[scale][name].batches:
        assert config(scale, name, method, batch)["data"]["init_args"]["batch_size"] == batch
