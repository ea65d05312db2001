"""The figures and tables of hoffer, drawn from made-up runs."""

import pytest
from hoffer_runs import Synthetic, of_stage, plan
from matplotlib.figure import Figure

from reproduce import drawing
from reproduce.papers import hoffer
from reproduce.papers.hoffer.problems import SIZES

ARTIFACTS = {artifact.name: artifact for artifact in hoffer.STUDY.artifacts}


@pytest.fixture(scope="module")
def results():
    return Synthetic(plan())


def draw(name, results):
    return ARTIFACTS[name].draw(results.plan, results)


@pytest.mark.parametrize("name", ARTIFACTS)
def test_it_is_drawn_and_nothing_is_without_runs(name, results):
    drawn, frame = draw(name, results)
    assert isinstance(drawn, Figure if ARTIFACTS[name].kind == "figure" else drawing.Table)
    assert len(frame)
    assert draw(name, Synthetic(plan(), done=lambda what: False)) is None


@pytest.mark.parametrize("scale", ["demo", "laptop", "gpu", "paper"])
@pytest.mark.parametrize("name", ARTIFACTS)
def test_its_runs_are_those_of_the_plan(name, scale):
    results = Synthetic(plan(scale))
    wanted = ARTIFACTS[name].trials(results.plan)
    assert wanted
    assert set(wanted) <= set(results.what)


def test_every_run_is_of_use():
    for scale in ("demo", "paper"):
        results = Synthetic(plan(scale))
        asked = {run for artifact in ARTIFACTS.values() for run in artifact.trials(results.plan)}
        assert asked == set(results.what)


def test_without_the_main_network_its_figures_have_no_runs():
    chosen = plan(networks=("F1",))
    assert [name for name, artifact in ARTIFACTS.items() if not artifact.trials(chosen)] == [
        "fig1", "fig2", "diffusion",
    ]  # fmt: skip
    results = Synthetic(chosen)
    assert draw("fig2", results) is None
    _, frame = draw("fig3", results)
    assert frame["panel"].unique().tolist() == ["F1, digits, by updates"]


def test_figure_1_has_every_batch_size(results):
    _, frame = draw("fig1", results)
    assert frame["arm"].unique().tolist() == [f"$m$ = {batch}" for batch in SIZES["demo"].all]
    assert frame["panel"].unique().tolist() == ["Training error", "Test error"]


def test_figure_2_ends_where_the_rate_falls(results):
    _, frame = draw("fig2", results)
    assert frame["panel"].nunique() == 3
    last = frame.groupby(["panel", "batch"])["step"].max()
    assert last["One rate", 16] == last["As many updates", 16] <= int(4.05 * 62)
    assert last["One rate", 128] == last["Scaled rate, ghost BatchNorm", 128] <= int(4.05 * 7)
    assert last["As many updates", 128] > 6 * last["One rate", 128]


def test_a_run_that_diverged_is_no_walk():
    results = Synthetic(plan(), diverged=lambda what: what.key == "LB" and what.seed == 1)
    figure, frame = draw("fig2", results)
    rows = frame[(frame["panel"] == "One rate") & (frame["batch"] == 128)]
    assert rows["seed"].unique().tolist() == [0, 2]
    assert "1 diverged run left out" in figure.get_supxlabel().replace("\n", " ")
    _, table = draw("diffusion", results)
    assert len(table) == 10


def test_figure_3_aligns_the_epochs_of_the_adapted_regime(results):
    _, frame = draw("fig3", results)
    assert frame["panel"].unique().tolist() == [
        "ResNet-8, digits, by epochs", "ResNet-8, digits, by updates", "F1, digits, by updates",
    ]  # fmt: skip
    ends = frame.groupby(["panel", "key"])["x"].max()
    assert set(ends["ResNet-8, digits, by epochs"]) == {10}
    by_updates = ends["ResNet-8, digits, by updates"]
    assert (by_updates["SB"], by_updates["LB"], by_updates["RA"]) == (620, 70, 560)
    assert frame["arm"].unique().tolist()[0] == "small batch"


def test_table_1_has_theirs_below_ours():
    results = Synthetic(plan("laptop"))
    _, table = draw("table1", results)
    rows = table.set_index("network")
    assert rows.loc["F1, MNIST, ours", "+RA"] == "92.00 ± 0.20"
    assert rows.loc["F1 on MNIST, reported [N]"].tolist() == ["98.27", "97.05", "–", "–", "98.53"]
    assert len(rows) == 3  # no cell of ResNet-44 could be checked


def test_the_stages_say_what_they_are(results):
    _, table = draw("stages", results)
    rows = table[table["network"] == "ResNet-8, digits"].set_index("stage")
    assert rows["updates"].to_dict() == {"SB": 620, "LB": 70, "+LR": 70, "+GBN": 70, "+RA": 560}
    assert rows["BatchNorm over"].tolist() == [16, 128, 128, 16, 16]
    assert rows["rate ×"].tolist() == ["1", "1", "2.83", "2.83", "2.83"]
    assert rows["of the gap"].tolist() == ["–", "–", "50 %", "75 %", "103 %"]
    assert rows["over LB"].tolist() == [
        "+6.00 [6.00, 6.00]", "–", "+3.00 [3.00, 3.00]", "+4.50 [4.50, 4.50]", "+6.20 [6.20, 6.20]",
    ]  # fmt: skip


def test_a_gap_that_is_none_has_no_share():
    results = Synthetic(plan(), right=lambda what: of_stage(what) if what.key not in ("SB", "LB") else 90 + what.seed)
    _, table = draw("stages", results)
    assert set(table["of the gap"]) == {"–"}


def test_the_laws_are_compared(results):
    _, table = draw("diffusion", results)
    for part in ("from step 10", "from the second epoch"):
        assert set(table[part, "R², ln t"]) == {"1.0000"}
        assert (table[part, "R², power"].astype(float) < 1).all()
        assert (table[part, "p"].astype(float) < 0.4).all()
    for part in ("from step 10", "to step 28"):
        slopes = table.set_index([("", "panel"), ("", "batch")])[part, "s"]
        assert slopes["One rate", 64].startswith("0.5")
        assert slopes["Scaled rate, ghost BatchNorm", 64].startswith("1.0")
    steps = table.set_index([("", "panel"), ("", "batch")])["from the second epoch", "steps"]
    assert steps["One rate", 16] == "62 to 216"  # the grid has no later step before 4.05 epochs
    assert steps["One rate", 128] == "10 to 27"  # never before the momentum's memory
    assert steps["As many updates", 128] == "56 to 216"


@pytest.mark.parametrize("scale", ["demo", "laptop", "gpu", "paper"])
def test_the_notes_name_what_is_open(scale):
    text = " ".join(hoffer.STUDY.notes(plan(scale)))
    assert "85.2" in text
    assert "90.5" in text
    assert ("Analogues" in text) == (scale in ("demo", "laptop"))
    assert ("mirrors" in text) == (scale in ("laptop", "paper"))
    assert ("no VGG" in text) == (scale == "paper")
    assert ("fewer than" in text) == (scale not in ("demo", "laptop", "gpu", "paper"))
    few = hoffer.STUDY.notes(plan(scale, seeds=1))
    assert "inconclusive" in few[-1]
