import itertools

import pytest
import yaml

from bsgap.errors import UsageError
from reproduce import recipes
from reproduce.papers import keskar
from reproduce.papers.keskar.trials import SETTINGS
from reproduce.study import SCALES, Trial

FILES = sorted((recipes.folder() / "keskar").glob("*.yaml"))
COMBINATIONS = [(network, scale) for scale in SCALES for network in keskar.STUDY.networks[scale]]


def test_every_file_is_the_recipe_of_some_network_and_scale():
    used = set(itertools.chain(*(recipes.files("keskar", network.lower(), scale) for network, scale in COMBINATIONS)))
    assert used == set(FILES)


@pytest.mark.parametrize(("network", "scale"), COMBINATIONS)
def test_a_recipe_parses_against_the_real_signatures_and_agrees_with_the_study(network, scale):
    settings = SETTINGS[scale][network]
    overrides = (("data.init_args.batch_size", settings.large), ("trainer.max_epochs", 7), ("stopping.patience", 0))
    config = recipes.configuration(Trial("keskar", network.lower(), scale, 3, overrides, keep_epochs=(1, 2)))
    assert config["seed_everything"] == 3
    assert config["trainer"]["max_epochs"] == 7
    assert config["keep"]["epochs"] == [1, 2]
    data = config["data"]["init_args"]
    assert (data["source"], data["batch_size"]) == (keskar.STUDY.data(network, scale), settings.large)
    base = recipes.configuration(Trial("keskar", network.lower(), scale, 0))
    assert base["data"]["init_args"]["batch_size"] == settings.small
    assert base["keep"]["ends"]
    assert base["stopping"]["patience"] > 0
    assert base["model"]["init_args"]["statistics"] == "batch"  # the code's BatchNorm
    assert base["model"]["init_args"]["optimizer"] == {
        "class_path": "torch.optim.Adam",
        "init_args": base["model"]["init_args"]["optimizer"]["init_args"] | {"lr": 0.001, "weight_decay": 0.0},
    }
    assert (data["normalise"], data["augment"]) == ("unit", "none")


@pytest.mark.parametrize("path", [path for path in FILES if path.name.count(".") == 2], ids=lambda path: path.name)
def test_an_overlay_sets_scalars_only(path):
    content = yaml.safe_load(path.read_text())
    if "model" in content:
        assert "class_path" in content["model"]  # a recipe of its own
        return
    values = [content]
    while values:
        value = values.pop()
        if isinstance(value, dict):
            assert not {"class_path", "callbacks"} & set(value)
            values += value.values()
        else:
            assert not isinstance(value, list)


def test_an_override_of_an_option_that_there_is_not_is_refused():
    with pytest.raises(UsageError, match=r"keskar/small has no option data.init_args.bach_size\."):
        recipes.configuration(Trial("keskar", "small", "demo", 0, (("data.init_args.bach_size", 3),)))
    with pytest.raises(UsageError, match=r"keskar/small has no option dota.batch_size\."):
        recipes.configuration(Trial("keskar", "small", "demo", 0, (("dota.batch_size", 3),)))


def test_an_unknown_recipe_is_refused():
    with pytest.raises(UsageError, match="no recipe f9 for keskar at scale demo in"):
        recipes.files("keskar", "f9", "demo")


def test_a_configuration_is_a_copy():
    trial = Trial("keskar", "small", "demo", 0)
    recipes.configuration(trial)["model"]["init_args"]["network"] = None
    assert recipes.configuration(trial)["model"]["init_args"]["network"] is not None
    assert recipes.configuration(trial, "results/runs/0/weights/w.pt")["model"]["init_args"]["initial_weights"] == (
        "results/runs/0/weights/w.pt"
    )
