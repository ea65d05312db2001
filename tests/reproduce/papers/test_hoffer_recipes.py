"""The recipes of hoffer against the fact sheet (the authors' code), and against what the callbacks make of them."""

import itertools

import pytest

from bsgap.callbacks import RateDecay, ScaledRate
from bsgap.networks import CifarResNet
from reproduce import recipes
from reproduce.identity import identity
from reproduce.papers import hoffer
from reproduce.papers.hoffer.problems import ABSENT, MILESTONES, PROBLEMS, SEEDS, SIZES, STAGES, initial_phase
from reproduce.study import SCALES, Trial

EVERY = [(scale, name) for scale in SCALES for name in PROBLEMS[scale]]
# rate, momentum, weight decay, (epoch, rate) of every change, epochs
PUBLISHED = {
    "F1": (0.1, 0.9, 1e-4, [(10, 0.01), (20, 1e-3), (30, 1e-4)], 50, "mnist"),
    "C1": (1e-3, 0.0, 5e-4, [(60, 1e-2), (120, 1e-3), (180, 1e-4)], 200, "cifar10"),
    "ResNet44": (0.1, 0.9, 1e-4, [(81, 0.01), (122, 1e-3), (164, 1e-4)], 200, "cifar10"),
    "VGG": (0.1, 0.9, 1e-4, [(81, 0.01), (122, 1e-3), (164, 1e-4)], 200, "cifar10"),
    "C3": (1e-3, 0.0, 5e-4, [(60, 1e-2), (120, 1e-3), (180, 1e-4)], 200, "cifar100"),
    "WRN16-4": (0.1, 0.9, 1e-4, [(60, 0.02), (120, 4e-3), (140, 1e-4)], 200, "cifar100"),
}


def configuration(scale, name, key="SB"):
    chosen = PROBLEMS[scale][name]
    return recipes.configuration(Trial("hoffer", chosen.recipe, scale, 3, chosen.arm(key).overrides))


def rates(config, epochs):
    """The rate at each of some epochs, all rules included."""
    lr = config["model"]["init_args"]["optimizer"]["init_args"]["lr"]
    rule = ScaledRate(**config["rate"]).rule
    factor = rule.factor(config["data"]["init_args"]["batch_size"]) if rule.power else 1.0
    falls = RateDecay(**config["decay"]).schedule(config["trainer"]["max_epochs"])
    return [lr * factor * falls.factor(epoch) for epoch in epochs]


def test_every_file_is_the_recipe_of_some_network_and_scale():
    used = itertools.chain(*(recipes.files("hoffer", PROBLEMS[scale][name].recipe, scale) for scale, name in EVERY))
    assert set(used) == set((recipes.folder() / "hoffer").glob("*.yaml"))


@pytest.mark.parametrize("scale", SCALES)
def test_a_network_of_table_1_runs_or_is_said_not_to(scale):
    assert set(SEEDS[scale]) == set(PROBLEMS[scale])
    assert set(SEEDS[scale]) | set(ABSENT.get(scale, {})) == set(PUBLISHED)
    assert not set(SEEDS[scale]) & set(ABSENT.get(scale, {}))


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_protocol(name):
    lr, momentum, decay, changes, epochs, source = PUBLISHED[name]
    config = configuration("paper", name)
    optimizer = config["model"]["init_args"]["optimizer"]
    assert optimizer["class_path"] == "torch.optim.SGD"
    options = optimizer["init_args"]
    assert (options["momentum"], options["weight_decay"], options["nesterov"]) == (momentum, decay, False)
    assert rates(config, [0, *(epoch for epoch, _ in changes)]) == pytest.approx([lr, *(rate for _, rate in changes)])
    assert rates(config, [epoch - 0.01 for epoch, _ in changes]) == pytest.approx(
        [lr, *(rate for _, rate in changes[:-1])]
    )
    data = config["data"]["init_args"]
    assert (data["source"], data["batch_size"], config["trainer"]["max_epochs"]) == (source, 128, epochs)
    assert data["augment"] == ("none" if name == "F1" else "crop-flip")  # no mirrored digits
    assert configuration("paper", name, "LB")["data"]["init_args"]["batch_size"] == 4096


@pytest.mark.parametrize(("scale", "name"), EVERY)
def test_every_arm_is_the_one_before_it_and_one_change(scale, name):
    sizes, problem = SIZES[scale], PROBLEMS[scale][name]
    small, large, scaled, ghosts, adapted = (configuration(scale, name, key) for key in STAGES)
    assert small["data"]["init_args"]["batch_size"] == small["rate"]["base_batch_size"] == sizes.small
    for config in (small, large, scaled, ghosts, adapted):
        assert config["model"]["init_args"]["gradient_clip"] == 5
        assert config["model"]["init_args"]["statistics"] == "running"
        assert (config["data"]["init_args"]["last"], config["distance"]["per_doubling"]) == ("drop", 4)
        assert config["seed_everything"] == 3
    assert problem.epochs == small["trainer"]["max_epochs"]
    assert small["data"]["init_args"].get("train_examples") in (None, problem.examples)

    def differences(a, b):
        a, b = identity(a, "data"), identity(b, "data")
        return {key for key in a.keys() | b.keys() if a.get(key) != b.get(key)}

    assert differences(small, large) == {"data"}
    assert differences(large, scaled) == {"rate"}
    assert differences(scaled, ghosts) == {"model"}
    assert differences(ghosts, adapted) == {"decay", "trainer"}
    assert ghosts["model"]["init_args"]["ghost_batch"] == sizes.small
    assert rates(scaled, [0])[0] == pytest.approx(rates(small, [0])[0] * sizes.ratio**0.5)
    assert adapted["trainer"]["max_epochs"] == sizes.ratio * problem.epochs
    places = [0, *MILESTONES[scale, name]]
    assert rates(adapted, [sizes.ratio * place for place in places]) == pytest.approx(rates(scaled, places))


@pytest.mark.parametrize(("scale", "name"), EVERY)
def test_the_milestones_that_figures_show_are_those_of_the_recipe(scale, name):
    assert configuration(scale, name)["decay"]["milestones"] == list(MILESTONES[scale, name])


@pytest.mark.parametrize("scale", SCALES)
def test_batch_sizes_change_nothing_else(scale):
    sizes, name = SIZES[scale], "ResNet44"
    for batch in sizes.all:
        for key, other in ((sizes.before(batch), "LB"), (sizes.after(batch), "SB" if batch == sizes.small else "GBN")):
            config, same = configuration(scale, name, key), configuration(scale, name, other)
            assert config["data"]["init_args"]["batch_size"] == batch
            for one in (config, same):
                one["data"]["init_args"]["batch_size"] = None
            assert identity(config, "data") == identity(same, "data")


@pytest.mark.parametrize("scale", SCALES)
def test_ghost_batches_divide_every_batch(scale):
    assert all(batch % SIZES[scale].small == 0 for batch in SIZES[scale].all)
    assert {SIZES[scale].small, SIZES[scale].large} <= set(SIZES[scale].all)


@pytest.mark.parametrize("scale", SCALES)
def test_a_fit_has_steps_to_rest_on(scale):
    for batch in SIZES[scale].all:
        low, high = initial_phase(scale, "ResNet44", SIZES[scale].before(batch))
        assert high >= 2.5 * low


def test_the_adapted_regime_has_as_many_steps_as_the_small_batch():
    for scale, name in EVERY:
        ends = [initial_phase(scale, name, key)[1] for key in ("SB", "RA")]
        assert ends[1] == pytest.approx(ends[0], rel=0.1)  # the rest of an epoch is dropped


def test_the_shortcuts_are_those_of_the_code():
    options = configuration("paper", "ResNet44")["model"]["init_args"]["network"]["init_args"]
    assert sum(p.numel() for p in CifarResNet(**options).parameters()) == 658_586 + 2_752
    assert options["depth"] == 44


def test_the_study_has_what_the_issue_asks_for():
    names = [artifact.name for artifact in hoffer.STUDY.artifacts]
    assert {"fig1", "fig2", "fig3", "table1"} <= set(names)
    assert all(artifact.caption.endswith((".", ". ")) for artifact in hoffer.STUDY.artifacts)
