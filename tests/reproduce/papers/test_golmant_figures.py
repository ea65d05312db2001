"""What golmant's figures and tables are drawn from. The drawing itself is recorded and not done: it has its own tests."""

import math

import pytest
from golmant_runs import Synthetic, accuracy, error, ladder, last_step, plan

from bsgap.errors import UsageError
from reproduce import drawing
from reproduce.drawing import Footer
from reproduce.papers import golmant
from reproduce.papers.golmant import figures, tables
from reproduce.papers.golmant.problems import BASE, LINEAR, PROBLEMS

ARTIFACTS = {artifact.name: artifact for artifact in golmant.STUDY.artifacts}
FIGURES = [name for name, artifact in ARTIFACTS.items() if artifact.kind == "figure"]
RULES = ["Base LR", "Linear scaling", "Square root scaling"]


@pytest.fixture(autouse=True)
def drawn(monkeypatch):
    """What the drawing functions were given: frame, footer and options of the latest figure."""
    latest = {}

    def record(frame, footer, **options):
        latest.clear()
        latest.update(frame=frame, footer=footer, **options)
        return "figure"

    for name in ("contours", "speedups", "approximation", "costs", "longer"):
        monkeypatch.setattr(drawing, name, record)
    return latest


@pytest.fixture(scope="module")
def results():
    return Synthetic(plan())


def draw(name, results):
    return ARTIFACTS[name].draw(results.plan, results)


@pytest.mark.parametrize("name", [name for name in ARTIFACTS if name not in ("table1", "contradictions")])
def test_nothing_is_drawn_without_runs(name):
    assert draw(name, Synthetic(plan(), done=lambda what: False)) is None


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_comes_with_its_frame_and_says_where_its_numbers_come_from(name, results, drawn):
    figure, frame = draw(name, results)
    assert (figure, frame is drawn["frame"]) == ("figure", True)
    assert len(frame)
    footer = drawn["footer"]
    assert isinstance(footer, Footer)
    assert (footer.scale, footer.statistics, footer.machine) == ("demo", "batch", "no machine")
    assert "(analogue)" in footer.data
    assert "3 seeds" in footer.text()


@pytest.mark.parametrize(("name", "metric", "above"), [("fig1", "Training", 0.0), ("fig5", "Test", 0.1)])
def test_contours_have_a_row_a_problem_and_a_column_a_rule(name, metric, above, results, drawn):
    _, frame = draw(name, results)
    assert drawn["loss_label"] == f"{metric} loss (nats)"
    assert drawn["columns"] == ["Base learning rate", "Linear scaling rule"]
    assert frame["row"].unique().tolist() == [
        "ResNet-8 on digits", "DRN-D-22 on drawn scenes", "LSTM on Python's documentation",
    ]  # fmt: skip
    assert frame["step"].min() == 1
    main = frame[frame["row"] == "ResNet-8 on digits"]
    for what in (w for w in results.what.values() if w.name == "ResNet34" and w.fraction == w.longer == 1):
        column = {BASE: "Base learning rate", LINEAR: "Linear scaling rule"}.get(what.rule)
        rows = main.query("batch == @what.batch and seed == @what.seed and column == @column")
        if column is None:
            continue
        assert rows["step"].max() == last_step(what, PROBLEMS["demo"]["ResNet34"])
        assert rows["loss"].iloc[0] == pytest.approx(3 - 0.25 * math.log2(ladder(what)) + above)
    base = main[main["batch"] == 16].drop(columns="column")  # both columns show the one run
    assert len(base) == 2 * len(base.drop_duplicates())


def test_a_problem_without_runs_is_no_row_of_the_contours():
    results = Synthetic(plan(), done=lambda what: what.name != "DRN")
    _, frame = draw("fig1", results)
    assert frame["row"].unique().tolist() == ["ResNet-8 on digits", "LSTM on Python's documentation"]


def test_a_diverged_run_is_drawn_as_one():
    results = Synthetic(plan(), diverged=lambda what: what.rule == LINEAR and what.batch == 256)
    _, frame = draw("fig1", results)
    assert frame[frame["diverged"]][["column", "batch"]].drop_duplicates().values.tolist() == [
        ["Linear scaling rule", 256]
    ]
    _, frame = draw("fig2left", results)
    assert frame[frame["diverged"]][["series", "batch"]].drop_duplicates().values.tolist() == [["Linear scaling", 256]]
    _, frame = draw("fig2right", results)
    lost = frame[frame["batch"] == 256]
    assert lost["diverged"].all()
    assert lost[["error", "test_accuracy"]].isna().all(axis=None)


def test_fig2_left_has_the_three_rules_and_the_break_points_of_the_base_rate(results, drawn):
    _, frame = draw("fig2left", results)
    assert frame["series"].unique().tolist() == RULES
    assert frame["panel"].unique().tolist() == ["ResNet-8 on digits"]
    breaks = drawn["breaks"].set_index("label")
    assert breaks.loc[["linear until", "flat from"], "batch"].tolist() == pytest.approx([32, 128], rel=1e-3)
    assert drawn["footer"].notes == ("ResNet-8: training loss ε = 1.31", "running median of 3 evaluations")


def test_no_break_points_where_too_few_batches_reached_the_threshold(drawn):
    draw("fig2left", Synthetic(plan(), done=lambda what: what.batch in (16, 64, 256)))
    assert drawn["breaks"] is None


def test_the_footer_names_a_threshold_of_another_batch_and_a_seed_without_a_baseline(drawn):
    draw("fig2left", Synthetic(plan(), diverged=lambda what: what.batch == 256))
    assert "(taken at batch 128: lower quartile of the losses at every step of batch 128" in drawn["footer"].text()
    assert "every run of batch 256 diverged)" in drawn["footer"].text()
    draw("fig2left", Synthetic(plan(), lambda what: 0.01 if (what.batch, what.seed) == (16, 1) else ladder(what)))
    assert "left out: seed 1, whose smallest batch never reached it" in drawn["footer"].text()


def test_fig3_compares_networks_and_data_sets_at_the_base_rate(drawn):
    chosen = plan("laptop", networks=["ResNet34", "VGG16", "CIFAR-100", "MNIST"])
    _, frame = draw("fig3", Synthetic(chosen, lambda what: min(what.batch, 1024) / 64))
    series = {panel: part["series"].unique().tolist() for panel, part in frame.groupby("panel", sort=False)}
    assert series == {
        "Networks on CIFAR-10": ["slim VGG16", "ResNet-8"],
        "Data sets, ResNet-8": ["CIFAR-100 (subset)", "CIFAR-10", "MNIST"],
    }
    assert frame["rule"].unique().tolist() == [BASE]
    levels = drawn["footer"].notes[0]
    assert levels.startswith("base rate; training loss ε: slim VGG16 ")
    assert frame.groupby(["panel", "series"])["threshold"].nunique().max() == 1


def test_a_curve_alone_compares_nothing():
    assert draw("fig3", Synthetic(plan(networks=["VGG16"]))) is None
    assert draw("fig3", Synthetic(plan(networks=["LSTM"]))) is None


def test_fig4_has_a_curve_a_share(results):
    _, frame = draw("fig4", results)
    assert frame["series"].unique().tolist() == ["100% of the data", "50% of the data", "25% of the data"]
    assert frame.groupby("series", sort=False)["batch"].max().tolist() == [256, 128, 64]
    levels = frame.groupby("series", sort=False)["threshold"].unique()
    assert levels.apply(len).tolist() == [1, 1, 1]
    assert levels.iloc[0] == levels.iloc[1]  # at 256 and 128, equally fast and 36 steps long
    assert levels.iloc[1] < levels.iloc[2]


def test_fig2_right_has_error_and_accuracy_of_the_linear_rule(results):
    _, frame = draw("fig2right", results)
    assert len(frame) == 5 * 3
    for row in frame.to_dict("records"):
        what = next(w for w in results.what.values() if (w.name, w.batch) == ("ResNet34", row["batch"]))
        assert row["error"] == error(what)
        assert row["same_batch_error"] == error(what) / 3
        assert row["test_accuracy"] == pytest.approx(100 * accuracy(what))


def test_cost_is_batch_times_steps(results):
    _, frame = draw("cost", results)
    assert frame["series"].unique().tolist() == RULES
    reached = frame[frame["reached"]]
    assert (reached["cost"] - reached["batch"] * reached["steps"]).abs().max() < 1e-9
    base = reached[reached["rule"] == BASE].groupby("batch")["cost_ratio"].mean()
    assert base.to_dict() == pytest.approx({16: 1, 32: 1, 64: 2**0.5, 128: 2, 256: 4}, rel=1e-9)


def test_levels_are_those_of_smaller_and_smaller_batches(results):
    _, frame = draw("levels", results)
    by_panel = frame.groupby("panel", sort=False)["threshold"].first()
    assert [name.rpartition(" ")[2] for name in by_panel.index] == ["256", "64", "16"]
    assert by_panel.is_monotonic_decreasing
    assert frame["series"].unique().tolist() == RULES


def test_longer_has_the_largest_batch_at_both_budgets_beside_the_smallest(results):
    _, frame = draw("longer", results)
    budgets = frame.groupby(["batch", "rule"])["epochs"].unique().apply(list).to_dict()
    assert budgets == {(16, BASE): [12], (256, BASE): [12, 24], (256, LINEAR): [12, 24]}
    assert frame["series"].nunique() == 3
    base = frame.query("batch == 256 and rule == @BASE")
    assert base["reached"].all()
    assert base["steps"].nunique() <= 2  # a longer run repeats the shorter one; evaluations at its end differ
    assert base["steps"].max() == pytest.approx(base["steps"].min(), rel=1e-9)
    linear = frame[frame["rule"] == LINEAR].groupby("epochs")["reached"].all()
    assert linear.to_dict() == {12: False, 24: True}  # which 24 epochs are enough for


# Where a figure cannot be drawn


def test_a_threshold_that_the_smallest_batch_never_reached_stops_only_the_figures_that_need_it(drawn):
    def slow(what):
        return 0.01 if what.name == "ResNet34" and what.batch == 16 else ladder(what)

    results = Synthetic(plan(), slow)
    for name in ("fig2left", "cost"):
        with pytest.raises(UsageError, match=r"^ResNet-8: batch 16, the smallest, never reached the threshold"):
            draw(name, results)
    for name in ("fig1", "fig5", "fig2right", "table1", "contradictions", "regimes"):
        assert draw(name, results) is not None
    _, table = draw("regimes", results)
    assert set(table["problem"]) == {PROBLEMS["demo"][name].label for name in ("VGG16", "LSTM", "DRN")}
    _, frame = draw("fig3", results)
    assert frame["series"].unique().tolist() == [PROBLEMS["demo"]["VGG16"].label]
    assert "ResNet-8: batch 16, the smallest, never reached the threshold" in drawn["footer"].text()


def test_a_problem_whose_every_base_run_diverged_stops_only_the_figures_that_need_it():
    results = Synthetic(plan(), diverged=lambda what: what.name == "ResNet34" and what.rule == BASE)
    with pytest.raises(UsageError, match=r"^ResNet-8: no threshold: every run diverged"):
        draw("fig2left", results)
    _, frame = draw("fig1", results)
    assert frame[frame["row"] == "ResNet-8 on digits"].groupby("column")["diverged"].mean().iloc[0] == 1
    assert draw("longer", results) is None


# Tables


def test_table_1_has_the_papers_row_and_under_it_what_runs(results):
    _, frame = tables.configurations(results.plan, results)
    assert frame[""].tolist() == ["paper", "here"] * 4
    paper, here = frame[frame[""] == "paper"], frame[frame[""] == "here"]
    assert paper["problem"].tolist() == [
        "ResNet34 on CIFAR-10", "VGG16 on CIFAR-10", "LSTM on WikiText-2", "DRN-D-22 on Cityscapes",
    ]  # fmt: skip
    assert paper["batch sizes"].tolist() == ["2^6 to 2^14", "2^6 to 2^14", "2^3 to 2^10", "2^3 to 2^11"]
    assert here["rate"].tolist() == paper["rate"].tolist() == [0.1, 0.1, 20, 0.01]
    assert here["batch sizes"].tolist() == ["2^4 to 2^8", "2^4 to 2^8", "2^3 to 2^6", "2^1 to 2^4"]
    assert here["rules"].tolist() == ["BLR, LSR, SRSR", "BLR", "BLR, LSR", "BLR, LSR"]
    assert here["epochs"].tolist() == [12, 12, 3, 4]
    assert here["BatchNorm over"].tolist()[:2] == [16, 16]
    assert here["augmentation"].tolist() == ["none", "none", "none", "flip"]


def test_table_1_names_what_the_paper_scale_augments():
    chosen = plan("paper", networks=["ResNet34", "SVHN", "DRN"])
    _, frame = tables.configurations(chosen, Synthetic(chosen))
    here = frame[frame[""] == "here"]
    assert here["augmentation"].tolist() == ["crop, flip", "none", "crop, flip"]
    assert here["batch sizes"].tolist() == ["2^6 to 2^14", "2^6 to 2^14", "2^3 to 2^11"]


def test_the_break_points_of_every_curve(results):
    _, frame = tables.break_points(results.plan, results)
    assert frame.groupby("problem", sort=False)["rule"].apply(list).to_dict() == {
        "ResNet-8": RULES, "ResNet-8, 50% of the data": RULES[:1],  # a quarter has too few batch sizes
        PROBLEMS["demo"]["VGG16"].label: RULES[:1], "LSTM": RULES[:2], "DRN-D-22": RULES[:2],
    }  # fmt: skip
    row = frame.set_index(["problem", "rule"]).loc["ResNet-8", "Base LR"]
    assert (row["linear until"], row["flat from"], row["slope between"]) == (
        "32 [32, 32]", "128 [128, 128]", "0.50 [0.50, 0.50]",
    )  # fmt: skip
    assert (row["seeds"], row["not reached"]) == (3, 0)
    scaled = frame.set_index(["problem", "rule"]).loc["ResNet-8", "Linear scaling"]
    assert scaled["not reached"] == 3


def test_a_speed_up_that_never_flattens_has_a_lower_bound():
    results = Synthetic(plan("demo", networks=["VGG16"]), lambda what: what.batch / 16)
    _, frame = tables.break_points(results.plan, results)
    assert frame["flat from"].tolist() == ["at least 256 [256, 256]"]


def test_the_contradictions_need_no_run():
    _, frame = tables.contradictions(plan(), Synthetic(plan(), done=lambda what: False))
    assert len(frame) == 4
    assert frame["one place"].str.contains("2048").any()


# What is said beside the figures


@pytest.mark.parametrize("scale", ["demo", "laptop", "gpu", "paper"])
def test_the_notes_state_what_the_paper_leaves_open(scale):
    text = " ".join(golmant.STUDY.notes(plan(scale)))
    for word in ("momentum 0.9", "lower quartile", "running median", "BatchNorm", "last, smaller batch"):
        assert word in text
    few = " ".join(golmant.STUDY.notes(plan(scale, seeds=2)))
    assert "With fewer than 3 seeds" in few
    assert "With fewer than 3 seeds" not in text


def test_notes_name_only_what_is_run():
    lines = golmant.STUDY.notes(plan("laptop", networks=["LSTM"]))
    assert not any("BatchNorm" in line or "CamVid" in line or "VGG16" in line for line in lines)
    assert any("CamVid stands in" in line for line in golmant.STUDY.notes(plan("laptop", networks=["DRN"])))


def test_captions_and_titles_are_there():
    assert all(artifact.title and artifact.caption.endswith(".") for artifact in ARTIFACTS.values())
    assert figures.METRICS.keys() == {"train_loss", "test_loss"}
