"""The schedules of smith in closed form, against the paper's numbers of updates and against the recipes."""

import itertools

import pytest

from bsgap.callbacks import RateDecay
from bsgap.callbacks.ramp import OptionalRamp
from bsgap.optim.growth import batches_in, noise_scale
from reproduce import recipes
from reproduce.papers import smith
from reproduce.papers.smith.facts import TABLE
from reproduce.papers.smith.problems import ABSENT, LABELS, MAIN, OTHERS, PAPER, PROBLEMS, SCHEDULES, SEEDS
from reproduce.study import SCALES, Trial

EVERY = [(scale, name) for scale in SCALES for name in PROBLEMS[scale]]
UPDATES = {"decay": 78125, "grow": 29141, "rate": 6406, "momentum": 2305}  # recomputed on the fact sheet
STATED = {"decay": (75_000, 85_000), "grow": (28_500, 29_500), "rate": (0, 6500), "momentum": (0, 2500)}


def configuration(scale, name, key):
    chosen = PROBLEMS[scale][name]
    return recipes.configuration(Trial("smith", chosen.recipe, scale, 3, chosen.arm(key).overrides))


@pytest.mark.parametrize("key", UPDATES)
def test_the_paper_scale_takes_the_reported_updates(key):
    assert round(PAPER.updates(key)) == UPDATES[key]
    low, high = STATED[key]
    assert low < PAPER.updates(key) < high
    assert int(TABLE[key].updates.strip("≈< ")) in (high, round(PAPER.updates(key), -4), round(PAPER.updates(key), -3))


def test_a_run_takes_nearly_as_many():
    taken = {key: sum(at.epochs * batches_in(50_000, at.batch, "drop") for at in PAPER.phases(key)) for key in LABELS}
    assert taken == {"decay": 78_000, "hybrid": 34_320, "grow": 29_040, "rate": 6300, "momentum": 2160}
    assert all(PAPER.updates(key) - 200 <= steps <= PAPER.updates(key) for key, steps in taken.items())


def test_the_batches_of_the_paper():
    sizes = {key: [phase.batch for phase in PAPER.phases(key)] for key in LABELS}
    assert sizes == {
        "decay": [128] * 4, "hybrid": [128, 640, 640, 640], "grow": [128, 640, 3200, 5120],
        "rate": [640, 3200, 5120, 5120], "momentum": [3200, 5120, 5120, 5120],
    }  # fmt: skip
    assert [phase.epochs for phase in PAPER.phases("grow")] == [60, 60, 40, 40]


@pytest.mark.parametrize("scale", SCALES)
def test_no_arm_starts_beyond_what_it_may_grow_to(scale):
    chosen = SCHEDULES[scale]
    assert all(chosen.first(key) <= chosen.most(key) <= chosen.examples / 4 for key in LABELS)


@pytest.mark.parametrize("scale", SCALES)
def test_every_arm_has_the_noise_scale_of_decaying_the_rate(scale):
    chosen = SCHEDULES[scale]

    def noise(key):
        rate, momentum = chosen.first_rate(key), 0.98 if key == "momentum" else 0.9
        return [noise_scale(rate * at.rate, at.batch, chosen.examples, momentum) for at in chosen.phases(key)]

    assert noise("decay") == pytest.approx([noise("decay")[0] / 5**k for k in range(4)])
    for key in LABELS:
        assert noise(key) == pytest.approx(noise("decay")), key


@pytest.mark.parametrize(("scale", "name"), EVERY)
def test_a_recipe_says_what_the_schedule_says(scale, name):
    chosen, problem = SCHEDULES[scale], PROBLEMS[scale][name]
    assert (problem.epochs, problem.examples) == (chosen.epochs, chosen.examples)
    for arm in problem.arms:
        config = configuration(scale, name, arm.key)
        data = config["data"]["init_args"]
        assert data["batch_size"] == arm.batch == chosen.first(arm.key)
        assert data.get("train_examples", 50_000) == chosen.examples
        assert (config["trainer"]["max_epochs"], data["last"]) == (chosen.epochs, "drop")
        assert config["model"]["init_args"]["ghost_batch"] == chosen.batch
        decay, ramp = RateDecay(**config["decay"]), OptionalRamp(**config["ramp"])
        falls = decay.schedule(epochs=chosen.epochs)
        assert ramp.active == (arm.key != "decay")
        assert config["ramp"]["rate"] == "keep-ratio"
        sizes = dict(ramp.growth.plan(arm.batch, end=chosen.epochs)) if ramp.active else {}
        size = arm.batch
        for phase in chosen.phases(arm.key):
            size = sizes.get(phase.start, size)
            assert size == phase.batch
            assert falls.factor(phase.start) * size / arm.batch == pytest.approx(phase.rate)


@pytest.mark.parametrize("scale", SCALES)
def test_the_optimizers_are_the_papers(scale):
    def optimizer(name, key):
        found = configuration(scale, name, key)["model"]["init_args"]["optimizer"]
        return found["class_path"], {name: found["init_args"].get(name) for name in ("lr", "momentum", "nesterov")}

    sgd, plain = "torch.optim.SGD", {"lr": SCHEDULES[scale].rate, "momentum": 0.9, "nesterov": False}
    assert optimizer(MAIN, "decay") == optimizer(MAIN, "grow") == (sgd, plain)
    assert optimizer(MAIN, "rate") == (sgd, plain | {"lr": 5 * plain["lr"]})
    assert optimizer(MAIN, "momentum") == (sgd, plain | {"lr": 5 * plain["lr"], "momentum": 0.98})
    if scale in ("gpu", "paper"):
        assert optimizer("WRN-Nesterov", "grow") == (sgd, plain | {"nesterov": True})
        assert optimizer("WRN-SGD", "hybrid") == (sgd, plain | {"lr": 0.5, "momentum": 0.0})
        assert optimizer("WRN-Adam", "grow")[0] == "torch.optim.Adam"
        assert optimizer("WRN-Adam", "grow")[1]["lr"] == 0.001


def test_the_published_network():
    config = configuration("paper", MAIN, "decay")
    network = config["model"]["init_args"]["network"]
    assert network["class_path"] == "bsgap.networks.WideResNet"
    assert (network["init_args"]["depth"], network["init_args"]["widen"]) == (16, 4)
    assert config["data"]["init_args"]["augment"] == "crop-flip"


def test_every_file_is_the_recipe_of_some_network_and_scale():
    used = itertools.chain(*(recipes.files("smith", PROBLEMS[scale][name].recipe, scale) for scale, name in EVERY))
    assert set(used) == set((recipes.folder() / "smith").glob("*.yaml"))


@pytest.mark.parametrize("scale", SCALES)
def test_a_network_of_the_paper_runs_or_is_said_not_to(scale):
    assert set(SEEDS[scale]) == set(PROBLEMS[scale])
    assert set(SEEDS[scale]) | set(ABSENT.get(scale, {})) == {MAIN, *OTHERS}
    assert smith.STUDY.data(MAIN, scale) in ("digits", "cifar10")
