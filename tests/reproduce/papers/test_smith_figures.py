"""The figures and tables of smith, drawn from made-up runs."""

import pytest
from matplotlib.figure import Figure
from ramp_runs import Synthetic, of_smith, plan

from reproduce import drawing
from reproduce.papers import smith
from reproduce.papers.smith.problems import LABELS, PROBLEMS, SCHEDULES

ARTIFACTS = {artifact.name: artifact for artifact in smith.STUDY.artifacts}
ERRORS = {"decay": 6.0, "hybrid": 6.2, "grow": 5.9, "rate": 6.1, "momentum": 8.0}
PHASES = {key: SCHEDULES["demo"].phases(key) for key in LABELS}


def made(scale="demo", **how):
    chosen = plan(smith.STUDY, scale)
    return Synthetic(
        chosen, PROBLEMS, lambda what: of_smith(what, scale), error=lambda what: ERRORS[what.key], **how
    )  # fmt: skip


@pytest.fixture(scope="module")
def results():
    return made()


def draw(name, results):
    return ARTIFACTS[name].draw(results.plan, results)


@pytest.mark.parametrize("name", ARTIFACTS)
def test_it_is_drawn_and_nothing_is_without_runs(name):
    results = made("gpu" if name == "fig4" else "demo")
    drawn, frame = draw(name, results)
    assert isinstance(drawn, Figure if ARTIFACTS[name].kind == "figure" else drawing.Table)
    assert len(frame)
    assert draw(name, made(done=lambda what: False)) is None


@pytest.mark.parametrize("scale", ["demo", "gpu"])
@pytest.mark.parametrize("name", ARTIFACTS)
def test_its_runs_are_those_of_the_plan(name, scale):
    results = made(scale)
    wanted = ARTIFACTS[name].trials(results.plan)
    assert set(wanted) <= set(results.what)
    assert bool(wanted) == (scale == "gpu" or name != "fig4")


def test_the_schedules_are_what_the_runs_did(results):
    _, frame = draw("fig1", results)
    assert frame["panel"].unique().tolist() == ["Batch size", "Learning rate", "Noise scale"]
    for key, phases in PHASES.items():
        rows = frame[frame["key"] == key].set_index(["panel", "epoch"])["value"]
        for phase in phases:
            first = 0.5 if key in ("rate", "momentum") else 0.1
            momentum = 0.98 if key == "momentum" else 0.9
            assert rows["Batch size", phase.start] == phase.batch
            assert rows["Learning rate", phase.start] == pytest.approx(first * phase.rate)
            noise = first * phase.rate * 1000 / phase.batch / (1 - momentum)
            assert rows["Noise scale", phase.start] == pytest.approx(noise)


@pytest.mark.parametrize(("name", "keys"), [("fig2", 3), ("fig3", 3), ("fig5", 5)])
def test_curves_come_by_epochs_and_by_updates(name, keys, results):
    _, frame = draw(name, results)
    assert frame["panel"].unique().tolist() == ["By epochs", "By updates"]
    assert frame["key"].nunique() == keys
    last = frame.groupby(["panel", "key"])["x"].max()
    assert set(last["By epochs"]) == {10}
    assert last["By updates", "grow"] < last["By updates", "decay"] == 1250


def test_further_optimizers_have_panels_of_their_own():
    results = made("gpu")
    _, frame = draw("fig3", results)
    assert frame["panel"].unique().tolist() == ["By epochs", "By updates", "Nesterov momentum"]
    _, frame = draw("fig4", results)
    assert frame["panel"].unique().tolist() == ["plain SGD", "Adam"]


def test_the_table_has_theirs_beside_ours(results):
    _, table = draw("updates", results)
    rows = table.set_index("schedule")
    grow = rows.loc["growing the batch"]
    assert (grow["reported [N], updates"], grow["reported [N], accuracy (%)"]) == ("≈ 29000", "94.4")
    assert (grow["paper's schedule, updates"], grow["ours, batch"]) == ("29141", "8, 40, 200, 250")
    assert grow["ours, accuracy (%)"] == "93.60 ± 0.50"
    more = rows.loc["more momentum, growing"]
    assert (more["rate"], more["momentum"], more["reported [N], updates"]) == (0.5, 0.98, "< 2500")
    assert rows.loc["hybrid", "reported [N], updates"] == "–"


@pytest.mark.parametrize("scale", ["demo", "laptop", "gpu", "paper"])
def test_the_notes_name_what_is_open(scale):
    text = " ".join(smith.STUDY.notes(plan(smith.STUDY, scale)))
    assert "weight decay" in text
    assert ("Analogues" in text) == (scale in ("demo", "laptop"))
    assert ("Plain SGD" in text) == (scale in ("gpu", "paper"))
