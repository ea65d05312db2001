"""The recipes of adabatch against its schedule, as the fact sheet has it, and against what the callbacks make of them."""

import itertools

import pytest

from bsgap.callbacks import RateDecay
from bsgap.callbacks.ramp import OptionalRamp
from reproduce import recipes
from reproduce.papers import adabatch
from reproduce.papers.adabatch.problems import ABSENT, LABELS, NETWORKS, PROBLEMS, SEEDS, Schedule, schedule
from reproduce.study import SCALES, Trial

EVERY = [(scale, name) for scale in SCALES for name in PROBLEMS[scale]]
PUBLISHED = [  # fixed 128 and 2048, adaptive from one to the other; AlexNet 256 to 4096
    ("ResNet20", (128, 256, 512, 1024, 2048)),
    ("VGG19-C100", (128, 256, 512, 1024, 2048)),
    ("AlexNet", (256, 512, 1024, 2048, 4096)),
]


def configuration(scale, name, key="small"):
    chosen = PROBLEMS[scale][name]
    return recipes.configuration(Trial("adabatch", chosen.recipe, scale, 3, chosen.arm(key).overrides))


def test_every_file_is_the_recipe_of_some_network_and_scale():
    used = itertools.chain(*(recipes.files("adabatch", PROBLEMS[scale][name].recipe, scale) for scale, name in EVERY))
    assert set(used) == set((recipes.folder() / "adabatch").glob("*.yaml"))


@pytest.mark.parametrize("scale", SCALES)
def test_a_network_of_the_paper_runs_or_is_said_not_to(scale):
    assert set(SEEDS[scale]) == set(PROBLEMS[scale])
    assert set(SEEDS[scale]) | set(ABSENT.get(scale, {})) == set(NETWORKS)
    assert not set(SEEDS[scale]) & set(ABSENT.get(scale, {}))


@pytest.mark.parametrize(("name", "sizes"), PUBLISHED)
def test_the_published_protocol(name, sizes):
    chosen = schedule("paper", name)
    assert chosen.batches() == sizes
    adaptive = chosen.phases("adaptive")
    assert [(epochs, batch) for epochs, batch, _ in adaptive] == [(20, size) for size in sizes]
    assert [rate for *_, rate in adaptive] == pytest.approx([0.01 * 0.75**k for k in range(5)])
    assert [rate for *_, rate in chosen.phases("small")] == pytest.approx([0.01 * 0.375**k for k in range(5)])
    ratios = [rate / batch for _, batch, rate in adaptive]
    assert ratios == pytest.approx([rate / sizes[0] for *_, rate in chosen.phases("small")])
    config = configuration("paper", name)
    assert config["trainer"]["max_epochs"] == 100
    assert config["data"]["init_args"]["augment"] == "crop-flip"
    assert config["data"]["init_args"]["source"] == ("cifar100" if name.endswith("C100") else "cifar10")


def test_alexnet_is_that_of_the_authors_script():
    for scale in ("laptop", "gpu", "paper"):
        network = configuration(scale, "AlexNet")["model"]["init_args"]["network"]["init_args"]
        assert (network["stem"], network["width"], network["batch_norm"]) == ("strided", 1.0, False)


@pytest.mark.parametrize(("scale", "name"), EVERY)
def test_a_recipe_says_what_the_schedule_says(scale, name):
    chosen, problem = schedule(scale, name), PROBLEMS[scale][name]
    for key in LABELS:
        config = configuration(scale, name, key)
        first = chosen.phases(key)[0][1]
        data, trainer = config["data"]["init_args"], config["trainer"]
        assert (data["batch_size"], problem.arm(key).batch, data["last"]) == (first, first, "drop")
        assert (trainer["max_epochs"], config["seed_everything"]) == (chosen.epochs, 3)
        assert chosen.epochs == problem.epochs == 5 * chosen.every  # as many phases as the paper has
        assert data.get("train_examples", 50_000) == problem.examples
        optimizer = config["model"]["init_args"]["optimizer"]
        assert optimizer["class_path"] == "torch.optim.SGD"
        assert (optimizer["init_args"]["momentum"], optimizer["init_args"]["weight_decay"]) == (0.9, 5e-4)
        assert config["model"]["init_args"]["statistics"] == "running"
        assert config["keep"]["ends"]
        decay, ramp = RateDecay(**config["decay"]), OptionalRamp(**config["ramp"])
        falls = decay.schedule(epochs=chosen.epochs)
        sizes = dict(ramp.growth.plan(first, end=chosen.epochs)) if ramp.active else {}
        assert ramp.active == (key == "adaptive")
        start, size = 0, first
        for epochs, batch, rate in chosen.phases(key):
            size = sizes.get(start, size)
            assert size == batch
            growth = size / first if config["ramp"]["rate"] == "keep-ratio" else None
            assert optimizer["init_args"]["lr"] * falls.factor(start) * growth == pytest.approx(rate)
            start += epochs


@pytest.mark.parametrize("scale", ["gpu", "paper"])
def test_networks_and_data_sets_differ_in_nothing_else(scale):
    def settings(name):
        config = configuration(scale, name)
        config["model"]["init_args"]["network"] = config["data"]["init_args"]["source"] = None
        config["data"]["init_args"]["batch_size"] = None
        return config

    first = settings("ResNet20")
    assert all(settings(name) == first for name in NETWORKS)


def test_a_schedule_that_ends_between_milestones():
    assert [epochs for epochs, *_ in Schedule(8, 32, 4, 10).phases("adaptive")] == [4, 4, 2]
    assert Schedule(8, 16, 4, 12).phases("adaptive")[-1] == (4, 16, pytest.approx(0.01 * 0.75 * 0.375))


def test_the_study_has_what_the_issue_asks_for():
    names = [artifact.name for artifact in adabatch.STUDY.artifacts]
    assert {"loss", "error", "speedup", "updates", "schedule"} <= set(names)
    assert all(
        artifact.caption.endswith(".") or artifact.caption.endswith(". ") for artifact in adabatch.STUDY.artifacts
    )
