import itertools

import pytest
import yaml

from bsgap.errors import UsageError
from reproduce import recipes
from reproduce.papers import keskar
from reproduce.papers.golmant.problems import PROBLEMS
from reproduce.papers.keskar.trials import SETTINGS
from reproduce.study import SCALES, Trial

FILES = sorted(recipes.folder().glob("*/*.yaml"))
COMBINATIONS = [(network, scale) for scale in SCALES for network in keskar.STUDY.networks[scale]]
RECIPES = {
    "keskar": [(network.lower(), scale) for network, scale in COMBINATIONS],
    "golmant": [(chosen.recipe, scale) for scale in SCALES for chosen in PROBLEMS[scale].values()],
}


@pytest.mark.parametrize("paper", RECIPES)
def test_every_file_is_the_recipe_of_some_network_and_scale(paper):
    used = set(itertools.chain(*(recipes.files(paper, recipe, scale) for recipe, scale in RECIPES[paper])))
    assert used == {path for path in FILES if path.parent.name == paper}


@pytest.mark.parametrize(("recipe", "scale"), RECIPES["golmant"])
def test_golmants_recipes_parse_and_take_a_batch_size_and_a_rule(recipe, scale):
    overrides = (("data.init_args.batch_size", 32), ("rate.scaling", "square-root"), ("trainer.max_epochs", 7))
    config = recipes.configuration(Trial("golmant", recipe, scale, 3, overrides))
    assert (config["seed_everything"], config["trainer"]["max_epochs"]) == (3, 7)
    assert (config["data"]["init_args"]["batch_size"], config["rate"]["scaling"]) == (32, "square-root")
    assert config["threads"] >= 1
    optimizer = config["model"]["init_args"]["optimizer"]
    assert optimizer["class_path"] == "torch.optim.SGD"
    fused = optimizer["init_args"].get("fused")
    assert fused in (None, True)  # of two fast kernels of one formula, the default is chosen by the device
    assert "lr_scheduler" not in config  # no decay: the paper names none


@pytest.mark.parametrize("scale", ["laptop", "paper"])
def test_what_an_image_recipe_of_golmant_varies(scale):
    """Networks compared on one data set, and data sets compared under one network, differ in nothing else."""

    def settings(recipe):
        config = recipes.configuration(Trial("golmant", recipe, scale, 0))
        config["model"]["init_args"]["network"] = None
        for name in ("source", "train_examples", "augment"):
            config["data"]["init_args"].pop(name, None)
        return config

    first = settings("resnet34-cifar10")
    for recipe in ("vgg16-cifar10", "alexnet-cifar10", "mobilenetv2-cifar10", "resnet34-cifar100", "resnet34-mnist"):
        other = settings(recipe)
        other["trainer"]["precision"] = first["trainer"]["precision"]  # MobileNetV2 is faster in float32
        if (recipe, scale) == ("alexnet-cifar10", "laptop"):  # its recipe says why
            rate = other["model"]["init_args"]["optimizer"]["init_args"]
            assert rate["lr"] == 0.01
            rate["lr"] = 0.1
        assert other == first, recipe


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


@pytest.mark.parametrize("path", [path for path in FILES if path.name.count(".") == 2], ids=lambda path: path.stem)
def test_an_overlay_sets_scalars_only(path):
    content = yaml.safe_load(path.read_text())
    if "class_path" in content.get("model", {}):  # a recipe of its own
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
