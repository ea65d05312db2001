"""Goyal et al.'s recipe for ImageNet: it builds what the paper trains, and its rates are the paper's."""

from importlib import import_module
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from synthetic_photos import synthetic_imagenet

from bsgap import cli
from bsgap.callbacks import RateDecay
from bsgap.data import ImageNetData
from bsgap.networks.blocks import Residual
from bsgap.optim import LinearScaling, warm_up
from bsgap.tasks import ImageClassification

RECIPE = Path(__file__).parents[3] / "configs" / "goyal" / "resnet50-imagenet.yaml"


@pytest.fixture(scope="module")
def config():
    return cli.resolve(RECIPE, overrides={"data.init_args.batch_size": 8192})


def kind(section):
    module, _, name = section["class_path"].rpartition(".")
    return getattr(import_module(module), name)


def test_the_network_is_resnet_50_with_silent_blocks(config):
    network = config["model"]["init_args"]["network"]
    with torch.device("meta"):
        built = kind(network)(**network["init_args"])
    assert sum(parameter.numel() for parameter in built.parameters()) == 25_557_032
    narrow = kind(network)(**network["init_args"] | {"width": 0.02})
    blocks = [module for module in narrow.modules() if isinstance(module, Residual)]
    assert len(blocks) == 16
    assert not any(block.main[-1].weight.any() for block in blocks)
    assert narrow(torch.rand(2, 3, 224, 224)).shape == (2, 1000)


def test_the_rates_are_those_of_the_paper(config):
    rate, decay = config["rate"], config["decay"]
    assert (rate["scaling"], rate["warmup_epochs"], rate.get("warmup")) == ("linear", 5, None)
    factor = LinearScaling(rate["base_batch_size"], rate["warmup_epochs"]).factor(8192)
    falls = RateDecay(**decay).schedule(config["trainer"]["max_epochs"])
    base = config["model"]["init_args"]["optimizer"]["init_args"]["lr"]
    found = [base * factor * warm_up(factor, at, 5, "gradual") * falls.factor(at) for at in (0, 2.5, 5, 30, 60, 80)]
    assert found == pytest.approx([0.1, 1.65, 3.2, 0.32, 0.032, 0.0032])


def test_the_rest_is_that_of_the_paper(config):
    options = config["model"]["init_args"]
    optimizer = options["optimizer"]["init_args"]
    assert options["optimizer"]["class_path"] == "torch.optim.SGD"
    assert (optimizer["momentum"], optimizer["nesterov"], optimizer["weight_decay"]) == (0.9, True, 0.0001)
    assert (options["decay_norms"], options["micro_batch"], options["statistics"]) == (False, 32, "running")
    assert config["trainer"]["max_epochs"] == 90
    data = config["data"]["init_args"]
    assert (data["batch_size"], data["crop"], data["resize"]) == (8192, 224, 256)
    assert (data["augment"], data["normalise"], data["last"]) == ("scale-aspect-flip", "standard", "drop")


def test_a_narrow_network_takes_a_step_of_the_recipe_on_small_photos(tmp_path, config):
    """Everything but size: the recipe's task and data on three synthetic classes."""
    synthetic_imagenet(tmp_path)
    options = config["data"]["init_args"] | {"root": str(tmp_path), "batch_size": 8, "crop": 32, "resize": 36}
    images = ImageNetData(**options)
    built = cli.resolve(RECIPE)["model"]["init_args"]
    network = kind(built["network"])(**built["network"]["init_args"] | {"width": 0.05, "classes": 3})
    settings = {name: value for name, value in built.items() if name not in ("network", "optimizer")}
    task = ImageClassification(
        lambda: network,
        lambda parameters: torch.optim.SGD(parameters, **built["optimizer"]["init_args"]),
        **settings | {"micro_batch": 4},
    )
    trainer = pl.Trainer(
        default_root_dir=tmp_path, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_model_summary=False, enable_progress_bar=False, max_epochs=1,
    )  # fmt: skip
    before = network.classifier.weight.detach().clone()
    trainer.fit(task, images)
    assert trainer.global_step == 1  # 15 photos in batches of 8, the rest dropped
    assert not torch.equal(network.classifier.weight, before)
