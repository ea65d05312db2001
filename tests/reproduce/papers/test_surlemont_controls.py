"""The controls of the accompanying study: plain training at the rate of SAM, and training until the loss stops."""

import pytest
from rate_runs import judged, settings
from surlemont_runs import ARTIFACTS, EPOCHS, LARGE, PLAN, SHARP, Made, Slower, draw, place

from reproduce.papers.surlemont import STUDY
from reproduce.papers.surlemont.controls import (
    LONGER,
    at_its_rate,
    differing,
    longer,
    longer_candidates,
    longer_ends,
    longer_measures,
    longer_runs,
    same_rate_measures,
    same_rate_runs,
)
from reproduce.papers.surlemont.problems import ASAM, PLAIN, SAM, Cell
from reproduce.papers.surlemont.trials import MEASURES, measure, outcomes, settled


# At one rate ----------------------------------------------------------------------------------------------------------
def test_plain_runs_have_the_rate_of_the_other_method_where_it_differs():
    assert differing(PLAN, Made()) == []  # every method does best at one rate
    finals = settled(PLAN, Made())
    for cell, runs in at_its_rate(PLAN, Made()).items():
        assert runs == finals[Cell(cell.network, PLAIN, cell.batch)]
    found = {cell: at_its_rate(PLAN, Slower())[cell] for cell in differing(PLAN, Slower())}
    assert {(cell.network, cell.method) for cell in found} == {("SGD", SAM), ("SGD", ASAM)}
    for cell, runs in found.items():
        assert [trial.seed for trial in runs] == [0, 1, 2]
        assert {place(trial) for trial in runs} == {("SGD", PLAIN, cell.batch, Slower.LOW)}
        assert set(runs) <= set(same_rate_runs(PLAN, Slower()))
        assert not set(runs) & set(settled(PLAN, Slower())[Cell("SGD", PLAIN, cell.batch)])
        own = settled(PLAN, Slower())[cell]
        for trial in (*runs, *own):
            assert {measure(PLAN, cell, trial, name) for name in MEASURES} <= set(same_rate_measures(PLAN, Slower()))


def test_at_one_rate_what_the_rate_does_is_taken_out():
    results = Slower()
    found = judged(STUDY, PLAN, results)
    own = found["surlemont-at-16-sgd-sam"]
    assert (own.verdict, own.measured) == ("reproduced", pytest.approx(SHARP[SAM] / SHARP[PLAIN]))
    same = found["surlemont-same-rate-16-sgd-sam"]
    assert (same.verdict, same.measured) == ("not reproduced", pytest.approx(8 * SHARP[SAM] / SHARP[PLAIN]))
    assert "at batch 16 at the end, SAM over plain at its rate" in same.rule
    assert not any(key.startswith("surlemont-same-rate") for key in judged(STUDY, PLAN, Made()))
    _, frame = draw("same-rate", results)
    row = frame.set_index(["optimizer", "batch", "method"]).loc[("SGD", 16, "SAM")]
    assert row["rate"] == f"{Slower.LOW:g}"
    assert row["box / plain"] == "2.00 [2.00, 2.00]"
    _, alike = draw("same-rate", Made())  # where the rates are one, what the final runs say
    assert set(alike[alike["method"] == "SAM"]["box / plain"]) == {"0.25 [0.25, 0.25]"}


def test_the_figure_at_one_rate_has_every_cell_beside_plain_training():
    _, frame = draw("one-rate", Slower())
    value = frame[frame["batch"] == 16].groupby(["panel", "arm"])["value"].agg(["min", "max"])
    assert list(value["min"]) == pytest.approx(list(value["max"]))
    assert frame["panel"].nunique() == 4
    ratio = value["min"]
    assert ratio["SGD, each at its best rate", "SAM"] == pytest.approx(SHARP[SAM] / SHARP[PLAIN])
    assert ratio["SGD, at one rate", "SAM"] == pytest.approx(8 * SHARP[SAM] / SHARP[PLAIN])
    assert ratio["Adam, at one rate", "SAM"] == ratio["Adam, each at its best rate", "SAM"]  # it is the same rate
    assert set(ratio[:, "plain"]) == {1.0}
    lost = Slower(lost=lambda trial: place(trial)[:3] == ("SGD", PLAIN, 16))
    assert draw("one-rate", lost)[1]["value"].isna().sum() == 12  # SAM and ASAM, three seeds, either way


# Until the loss ceases to fall ----------------------------------------------------------------------------------------
class Longer(Made):
    """Five times the epochs: the large batch catches up, and SAM is as sharp as the plain optimizer."""

    def run(self, trial):
        found = super().run(trial)
        if "max_epochs" in settings(trial):
            found.outcome |= {"epochs": 3 * EPOCHS, "stop_reason": "stopped" if trial.seed else "budget"}
        return found

    def accuracy(self, trial):
        caught = "max_epochs" in settings(trial) and place(trial)[2] == LARGE
        return super().accuracy(trial) + (9.5 if caught and place(trial)[1] == PLAIN else 0)

    def measured(self, wanted):
        found = super().measured(wanted)
        (trial, _), *_ = wanted.of
        sharper = "max_epochs" in settings(trial) and place(trial)[1] == SAM
        return {name: 4 * value for name, value in found.items()} if sharper else found


def test_the_setting_is_that_of_the_budget_and_the_training_longer():
    found = longer(PLAN, Longer())
    assert [(cell.network, cell.method, cell.batch) for cell in found][:4] == [
        ("SGD", PLAIN, 16), ("SGD", PLAIN, LARGE), ("SGD", SAM, LARGE), ("SGD", ASAM, LARGE),
    ]  # fmt: skip
    finals = settled(PLAN, Longer())
    for cell, runs in found.items():
        for trial, final in zip(runs, finals[cell], strict=True):
            assert settings(trial) == settings(final) | {"max_epochs": LONGER * EPOCHS}
            assert (trial.seed, trial.recipe) == (final.seed, final.recipe)


def test_the_longer_runs_need_no_final_ones():
    results = Longer()
    needed = {*longer_candidates(PLAN), *longer_runs(PLAN, results)}
    several = {trial for trial in needed if trial.seed > 0}
    assert several == {trial for runs in longer(PLAN, results).values() for trial in runs if trial.seed > 0}
    assert {measure.of[0][0] for measure in longer_measures(PLAN, results)} <= needed


def test_the_longer_runs_are_judged_by_themselves():
    found = judged(STUDY, PLAN, Longer())
    assert found["surlemont-gap-sgd"].verdict == "reproduced"
    gap = found["surlemont-longer-gap-sgd"]
    assert (gap.verdict, gap.n_seeds) == ("not reproduced", 3)
    assert gap.measured == pytest.approx((10 - 9.5) * 0.8, abs=0.1)  # the last of a straight line's epochs
    assert found["surlemont-longer-closes-sgd-sam"].verdict == "reproduced"
    assert found["surlemont-longer-closes-sgd-asam"].verdict == "not reproduced"
    assert found["surlemont-flatter-box-sgd-sam"].verdict == "reproduced"
    assert found["surlemont-longer-flatter-sgd-sam"].measured == pytest.approx(1.0)
    assert found["surlemont-longer-flatter-sgd-sam"].verdict != "reproduced"


def test_the_table_says_how_many_ended_by_the_longer_budget():
    _, frame = draw("longer-minima", Longer())
    row = frame.set_index(["optimizer", "batch", "method"]).loc[("SGD", LARGE, "plain")]
    assert row["ended by the budget"] == "1 of 3"
    assert row["epochs"].startswith("30")
    figure, drawn = draw("longer", Longer())
    assert "8 of 24 ended by the budget" in "".join(text.get_text() for text in figure.texts)
    assert set(drawn["panel"]) == {
        f"{name}, {word}" for name in ("SGD", "Adam") for word in ("test accuracy", "training loss")
    }


def test_outcomes_of_runs_that_are_missing_are_left_out():
    assert longer_ends(PLAN, Made(absent=lambda trial: "max_epochs" in settings(trial))).empty
    assert ARTIFACTS["longer"].draw(PLAN, Made(absent=lambda trial: "max_epochs" in settings(trial))) is None
    assert outcomes(PLAN, Made(), {}).empty
