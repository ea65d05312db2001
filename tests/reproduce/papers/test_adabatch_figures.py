"""The figures and tables of adabatch, drawn from made-up runs."""

import pytest
from matplotlib.figure import Figure
from ramp_runs import Synthetic, of_adabatch, plan

from reproduce import drawing
from reproduce.papers import adabatch
from reproduce.papers.adabatch.problems import PROBLEMS

ARTIFACTS = {artifact.name: artifact for artifact in adabatch.STUDY.artifacts}
DECLARED = ("schedule",)
ERRORS = {"small": 10.0, "adaptive": 10.4, "large": 18.0}


@pytest.fixture(scope="module")
def results():
    return Synthetic(
        plan(adabatch.STUDY), PROBLEMS, of_adabatch, error=lambda what: ERRORS[what.key],
        diverged=lambda what: what.name == "VGG19" and what.key == "large" and what.seed == 2,
    )  # fmt: skip


def draw(name, results):
    return ARTIFACTS[name].draw(results.plan, results)


@pytest.mark.parametrize("name", ARTIFACTS)
def test_it_is_drawn_and_nothing_is_without_runs(name, results):
    drawn, frame = draw(name, results)
    assert isinstance(drawn, Figure if ARTIFACTS[name].kind == "figure" else drawing.Table)
    assert len(frame)
    nothing = Synthetic(results.plan, PROBLEMS, of_adabatch, done=lambda what: False)
    assert (draw(name, nothing) is None) == (name not in DECLARED)


@pytest.mark.parametrize("name", ARTIFACTS)
def test_its_runs_are_those_of_the_plan(name, results):
    wanted = ARTIFACTS[name].trials(results.plan)
    assert set(wanted) <= set(results.what)
    assert all(measure.of[0][0] in wanted for measure in ARTIFACTS[name].measures(results.plan, results))


def test_the_curves_are_those_of_the_runs(results):
    _, loss = draw("loss", results)
    assert loss["panel"].unique().tolist() == ["ResNet-8, digits", "slim VGG11, digits"]
    assert loss["arm"].unique().tolist() == ["small, fixed", "adaptive", "large, fixed"]
    _, error = draw("error", results)
    last = error.query("problem == 'ResNet20' and epoch == 10 and seed == 0").set_index("key")["value"]
    assert last.to_dict() == pytest.approx(ERRORS)
    _, updates = draw("updates", results)
    steps = updates.query("problem == 'ResNet20'").groupby("key")["step"].max()
    assert steps["adaptive"] / steps["small"] == pytest.approx(2 * (62 + 31 + 15 + 7 + 3) / 620)


def test_the_speed_up_of_the_large_batch_is_the_most_there_is(results):
    figure, frame = draw("speedup", results)
    means = frame.query("problem == 'ResNet20'").groupby(["panel", "arm"])["value"].mean()
    assert means["Large over small, both fixed", "forward"] > means["Adaptive over small, fixed", "forward"] > 1
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert any("reported" in text and "(S)" in text for text in legend)


def test_the_tables_say_what_ran_and_how_it_ended(results):
    _, schedule = draw("schedule", results)
    assert schedule["epochs"].tolist() == ["0 to 2", "2 to 4", "4 to 6", "6 to 8", "8 to 10"]
    assert schedule["adaptive, batch"].tolist() == [16, 32, 64, 128, 256]
    assert schedule["adaptive, rate"].tolist() == [0.01, 0.0075, 0.00562, 0.00422, 0.00316]
    assert schedule["large, fixed, rate"].tolist() == [0.01, 0.00375, 0.00141, 0.000527, 0.000198]
    _, endings = draw("endings", results)
    row = endings.set_index("network").loc["slim VGG11, digits"]
    assert row["test error (%), small, fixed"] == "10.50 ± 0.50"
    assert row["test error (%), large, fixed"].endswith("(1 of 3 diverged)")
    assert (row["updates, small, fixed"], row["updates, large, fixed"]) == ("620", "30")
    _, times = draw("times", results)
    assert times.loc[0, "µs an example at batch, 16"] == pytest.approx(1e3 * (1.1 + 1.6) / 16)


def test_networks_with_other_batch_sizes_have_a_block_of_their_own():
    table = ARTIFACTS["schedule"].draw(plan(adabatch.STUDY, "paper"), None)[1]
    assert len(table) == 10
    assert table["networks"].unique().tolist() == [
        "AlexNet, CIFAR-10; AlexNet, CIFAR-100",
        "ResNet-20, CIFAR-10; VGG19, CIFAR-10; ResNet-20, CIFAR-100; VGG19, CIFAR-100",
    ]  # fmt: skip


@pytest.mark.parametrize("scale", ["demo", "laptop", "gpu", "paper"])
def test_the_notes_name_what_is_open(scale):
    text = " ".join(adabatch.STUDY.notes(plan(adabatch.STUDY, scale)))
    assert "with one job on a machine that was otherwise quiet" in text
    assert "rate of the large, fixed batch" in text
    assert ("Analogues" in text) == (scale in ("demo", "laptop"))
