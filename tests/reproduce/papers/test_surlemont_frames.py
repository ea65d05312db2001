"""The frames, figures and tables of the accompanying study, on runs whose answers are known."""

import math

import pytest
from surlemont_runs import ARTIFACTS, BEST, FIGURES, LARGE, PLAN, Made, Slower, draw, place

from reproduce.papers.surlemont.choice import score
from reproduce.papers.surlemont.problems import ASAM, METHODS, PLAIN, SAM, Cell, Setting, run
from reproduce.papers.surlemont.trials import (
    MATCHED,
    ends,
    matched,
    measure,
    measures,
    settled,
    timing,
    timings,
)


def test_equal_gradients_are_half_the_epochs_of_sam():
    found = ends(PLAN, Made()).set_index(["optimizer", "method", "batch", "seed"])
    plain, sam = found.loc["SGD", PLAIN, 16, 0], found.loc["SGD", SAM, 16, 0]
    assert plain["equal_gradients"] == plain["accuracy"]
    # the last five passes are epochs 3 to 5 of SAM; at the end it is epochs 6 to 10
    assert sam["equal_gradients"] == pytest.approx(sam["accuracy"] * 4 / 8)
    assert sam["gradients"] == 2 * plain["gradients"]


def test_accuracies_are_means_over_the_last_evaluations():
    results, cell = Made(), Cell("SGD", PLAIN, 16)
    trial = run(PLAN, cell, Setting(BEST["SGD"], 0.0), 0)
    rows = results.curves(trial)
    last = rows[rows["metric"] == "test_accuracy"]["value"].to_numpy()[-5:]
    found = ends(PLAN, results).set_index(["optimizer", "method", "batch", "seed"])
    assert found.loc["SGD", PLAIN, 16, 0]["accuracy"] == pytest.approx(100 * last.mean())
    assert score(PLAN, results, cell, Setting(BEST["SGD"], 0.0))[0] == pytest.approx(last.mean())


def test_a_run_that_ended_early_stays_where_it_was():
    class Early(Made):
        def curves(self, trial):
            rows = super().curves(trial)
            return rows[rows["epoch"] <= 4] if place(trial)[1] == SAM else rows

    found = ends(PLAN, Early()).set_index(["optimizer", "method", "batch", "seed"])
    sam = found.loc["SGD", SAM, 16, 0]
    assert sam["equal_gradients"] == pytest.approx(sam["accuracy"] * 3 / 2)  # epochs 2 to 4 instead of 0 to 4
    plain = found.loc["SGD", PLAIN, 16, 0]
    assert plain["equal_gradients"] == plain["accuracy"] == ends(PLAN, Made())["accuracy"].iloc[0]  # whatever SAM did


def test_a_run_that_diverged_limits_no_other():
    results = Made(lost=lambda trial: place(trial)[:3] == ("SGD", SAM, LARGE) and trial.seed == 1)
    found = ends(PLAN, results).set_index(["optimizer", "method", "batch", "seed"])
    assert math.isnan(found.loc["SGD", SAM, LARGE, 1]["accuracy"])
    plain = found.loc["SGD", PLAIN, LARGE, 1]
    assert plain["equal_gradients"] == plain["accuracy"]


def test_matched_loss_is_a_level_that_all_methods_passed():
    found = matched(PLAN, Made())
    assert set(found["low"]) == set(found["high"]) == {0.2}
    assert set(found["batch"]) == {LARGE}

    class Slow(Made):
        def kept(self, trial):
            return {"loss-0.5": {"loss": 0.4}} if place(trial)[1] == ASAM else super().kept(trial)

    assert set(matched(PLAN, Slow())["low"]) == {0.4}
    assert set(matched(PLAN, Slow())["high"]) == {0.5}
    assert matched(PLAN, Made(levels=())).empty


def test_what_is_measured_is_what_is_read():
    results = Made()
    wanted = set(measures(PLAN, results))
    cell = Cell("Adam", ASAM, LARGE)
    trial = settled(PLAN, results)[cell][2]
    for name in MATCHED:
        assert measure(PLAN, cell, trial, name) in wanted
        assert measure(PLAN, cell, trial, name, "loss-0.2") in wanted


@pytest.mark.parametrize("name", ARTIFACTS)
def test_nothing_is_drawn_before_anything_has_run(name):
    assert draw(name, Made(absent=lambda trial: True)) is None


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_can_be_drawn_also_with_a_diverged_run(name, tmp_path):
    for lost in (lambda trial: False, lambda trial: place(trial)[:3] == ("SGD", ASAM, LARGE)):
        figure, frame = draw(name, Made(lost=lost))
        figure.savefig(tmp_path / f"{name}.png")
        assert len(frame)


@pytest.mark.parametrize("name", [name for name in ARTIFACTS if name not in FIGURES])
def test_every_table_has_a_line_for_what_has_run(name):
    table, frame = draw(name, Slower(absent=lambda trial: trial.recipe.endswith("adam")))
    assert set(frame["optimizer"]) == {"SGD"}
    assert "SGD" in table.tex


def test_the_table_says_by_how_much_at_each_batch_size():
    _, frame = draw("flatter", Made())
    found = frame.set_index(["optimizer", "batch", "method"])
    assert set(frame["batch"]) == {16, LARGE}
    assert found.loc[("SGD", 16, "SAM"), "box / plain"] == "0.25 [0.25, 0.25]"
    assert found.loc[("SGD", 16, "ASAM"), "λ_max / plain"] == "1.00 [1.00, 1.00]"


def test_runs_that_ended_by_the_budget_are_counted():
    _, frame = draw("runtime", Made())
    assert set(frame["ended by the budget"]) == {"3 of 3"}


def test_the_time_of_a_training_is_that_of_its_updates():
    _, frame = draw("runtime", Made())
    found = frame.set_index(["optimizer", "batch", "method"])
    assert found.loc[("SGD", 16, METHODS[SAM]), "step / plain"] == "2.00"
    assert found.loc[("SGD", 16, METHODS[SAM]), "ms a step"] == "200"
    assert found.loc[("SGD", 16, METHODS[SAM]), "training (s)"].startswith("20")  # of 100 updates
    assert found.loc[("SGD", 16, METHODS[PLAIN]), "training (s)"].startswith("10")
    assert timing(PLAN, Cell("SGD", PLAIN, 16), settled(PLAN, Made())[Cell("SGD", PLAIN, 16)][0]) in timings(
        PLAN, Made()
    )


def test_a_step_of_more_than_a_second_has_no_exponent():
    class Slow(Made):
        def measured(self, wanted):
            found = super().measured(wanted)
            return (
                found | {"seconds": {m: 14 * s for m, s in found["seconds"].items()}}
                if wanted.kind == "steps"
                else found
            )

    _, frame = draw("runtime", Slow())
    assert set(frame["ms a step"]) == {"1400", "2800"}
