"""What the study of ASAM chooses, measures, draws and concludes, on runs whose answers are known."""

import math

import pytest
from rate_runs import judged, plan, settings
from test_sam_study import Made

from reproduce.papers.asam import STUDY
from reproduce.papers.asam.trials import METHODS, chosen, every_run, keys, measures, width, widths
from reproduce.papers.sam.problems import REFERENCE

ARTIFACTS = {artifact.name: artifact for artifact in STUDY.artifacts}
PLAN = plan(STUDY)
BEST = {"SAM": 0.1, "ASAM": 1.0}
STEEP = {"SAM": 10.0, "ASAM": 3.0}
SHARP = {"SGD": 4.0, "SAM": 2.0, "ASAM": 1.0}


def place(trial):
    """Method and rho."""
    found = settings(trial)
    rho = found.get("rho", 0.0)
    return "SGD" if not rho else "ASAM" if found.get("adaptive") else "SAM", rho


def accuracy(trial):
    method, rho = place(trial)
    base = 90 if method == "SGD" else 93 - STEEP[method] * abs(math.log10(rho / BEST[method]))
    return base + trial.seed + 0.01 * trial.seed**2


def measure(wanted):
    (trial, _), *_ = wanted.of
    return {"value": SHARP[place(trial)[0]] * (1 + 0.1 * trial.seed), "start_loss": 0.2}


def made(accuracy=accuracy, measure=measure, **options):
    return Made(accuracy, measure=measure, **options)


def draw(name, results):
    return ARTIFACTS[name].draw(PLAN, results)


def test_each_method_takes_its_own_best_rho():
    assert [chosen(PLAN, made(), REFERENCE, method) for method in METHODS] == ["sgd", "sam-0.1", "asam-1"]
    assert len(every_run(PLAN)) == 3 * (1 + 3 + 3)


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([5.0, 5.5, 6.0], 2.0),  # ends where the grid ends
        ([5.0, 7.0, 5.0], 0.5),  # a second valley does not count
        ([9.0, 5.0, 9.0], 0.5),
        ([math.nan, 5.0, 5.0], 1.5),  # half way to a run that diverged
        ([5.0, 6.0, 6.0], 2.0),
    ],
)
def test_the_range_of_rho_is_that_within_a_point_of_the_best(errors, expected):
    assert width([0.01, 0.1, 1.0], errors) == pytest.approx(expected)


def test_a_range_of_nothing_but_diverged_runs_is_none():
    assert math.isnan(width([0.1, 1.0], [math.nan, math.nan]))


def test_the_range_needs_the_whole_grid_of_a_seed():
    results = made(lambda trial: None if (place(trial), trial.seed) == (("SAM", 0.2), 1) else accuracy(trial))
    assert set(widths(PLAN, results, REFERENCE, "SAM")) == {0, 2}
    assert set(widths(PLAN, results, REFERENCE, "ASAM")) == {0, 1, 2}
    assert keys(PLAN, REFERENCE, "ASAM") == ("asam-0.5", "asam-1", "asam-2")


def test_both_balls_are_measured_where_the_best_runs_ended():
    wanted = measures(PLAN, made())
    assert len(wanted) == 2 * 3 * 3
    kinds = [dict(each.options) for each in wanted]
    assert {each.get("adaptive", False) for each in kinds} == {True, False}
    assert {each["rho"] for each in kinds if each.get("adaptive")} == {1.0}


@pytest.mark.parametrize("name", ARTIFACTS)
def test_nothing_is_drawn_before_anything_has_run(name):
    assert draw(name, made(lambda trial: None, lambda wanted: None)) is None


def test_the_figure_can_be_drawn_also_with_a_diverged_run(tmp_path):
    for lost in (None, ("SAM", 0.2)):
        results = made(lambda trial, lost=lost: math.nan if place(trial) == lost else accuracy(trial))
        figure, frame = draw("radii", results)
        figure.savefig(tmp_path / "radii.png")
        assert set(frame["arm"]) == set(METHODS)
        assert frame[frame["arm"] == "SGD"]["rho"].unique().tolist() == [0.05, 2.0]


def test_the_tables_name_rho_and_what_is_gained():
    _, frame = draw("methods", made())
    assert list(frame["method"]) == list(METHODS)
    assert list(frame["rho"]) == ["–", "0.1", "1"]
    assert frame["minus SGD"].iloc[2].startswith("−3.00")
    assert frame["minus SAM"].iloc[2].startswith("+0.00")
    _, grid = draw("grid", made())
    assert list(grid[grid["test error (%)"].str.contains("★")]["rho"]) == ["0.1", "1"]
    _, sharp = draw("sharpness", made())
    assert list(sharp["method"]) == ["SGD", "SAM, rho 0.1", "ASAM, rho 1"]
    assert sharp["train loss"].iloc[0].startswith("0.2")


def test_the_claims_are_judged_by_what_was_measured():
    found = judged(STUDY, PLAN, made())
    key = REFERENCE.lower()
    assert {claim.verdict for claim in found.values()} == {"reproduced"}
    assert found[f"asam-best-{key}"].measured == pytest.approx(0.0)
    assert found[f"asam-ahead-{key}"].measured == pytest.approx(3.0)
    # SAM: a tenth of a decade either way; ASAM: the whole grid
    assert found[f"asam-range-{key}"].measured == pytest.approx(math.log10(4) - 0.2)
    assert found[f"asam-flatter-{key}"].measured == pytest.approx(0.25)
    assert all(claim.reported is None for claim in found.values())  # the paper's table was not to be had


def test_an_asam_that_is_worse_is_not_as_good():
    worse = lambda trial: accuracy(trial) - 2 * (place(trial)[0] == "ASAM")  # noqa: E731
    found = judged(STUDY, PLAN, made(worse))
    assert found[f"asam-best-{REFERENCE.lower()}"].verdict == "not reproduced"


def test_nothing_is_claimed_before_anything_has_run():
    found = judged(STUDY, PLAN, made(lambda trial: None, lambda wanted: None))
    assert {claim.verdict for claim in found.values()} == {"not run"}
