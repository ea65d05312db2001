"""The recipes of SAM and ASAM: against the protocol, against the studies, and against each other."""

import pytest

from reproduce import recipes
from reproduce.identity import run_id
from reproduce.papers.asam.problems import SETTINGS as ADAPTIVE
from reproduce.papers.sam.problems import GRID, HARDER, LONG, PLAIN, SETTINGS, SGD, sam_key
from reproduce.study import SCALES, Trial

STUDIES = {"sam": SETTINGS, "asam": ADAPTIVE}
PLACES = [(paper, scale, name) for paper, each in STUDIES.items() for scale in SCALES for name in each[scale]]
SHARED = [(scale, name) for scale in ("demo", "laptop", "gpu") for name in ADAPTIVE[scale]]


def config(paper, scale, name, key=SGD):
    problem = STUDIES[paper][scale][name].problem
    return recipes.configuration(Trial(paper, problem.recipe, scale, 3, tuple(sorted(problem.arm(key).overrides))))


@pytest.mark.parametrize(("paper", "scale", "name"), PLACES)
def test_a_recipe_agrees_with_the_study(paper, scale, name):
    found, setting = config(paper, scale, name), STUDIES[paper][scale][name]
    data, problem = found["data"]["init_args"], setting.problem
    assert (data["source"], data["batch_size"]) == (problem.source, setting.batch)
    assert found["trainer"]["max_epochs"] == problem.epochs
    assert problem.examples == (data.get("train_examples") or 50_000 - data["validation_examples"])
    assert data["validation_examples"] > 0  # rho is chosen on them
    assert problem.epochs % found["curves"]["test_every"] == 0
    assert found["keep"]["ends"]  # curvature is measured at the end
    network = found["model"]["init_args"]["network"]["class_path"]
    plain = problem.source == "digits" or network.endswith(
        ".MLP"
    )  # digits have no mirror image; the MLP shall converge
    assert data.get("augment", "none") == ("none" if plain else "crop-flip")
    assert setting.measured <= problem.examples


@pytest.mark.parametrize(("paper", "scale", "name"), PLACES)
def test_the_cosine_ends_with_the_training(paper, scale, name):
    setting = STUDIES[paper][scale][name]
    for key in (SGD, *([LONG] if setting.problem.arm(LONG) else [])):
        found = config(paper, scale, name, key)
        schedule = found["model"]["init_args"]["schedule"]
        assert schedule["class_path"] == "torch.optim.lr_scheduler.CosineAnnealingLR"
        steps = setting.problem.examples // setting.batch
        assert found["data"]["init_args"]["last"] == "drop"
        assert schedule["init_args"]["T_max"] == found["trainer"]["max_epochs"] * steps


@pytest.mark.parametrize(("paper", "scale", "name"), PLACES)
def test_an_arm_changes_rho_m_and_kind_alone(paper, scale, name):
    setting = STUDIES[paper][scale][name]
    for arm in setting.problem.arms:
        if arm.key == LONG:
            continue
        base, found = config(paper, scale, name), config(paper, scale, name, arm.key)
        for each in (base, found):
            each["model"]["init_args"].pop("sharpness_batch", None)
            for option in ("rho", "adaptive"):
                each["model"]["init_args"]["optimizer"]["init_args"].pop(option)
        assert found == base
    plain = config(paper, scale, name)["model"]["init_args"]["optimizer"]
    assert plain["class_path"] == "bsgap.optim.SAM"
    assert (plain["init_args"]["rho"], plain["init_args"]["adaptive"]) == (0, False)  # SGD itself
    assert plain["init_args"]["base"]["init_args"]["momentum"] == 0.9


@pytest.mark.parametrize(("paper", "scale", "name"), PLACES)
def test_groups_can_be_cut_from_a_batch(paper, scale, name):
    """Each m divides the batch, and BatchNorm has its statistics over as many examples at every m."""
    setting, options = STUDIES[paper][scale][name], config(paper, scale, name)["model"]["init_args"]
    together = options.get("micro_batch") or options.get("ghost_batch")
    for m in setting.groups:
        assert setting.batch % m == 0
        assert m % together == 0
        found = config(paper, scale, name, sam_key(setting.group_radii[0], m))
        assert found["model"]["init_args"]["sharpness_batch"] == m
    assert set(setting.group_radii) <= set(setting.radii)


@pytest.mark.parametrize(("scale", "name"), SHARED)
def test_both_studies_share_their_runs_of_sgd_and_sam(scale, name):
    keys = (SGD, *ADAPTIVE[scale][name].keys())
    assert set(keys) <= {arm.key for arm in SETTINGS[scale][name].problem.arms}
    for key in keys:
        ours, theirs = (run_id(config(paper, scale, name, key), "data") for paper in STUDIES)
        assert ours == theirs


@pytest.mark.parametrize(("scale", "name"), [(scale, name) for scale in SCALES for name in ADAPTIVE[scale]])
def test_both_grids_span_the_same_factor(scale, name):
    setting = ADAPTIVE[scale][name]
    assert setting.adaptive == pytest.approx([10 * rho for rho in setting.radii])


@pytest.mark.parametrize("scale", SCALES)
def test_the_network_for_the_spectrum_has_no_batch_norm(scale):
    network = config("sam", scale, PLAIN)["model"]["init_args"]["network"]
    assert network["class_path"].endswith(".MLP") or network["init_args"]["batch_norm"] is False


def test_the_published_protocols():
    for paper, batch in (("sam", 256), ("asam", 128)):
        for name, setting in STUDIES[paper]["paper"].items():
            if name == PLAIN:
                continue
            found = config(paper, "paper", name)
            base = found["model"]["init_args"]["optimizer"]["init_args"]["base"]["init_args"]
            assert (base["lr"], base["weight_decay"], setting.batch) == (0.1, 0.0005, batch)
            network = found["model"]["init_args"]["network"]["init_args"]
            assert (network["depth"], network["widen"], found["trainer"]["max_epochs"]) == (28, 10, 200)
            assert setting.radii == GRID == (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
    assert {0.5, 1.0} <= set(ADAPTIVE["paper"][HARDER].adaptive)


@pytest.mark.parametrize("paper", STUDIES)
def test_every_file_is_the_recipe_of_some_network_and_scale(paper):
    used = {
        path
        for scale in SCALES
        for setting in STUDIES[paper][scale].values()
        for path in recipes.files(paper, setting.problem.recipe, scale)
    }
    assert used == set((recipes.folder() / paper).glob("*.yaml"))
