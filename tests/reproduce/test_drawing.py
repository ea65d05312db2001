import re

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic
from layout import assert_in_order, drawn
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex

from bsgap.errors import UsageError
from reproduce import drawing
from reproduce.drawing import frames, style

RNG = np.random.default_rng(1)
FOOTER = drawing.Footer(
    scale="demo",
    data="F1 on digits (analogue)",
    seeds=3,
    statistics="batch",
    machine="2-core CPU",
    not_run=("F2", "C4"),
    notes=("a note",),
)
PARTS = (
    "scale demo",
    "F1 on digits (analogue)",
    "3 seeds",
    "BatchNorm in evaluation: batch",
    "2-core CPU",
    "not run: F2, C4",
    "a note",
)
FIGURES = {
    "epoch_curves": lambda: drawing.epoch_curves(synthetic.epochs(RNG), FOOTER),
    "path_figure": lambda: drawing.path_figure(
        synthetic.path(RNG), FOOTER, authors=synthetic.path(RNG, ("C1",)).drop(columns="seed")
    ),
    "path_figure, one panel": lambda: drawing.path_figure(synthetic.path(RNG, ("F1",)), FOOTER, kind="curvilinear"),
    "path_figure, five panels": lambda: drawing.path_figure(
        synthetic.path(RNG, ("F1", "C1", "C2", "C3", "C4")), FOOTER, loss_scale="linear"
    ),
    "against_batch": lambda: drawing.against_batch(synthetic.batches(RNG), FOOTER, thresholds={"C1": 500}),
    "warm_start": lambda: drawing.warm_start(synthetic.warm(RNG), FOOTER),
    "warm_start, two panels": lambda: drawing.warm_start(synthetic.warm(RNG, ("F1", "C1")), FOOTER),
    "scatter_path": lambda: drawing.scatter_path(synthetic.along(RNG), FOOTER),
    "points": lambda: drawing.points(
        synthetic.ratios(RNG), FOOTER, value="ratio", y_label="ratio",
        reported=pd.DataFrame({"network": ["F1", "C1", "C4"], "low": 3.0, "high": 10.0}), log=True,
    ),
    "points, hue and panel": lambda: drawing.points(
        synthetic.sharpnesses(RNG), FOOTER, value="value", y_label="sharpness", group="reading", hue="column",
        panel="row", log=True
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_labelled_and_nothing_overlaps(name):
    figure = FIGURES[name]()
    assert len(figure.legends) == 1
    assert_in_order(figure)
    flat = figure._supxlabel.get_text().replace("\n", " · ")
    assert not [part for part in PARTS if part not in flat]


@pytest.mark.parametrize("name", FIGURES)
def test_widths_are_ieee_columns(name):
    figure = FIGURES[name]()
    panels = len({axis.get_title() for axis in figure.axes if axis.get_title()})
    assert figure.get_figwidth() * 72.27 == pytest.approx(252 if panels <= 1 else 516)


def test_a_drawing_leaves_matplotlib_as_it_was():
    with mpl.rc_context({"font.size": 31, "axes.grid": False}):
        before = dict(mpl.rcParams)
        figure = FIGURES["scatter_path"]()
        assert dict(mpl.rcParams) == before
        assert figure.axes[0].xaxis.label.get_fontsize() == 8  # and it leaves no mark on the drawing


def test_band_is_mean_and_sample_deviation():
    frame = pd.DataFrame({"x": [1, 1, 1, 2], "y": [1.0, 2.0, 6.0, 5.0]})
    band = frames.band(frame, "x", "y")
    deviation = np.sqrt((4 + 1 + 9) / 2)
    assert band["mean"].tolist() == pytest.approx([3.0, 5.0])
    assert band["low"].tolist() == pytest.approx([3 - deviation, 5.0])
    assert band["high"].tolist() == pytest.approx([3 + deviation, 5.0])
    assert band["n"].tolist() == [3, 1]


def test_band_on_a_log_axis_is_that_of_the_logarithm():
    frame = pd.DataFrame({"x": 0, "y": [1.0, 100.0, 0.0, np.nan, np.inf]})  # the last three are not drawn
    band = frames.band(frame, "x", "y", log=True).iloc[0]
    assert band["mean"] == pytest.approx(10)
    factor = np.exp(np.log(10) * np.sqrt(2))  # two points, each ln 10 from their mean
    assert (band["low"], band["high"]) == pytest.approx((10 / factor, 10 * factor))
    assert band["n"] == 2


def test_what_is_not_drawn_is_counted_in_the_footer():
    frame = synthetic.along(RNG)
    frame.loc[0, "loss"] = np.nan
    frame.loc[[1, 2], "sharpness"] = 0.0
    text = drawing.scatter_path(frame, FOOTER)._supxlabel.get_text()
    assert "1 value not finite (diverged), left out" in text
    assert "2 values ≤ 0, left out of the logarithmic axis" in text


def test_epoch_curves_draw_the_means():
    frame = synthetic.epochs(RNG)
    axis = drawing.epoch_curves(frame, FOOTER).axes[0]
    chosen = frame[(frame["network"] == "F1") & (frame["method"] == "LB") & (frame["split"] == "test")]
    want = chosen.groupby("epoch")["accuracy"].mean().to_numpy()
    lines = [line for line in axis.lines if line.get_color() == style.METHOD_COLOURS["LB"]]
    assert any(np.allclose(line.get_ydata(), want) for line in lines)


def test_path_has_loss_left_accuracy_right_and_the_authors_behind():
    authors = synthetic.path(RNG, ("C1", "C4")).drop(columns="seed")
    figure = drawing.path_figure(synthetic.path(RNG, ("F1", "C1")), FOOTER, authors=authors)
    panels = [axis for axis in figure.axes if axis.get_title()]
    assert [axis.get_title() for axis in panels] == ["(a) F1", "(b) C1"]  # C4 was not run: no panel
    assert all(axis.get_yscale() == "log" for axis in panels)
    grey = [sum(to_hex(line.get_color()) == style.PALE.lower() for line in axis.lines) for axis in panels]
    assert grey == [0, 2]
    for axis in panels:
        verticals = [line for line in axis.lines if len(set(np.ravel(line.get_xdata()))) == 1]
        assert {float(np.ravel(line.get_xdata())[0]) for line in verticals} == {0.0, 1.0}
        losses = [line for line in axis.lines if to_hex(line.get_color()) == style.BLUE.lower()]
        assert [line.get_linestyle() for line in losses] == ["-", "--"]  # train solid, test dashed


def test_against_batch_names_the_batches_on_a_log2_axis():
    figure = drawing.against_batch(synthetic.batches(RNG), FOOTER)
    drawn(figure)
    axis = figure.axes[0]
    assert axis.get_xscale() == "log"
    names = [label.get_text() for label in axis.get_xticklabels()]
    assert names == ["32", "64", "128", "256", "512", "1024", "2048", "4096"]
    assert [len(other.lines) for other in figure.axes] == [1, 1, 2, 2]  # two readings of sharpness, one accuracy


def test_scatter_runs_towards_low_loss_on_the_right():
    axis = drawing.scatter_path(synthetic.along(RNG), FOOTER).axes[0]
    left, right = axis.get_xlim()
    assert left > right
    assert "falling to the right" in axis.get_xlabel()
    assert len(axis.lines) == 2 * 3  # a line for each method and seed


def test_points_show_every_seed_and_the_reported_range():
    frame = pd.DataFrame({"network": ["F1"] * 3, "seed": [0, 1, 2], "ratio": [1.0, 2.0, 6.0]})
    reported = pd.DataFrame({"network": ["F1"], "low": [3.0], "high": [10.0]})
    axis = drawing.points(frame, FOOTER, value="ratio", y_label="ratio", reported=reported).axes[0]
    assert sorted(axis.lines[0].get_ydata()) == [1.0, 2.0, 6.0]
    assert axis.lines[1].get_ydata() == pytest.approx([3.0])  # the mean
    (block,) = [drawn for drawn in axis.collections if isinstance(drawn, PolyCollection)]
    heights = block.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (3.0, 10.0)


@pytest.mark.parametrize(
    ("draw", "frame", "words"),
    [
        (drawing.epoch_curves, pd.DataFrame({"network": []}), "missing: method"),
        (drawing.epoch_curves, synthetic.epochs(RNG).iloc[:0], "empty"),
        (drawing.epoch_curves, synthetic.epochs(RNG).assign(accuracy=0.97), "per cent"),
        (drawing.path_figure, synthetic.path(RNG).drop(columns="seed"), "missing: seed"),
        (drawing.against_batch, synthetic.batches(RNG).assign(test_accuracy=0.5), "multiply fractions by 100"),
        (drawing.warm_start, synthetic.warm(RNG).assign(lb_accuracy=300.0), "per cent"),
        (drawing.scatter_path, synthetic.along(RNG).drop(columns=["loss", "epoch"]), "missing: epoch, loss"),
    ],
)
def test_wrong_frames_are_refused_in_one_line(draw, frame, words):
    with pytest.raises(UsageError, match=re.escape(words)) as raised:
        draw(frame, FOOTER)
    assert "\n" not in str(raised.value)


def test_save_writes_pdf_png_and_what_is_drawn(tmp_path):
    frame = synthetic.along(RNG)
    paths = [drawing.save(drawing.scatter_path(frame, FOOTER), tmp_path / name, "fig6", frame) for name in "ab"]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["fig6.csv", "fig6.pdf", "fig6.png"]
    assert paths[0]["pdf"].read_bytes().startswith(b"%PDF")
    assert b"/Type3" not in paths[0]["pdf"].read_bytes()  # IEEE refuses Type 3 fonts
    for kind in ("pdf", "png", "csv"):
        assert paths[0][kind].read_bytes() == paths[1][kind].read_bytes()  # no dates inside
    width = int.from_bytes(paths[0]["png"].read_bytes()[16:20], "big")
    assert width == pytest.approx(300 * style.TEXT_WIDTH, abs=1)
    back = pd.read_csv(paths[0]["csv"])
    np.testing.assert_allclose(back["sharpness"], frame["sharpness"], rtol=1e-5)


def cells(tex):
    """The cells of a tabular's body and heading, as text."""
    rows = [row for row in tex.splitlines() if row.endswith(r"\\")]
    multicolumn = re.compile(r"\\multicolumn\{\d+\}\{c\}\{(.*)\}")
    return [
        [multicolumn.sub(r"\1", cell.strip()).replace(r"\ensuremath{\pm}", "±") for cell in row[:-2].split(" & ")]
        for row in rows
    ]


def test_beside_prints_mean_deviation_and_count():
    values = [97.0, 98.0, 99.0, np.nan]  # the last run diverged
    ours = pd.DataFrame({"row": "F_1", "column": "SB", "seed": range(4), "value": values})
    was = {"row": ["F_1", "F2"], "column": "SB", "mean": [98.03, 64.02], "std": [0.07, 0.2], "source": "P"}
    table = drawing.beside(ours, pd.DataFrame(was), decimals=2)
    assert cells(table.tex) == [
        ["", "SB"],
        ["Network", "reported {[}P{]}", "ours"],
        [r"F\_1", "98.03 ± 0.07", "98.00 ± 1.00 (3, 1 diverged)"],
        ["F2", "64.02 ± 0.20", r"\textendash{}"],
    ]
    mine = table.frame[table.frame["kind"] == "ours"].iloc[0]
    assert (mine["mean"], mine["std"], mine["n"], mine["diverged"]) == (98.0, 1.0, 3, 1)


def test_sources_that_differ_stand_in_the_cells():
    ours = pd.DataFrame({"row": "F1", "column": ["SB", "LB"], "seed": 0, "value": [1.0, 2.0]})
    was = {"row": "F1", "column": ["SB", "LB"], "mean": [1.5, 2.5], "std": [np.nan, 0.5], "source": ["P", "N"]}
    last = cells(drawing.beside(ours, pd.DataFrame(was)).tex)[-1]
    assert last == ["F1", "1.50 {[}P{]}", "1.00 (1)", "2.50 ± 0.50 {[}N{]}", "2.00 (1)"]


def test_stacked_has_a_line_for_each_reading_and_says_what_was_not_run():
    table = drawing.stacked(synthetic.sharpnesses(RNG), synthetic.reported(("ε = 10⁻³", "ε = 5·10⁻⁴"), (28.58, 3.13)))
    rows = cells(table.tex)
    assert [row[0] for row in rows[2:] if row[0]] == ["F1", "F2", "C1"]
    assert [row[1] for row in rows[2:7]] == ["reported {[}P{]}", *(f"ours, {name}" for name in synthetic.READINGS)]
    assert [row for row in rows if "not run" in row[-1]] == [["", "ours", "not run"]]
    assert r"\ensuremath{\epsilon} = 10\ensuremath{^{-3}}" in table.tex
    want = synthetic.sharpnesses(np.random.default_rng(1))
    assert table.frame.query("kind == 'ours'")["n"].eq(3).all()
    assert len(table.frame.query("kind == 'ours'")) == len(want) / 3


def test_columns_keep_the_order_of_the_paper():
    ours = pd.DataFrame({"row": "F1", "column": ["b", "c", "a"], "seed": 0, "value": 1.0})
    reported = pd.DataFrame({"row": "F1", "column": ["a", "b"], "mean": 1.0, "std": 0.1, "source": "P"})
    assert cells(drawing.beside(ours, reported).tex)[0] == ["", "a", "b", "c"]


def test_a_plain_table_prints_numbers_text_and_gaps(tmp_path):
    frame = pd.DataFrame({("", "net"): ["F1 & co", "C1"], ("x", "n"): [3, 4], ("x", "value"): [0.012345, np.nan]})
    table = drawing.plain_table(frame)
    assert cells(table.tex)[-2:] == [[r"F1 \& co", "3", "0.0123"], ["C1", "4", r"\textendash{}"]]
    paths = drawing.save_table(table, tmp_path, "t")
    assert paths["tex"].read_text() == table.tex
    assert paths["csv"].exists()


def test_tables_refuse_wrong_frames():
    with pytest.raises(UsageError, match="missing: value"):
        drawing.beside(pd.DataFrame({"row": [1], "column": [1], "seed": [0]}), pd.DataFrame())
    with pytest.raises(UsageError, match="without columns"):
        drawing.plain_table(pd.DataFrame())
