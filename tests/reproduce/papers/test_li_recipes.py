"""The recipes of Li et al. against the published protocol, and against what the study says of them."""

import pytest

from reproduce import recipes
from reproduce.papers.li.problems import DECAYS, SETTINGS, SIZES, key
from reproduce.study import SCALES, Trial

PLACES = [(scale, name) for scale in SCALES for name in SETTINGS[scale]]


def config(scale, name="VGG-9", arm=None):
    problem = SETTINGS[scale][name].problem
    overrides = problem.arm(arm).overrides if arm else ()
    return recipes.configuration(Trial("li", problem.recipe, scale, 3, overrides))


@pytest.mark.parametrize(("scale", "name"), PLACES)
def test_a_recipe_agrees_with_the_study(scale, name):
    found, setting = config(scale, name), SETTINGS[scale][name]
    data = found["data"]["init_args"]
    assert (data["source"], data["batch_size"]) == (setting.problem.source, setting.small)
    assert found["trainer"]["max_epochs"] == setting.problem.epochs
    assert data.get("train_examples") in (None, setting.problem.examples)
    assert data.get("test_examples") is None or data["test_examples"] >= (setting.test_examples or 0)
    assert found["model"]["init_args"]["statistics"] == setting.problem.statistics == "running"
    assert found["keep"]["ends"]
    assert found["curves"]["weight_norm"]
    assert found["model"]["init_args"].get("micro_batch") is None  # BatchNorm sees the whole batch


@pytest.mark.parametrize(("scale", "name"), PLACES)
def test_the_rate_falls_at_the_papers_shares_of_the_training(scale, name):
    found = config(scale, name)
    decay, epochs = found["decay"], found["trainer"]["max_epochs"]
    shares = [milestone * decay.get("stretch", 1) / epochs for milestone in decay["milestones"]]
    assert shares == pytest.approx([150 / 300, 225 / 300, 275 / 300], abs=0.003)
    assert (decay["shape"], decay["factor"]) == ("steps", 0.1)


@pytest.mark.parametrize(("scale", "name"), PLACES)
def test_the_large_batch_has_the_papers_share_of_the_data(scale, name):
    setting = SETTINGS[scale][name]
    assert setting.large / setting.problem.examples == pytest.approx(8192 / 50_000, abs=0.001)


@pytest.mark.parametrize(("scale", "name"), PLACES)
def test_an_arm_changes_batch_and_weight_decay_alone(scale, name):
    plain = config(scale, name)
    for decay, value in DECAYS.items():
        for size in SIZES:
            arm = config(scale, name, key(decay, size))
            assert arm["data"]["init_args"].pop("batch_size") == SETTINGS[scale][name].batch(size)
            assert arm["model"]["init_args"]["optimizer"]["init_args"].pop("weight_decay") == value
            base = config(scale, name)
            base["data"]["init_args"].pop("batch_size")
            base["model"]["init_args"]["optimizer"]["init_args"].pop("weight_decay")
            assert arm == base
    assert plain["model"]["init_args"]["optimizer"]["init_args"]["weight_decay"] == 0


@pytest.mark.parametrize("scale", SCALES)
def test_the_optimizer_is_the_papers(scale):
    found = config(scale)["model"]["init_args"]["optimizer"]
    assert found["class_path"] == "torch.optim.SGD"
    options = found["init_args"]
    assert (options["lr"], options["momentum"], options["nesterov"]) == (0.1, 0.9, True)


@pytest.mark.parametrize("scale", ["gpu", "paper"])
def test_adam_differs_in_the_optimizer_alone(scale):
    sgd, adam = config(scale), config(scale, "VGG-9-Adam")
    optimizers = [found["model"]["init_args"].pop("optimizer") for found in (sgd, adam)]
    assert sgd == adam
    assert optimizers[1]["class_path"] == "torch.optim.Adam"
    assert optimizers[1]["init_args"]["lr"] == 0.001


def test_the_published_protocol():
    found = config("paper")
    data = found["data"]["init_args"]
    assert (data["augment"], data["normalise"], data.get("train_examples")) == ("crop-flip", "standard", None)
    assert found["model"]["init_args"]["network"]["init_args"]["width"] == 1
    assert (found["trainer"]["max_epochs"], found["trainer"]["precision"]) == (300, "32-true")
