"""What goyal's figures and tables are drawn from, and that they can be drawn."""

import math

import pytest
from rate_runs import Made, plan, settings
from test_goyal_claims import ERRORS, SWEEP, error, way

from reproduce import drawing
from reproduce.papers.goyal import STUDY, facts
from reproduce.papers.goyal.problems import PROBLEMS
from reproduce.study import SCALES

ARTIFACTS = {artifact.name: artifact for artifact in STUDY.artifacts}
FIGURES = [name for name, artifact in ARTIFACTS.items() if artifact.kind == "figure"]
PLAN = plan(STUDY)


@pytest.fixture
def drawn(monkeypatch):
    """What the drawing functions were given: frame, footer and options of the latest figure."""
    latest = {}

    def record(frame, footer, **options):
        latest.clear()
        latest.update(frame=frame, footer=footer, **options)
        return "figure"

    for name in ("against_size", "arm_curves"):
        monkeypatch.setattr(drawing, name, record)
    return latest


def made(**changed):
    """Runs as in the claims' tests; `changed` are errors of batch sizes (b64) or ways, NaN for a run that diverged."""
    sweep = SWEEP | {int(name[1:]): value for name, value in changed.items() if name[0] == "b"}
    return Made(lambda trial: 100 - error(trial, sweep, ERRORS | changed))


def draw(name, results, chosen=PLAN):
    return ARTIFACTS[name].draw(chosen, results)


@pytest.mark.parametrize("name", ARTIFACTS)
def test_nothing_is_drawn_without_runs(name):
    assert draw(name, Made(lambda trial: None)) is None


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_can_be_drawn_and_saved(name, tmp_path):
    figure, frame = draw(name, made(b500=math.nan))
    drawing.save(figure, tmp_path, name, frame)
    assert (tmp_path / f"{name}.pdf").stat().st_size > 5000


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_says_where_its_numbers_come_from(name, drawn):
    figure, frame = draw(name, made())
    assert (figure, frame is drawn["frame"]) == ("figure", True)
    text = drawn["footer"].text()
    assert "scale demo · ResNet-8 on 1,000 of the embedded digits (analogue) · 3 seeds" in text


def test_fig1_has_the_error_at_every_batch_the_knee_and_the_papers_curve_beside(drawn):
    _, frame = draw("fig1", made())
    at = {(row["batch"], row["seed"]): row["value"] for row in frame.to_dict("records")}
    assert len(at) == 6 * 3
    assert at[64, 2] == pytest.approx(SWEEP[64] + 2, abs=0.02)  # the median of the last epochs
    assert drawn["deviations"] == 2
    assert drawn["marks"] == {"ResNet-8 on digits": 128, "ResNet-50 on ImageNet, reported": 8192}
    assert "knee: 128" in drawn["footer"].text()
    paper = drawn["reported"].set_index("batch")
    assert (len(paper), paper.loc[32_768, "mean"], paper.loc[32_768, "std"]) == (10, 27.55, 0.28)
    assert drawn["reported_alone"]
    assert set(frame["panel"]).isdisjoint(paper["panel"])  # another data set: another panel


def test_fig1_has_one_panel_at_the_papers_scale(drawn):
    chosen = plan(STUDY, "paper")
    _, frame = draw("fig1", Made(lambda trial: 76.0), chosen)
    assert set(frame["panel"]) == set(drawn["reported"]["panel"])
    assert sorted(frame["batch"].unique()) == [2**power for power in range(6, 17)]


def test_a_curve_without_a_knee_is_not_marked(drawn):
    draw("fig1", made(b256=8.0, b500=8.0, b128=8.0))
    assert "ResNet-8 on digits" not in drawn["marks"]
    assert "no knee up to 500" in drawn["footer"].text()


def test_a_run_that_diverged_has_no_error(drawn):
    _, frame = draw("fig1", made(b500=math.nan))
    assert frame.loc[frame["batch"] == 500, "value"].isna().all()
    assert drawn["marks"]["ResNet-8 on digits"] == 128


def test_fig2_sets_each_warm_up_beside_the_base(drawn):
    _, frame = draw("fig2", made())
    assert frame["panel"].unique().tolist() == ["No warm-up", "Constant warm-up", "Gradual warm-up"]
    assert frame["arm"].unique().tolist() == ["batch 16", "batch 128"]
    last = frame[(frame["epoch"] == 12) & (frame["seed"] == 0) & (frame["arm"] == "batch 128")].set_index("panel")
    # the made-up training error is a point below the test error
    assert last["value"].round().to_dict() == {"No warm-up": 10, "Constant warm-up": 11, "Gradual warm-up": 8}


def test_fig2_leaves_out_a_run_that_is_not_there(drawn):
    def accuracy(trial):
        return None if way(trial) == "constant" else 100 - error(trial)

    _, frame = draw("fig2", Made(accuracy))
    here = frame[frame["panel"] == "Constant warm-up"]
    assert here["arm"].unique().tolist() == ["batch 16"]


def test_fig3_has_both_errors_of_every_batch_size(drawn):
    _, frame = draw("fig3", made())
    assert frame["panel"].unique().tolist() == ["Training error", "Test error"]
    assert frame["arm"].unique().tolist() == [f"batch {batch}" for batch in SWEEP]


def test_the_sweep_prints_steps_rates_and_what_is_level():
    _, frame = draw("sweep", made())
    ours, paper = frame[frame["batch"] < 256], frame[frame["problem"] == facts.PANEL]
    assert ours["within 1"].tolist() == ["yes"] * 4
    row = frame.iloc[3]
    assert (row["batch"], row["× base"], row["steps an epoch"], row["rate"]) == (128, "8", 7, 0.4)
    assert row["above the base"].startswith("+0.9")
    assert frame.iloc[4]["within 1"] == "no"
    assert paper.set_index("batch").loc[8192].to_dict() == {
        "problem": facts.PANEL, "× base": "32", "steps an epoch": 156, "rate": 3.2, "error (%)": "23.74 ± 0.09",
        "above the base": "+0.14", "within 1": "yes",
    }  # fmt: skip


def test_table1_sets_ours_beside_the_papers():
    table, frame = draw("table1", made(none=math.nan))
    ours, paper = "ResNet-8 on digits, ours", facts.PANEL
    assert frame["", "warm-up"].tolist() == ["none needed", "none", "constant", "gradual"]
    assert frame[paper, "error (%)"].tolist() == ["23.60 ± 0.12", "24.84 ± 0.37", "25.88 ± 0.56", "23.74 ± 0.09"]
    assert frame[paper, "batch"].tolist() == [256, 8192, 8192, 8192]
    assert frame[ours, "batch"].tolist() == [16, 128, 128, 128]
    assert frame[ours, "error (%)"].iloc[1] == "diverged"
    assert frame[ours, "above gradual"].iloc[2].startswith("+3.0")
    assert frame[ours, "above gradual"].iloc[1] == "–"
    assert r"\multicolumn{2}{c}{ResNet-50 on ImageNet, reported}" in table.tex


def test_table2_has_every_row_of_the_paper_and_a_dash_for_what_does_not_run():
    _, frame = draw("table2", made())
    ours, paper = "ResNet-8 on digits, ours", facts.PANEL
    assert len(frame) == 7
    rows = frame.set_index(("", "setting"))
    fixed = rows.loc["2a: base rate, kept"]
    assert (fixed[paper, "8192"], fixed[ours, "16"]) == ("41.67 ± 0.10", "–")
    assert fixed[paper, "256"] == "–"
    assert fixed[ours, "above linear"].startswith("+20.0")
    assert rows.loc["2c: ResNet-101", (ours, "128")] == "–"


def test_the_rest_of_table2_is_taken_at_the_papers_scale():
    chosen = plan(STUDY, "paper", "table2")

    def accuracy(trial):
        return 70.0 if settings(trial).get("depth") == 101 else 60.0

    _, frame = draw("table2", Made(accuracy, epochs=90), chosen)
    deep = frame.set_index(("", "setting")).loc["2c: ResNet-101"]
    assert deep["ResNet-50 on ImageNet, ours", "256"] == "30.00 ± 0.00"
    assert deep["ResNet-50 on ImageNet, ours", "above linear"] == "−10.00 [−10.00, −10.00]"


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", ARTIFACTS)
def test_a_figure_asks_for_the_runs_that_it_draws(name, scale, drawn):
    """What is drawn from all runs is drawn from those that the figure asks for."""
    chosen = plan(STUDY, scale, name)
    asked = set(ARTIFACTS[name].trials(chosen))
    some = Made(lambda trial: 80.0 + trial.seed if trial in asked else None)
    every = Made(lambda trial: 80.0 + trial.seed)
    assert draw(name, some, chosen)[1].equals(draw(name, every, chosen)[1])
    assert len(asked) % chosen.seeds[next(iter(PROBLEMS[scale]))] == 0


@pytest.mark.parametrize("scale", SCALES)
def test_the_notes_name_the_choices(scale):
    notes = " ".join(STUDY.notes(plan(STUDY, scale)))
    assert "The knee is declared beforehand" in notes
    assert ("Analogues of ResNet-50" in notes) == (scale != "paper")
    assert "fewer than" not in notes
    assert ("No augmentation" in notes) == (scale in ("demo", "laptop"))
    assert ("batch sizes were chosen after" in notes) == (scale == "demo")
    assert ("Where ours lies beyond the knee" in notes) == (scale != "paper")
    assert "fewer than 3 seeds" in " ".join(STUDY.notes(plan(STUDY, scale, seeds=1)))
