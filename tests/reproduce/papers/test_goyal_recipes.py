"""goyal's recipes: what the paper states is in them at every scale, and an arm changes what it names and nothing else."""

import pytest

from reproduce import recipes
from reproduce.papers.goyal.problems import LAST, PROBLEMS, SIZES, TOLERANCE, key
from reproduce.study import SCALES, Trial

PLACES = [(scale, name) for scale in SCALES for name in PROBLEMS[scale]]
ARMS = [(scale, name, arm.key) for scale, name in PLACES for arm in PROBLEMS[scale][name].arms]


def config(scale, name, arm=None):
    problem = PROBLEMS[scale][name]
    overrides = problem.arm(arm).overrides if arm else ()
    return recipes.configuration(Trial("goyal", problem.recipe, scale, 3, overrides))


def flat(value, prefix=""):
    """Dotted option -> value."""
    if isinstance(value, dict):
        return {name: item for key, inner in value.items() for name, item in flat(inner, f"{prefix}{key}.").items()}
    return {prefix.rstrip("."): value}


@pytest.mark.parametrize(("scale", "name"), PLACES)
def test_a_recipe_has_what_the_paper_states(scale, name):
    found = config(scale, name)
    options = found["model"]["init_args"]
    optimizer = options["optimizer"]["init_args"]
    assert options["optimizer"]["class_path"] == "torch.optim.SGD"
    assert (optimizer["momentum"], optimizer["weight_decay"], optimizer["nesterov"]) == (0.9, 1e-4, True)
    assert options["decay_norms"] is False
    assert options["network"]["init_args"]["zero_gamma"] is True
    assert found["rate"]["scaling"] == "linear"
    assert found["decay"]["shape"] == "steps"
    assert found["decay"]["factor"] == 0.1
    epochs = found["trainer"]["max_epochs"]
    assert [round(epoch / epochs, 2) for epoch in found["decay"]["milestones"]] == [
        0.33,
        0.67,
        0.89,
    ]  # 30, 60, 80 of 90
    assert found["curves"]["test_every"] == 1  # the error is a median over the last epochs
    assert LAST[scale] < epochs


@pytest.mark.parametrize(("scale", "name"), PLACES)
def test_a_recipe_agrees_with_its_problem(scale, name):
    found, problem, sizes = config(scale, name), PROBLEMS[scale][name], SIZES[scale][name]
    options, data = found["model"]["init_args"], found["data"]["init_args"]
    assert data["source"] == problem.source
    assert data["batch_size"] == found["rate"]["base_batch_size"] == sizes.base
    assert options["optimizer"]["init_args"]["lr"] == sizes.rate
    assert found["trainer"]["max_epochs"] == problem.epochs
    assert data.get("train_examples") in (None, problem.examples)
    assert max(sizes.all) <= problem.examples // 2
    assert (options["statistics"], options["micro_batch"]) == (
        problem.statistics,
        min(sizes.base, options["micro_batch"]),
    )
    assert data["last"] == "drop"
    assert TOLERANCE[scale] <= 1


def test_the_papers_own_recipe():
    found = config("paper", "ResNet-50")
    options, data = found["model"]["init_args"], found["data"]["init_args"]
    assert options["network"]["init_args"] | {"depth": 50, "classes": 1000} == options["network"]["init_args"]
    assert (options["micro_batch"], options["optimizer"]["init_args"]["lr"]) == (32, 0.1)
    assert (found["rate"]["base_batch_size"], found["rate"]["warmup_epochs"]) == (256, 5)
    assert (found["decay"]["milestones"], found["trainer"]["max_epochs"]) == ([30, 60, 80], 90)
    assert (data["source"], data["augment"]) == ("imagenet", "scale-aspect-flip")
    assert LAST["paper"] == 5


@pytest.mark.parametrize(("scale", "name", "arm"), ARMS)
def test_an_arm_changes_what_it_names(scale, name, arm):
    base, found = flat(config(scale, name)), flat(config(scale, name, arm))
    changed = {option: value for option, value in found.items() if value != base.get(option)}
    chosen = dict(PROBLEMS[scale][name].arm(arm).overrides)
    assert set(base) <= set(found)  # an option that is absent from the recipe may come in
    assert changed == {option: value for option, value in chosen.items() if value != base.get(option)}
    # a variant at the base batch size states that size, an arm of the sweep does not
    assert set(chosen) - set(changed) <= {"data.init_args.batch_size"}


@pytest.mark.parametrize(("scale", "name"), PLACES)
def test_the_warm_up_is_used_above_the_base_only(scale, name):
    sizes = SIZES[scale][name]
    for batch in sizes.all:
        found = config(scale, name, key(batch))
        assert found["data"]["init_args"]["batch_size"] == batch
        assert (found["rate"]["warmup_epochs"] > 0) == (batch >= sizes.base)  # at the base it climbs nowhere
        assert found["rate"].get("warmup") is None  # gradual


@pytest.mark.parametrize(("scale", "name"), PLACES)
def test_the_ways_that_are_compared(scale, name):
    def rate(arm):
        found = config(scale, name, arm)
        assert found["data"]["init_args"]["batch_size"] == SIZES[scale][name].large
        return found["rate"]["scaling"], found["rate"].get("warmup"), found["rate"]["warmup_epochs"] > 0

    assert rate("none") == ("linear", None, False)
    assert rate("constant") == ("linear", "constant", True)
    assert rate("fixed") == ("base", None, True)
    assert rate("square-root") == ("square-root", None, True)
