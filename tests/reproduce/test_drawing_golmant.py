import re

import numpy as np
import pandas as pd
import pytest
import synthetic_golmant as synthetic
from layout import assert_in_order
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.contour import ContourSet

from bsgap.errors import UsageError
from reproduce import drawing
from reproduce.drawing import bounds, style
from reproduce.drawing.contours import surface
from reproduce.drawing.powers import power

FOOTER = synthetic.footer(notes=("a note",))
MAIN, LAST = synthetic.ROWS[0], synthetic.BATCHES[-1]


def rng():
    return np.random.default_rng(1)


def one_series(**changes):
    """Two seeds at three batch sizes, all of which reached the threshold."""
    frame = pd.DataFrame({"panel": "p", "series": "s", "batch": [64, 64, 128, 128, 256, 256], "seed": [0, 1] * 3,
                          "speedup": [1.0, 1.0, 1.5, 2.0, 2.0, 4.0]})  # fmt: skip
    return frame.assign(**changes)


FIGURES = {
    "contours": lambda: drawing.contours(synthetic.surfaces(rng()), FOOTER),
    "contours, one row": lambda: drawing.contours(synthetic.surfaces(rng(), rows=[MAIN]), FOOTER),
    "contours, two batches": lambda: drawing.contours(
        synthetic.surfaces(rng(), rows=[f"{MAIN}, 10,000 images (analogue)"], batches=(64, 512)), FOOTER
    ),
    "speedups": lambda: drawing.speedups(
        synthetic.strategies(rng()), FOOTER, breaks=synthetic.breaks().assign(series="Base LR")
    ),
    "speedups, other series": lambda: drawing.speedups(synthetic.problems(rng()), FOOTER),
    "speedups, same series": lambda: drawing.speedups(synthetic.fractions(rng()), FOOTER),
    "approximation": lambda: drawing.approximation(synthetic.errors(rng()), FOOTER, title=MAIN),
    "costs": lambda: drawing.costs(synthetic.strategies(rng()), FOOTER),
    "costs, relative": lambda: drawing.costs(synthetic.problems(rng()), FOOTER, relative=True),
    "longer": lambda: drawing.longer(synthetic.budgets(rng()), FOOTER),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_labelled_and_nothing_overlaps(name):
    figure = FIGURES[name]()
    assert_in_order(figure)
    panels = sum(bool(axis.get_title()) for axis in figure.axes)
    assert figure.get_figwidth() == (style.COLUMN_WIDTH if panels == 1 else style.TEXT_WIDTH)
    assert "a note" in figure._supxlabel.get_text()


@pytest.mark.parametrize(("value", "want"), [(64, "$2^{6}$"), (1, "$2^{0}$"), (0.5, "$2^{-1}$"), (5000, "5000")])
def test_powers_of_two_are_named_as_such(value, want):
    assert power(value) == want


# Points that may be bounds -------------------------------------------------------------------------------------------
def test_a_point_is_the_mean_and_deviation_of_the_logarithm():
    found = bounds.summary(one_series(), "batch", "speedup", "speedup_bound").iloc[2]
    spread = np.sqrt(2) * np.log(2) / 2  # of ln 2 and ln 4
    assert found[["mean", "low", "high"]].tolist() == pytest.approx(np.sqrt(8) * np.exp([0, -spread, spread]))
    assert (found["n"], found["reached"], found["diverged"]) == (2, True, 0)


def test_a_run_that_did_not_get_there_counts_with_its_bound():
    frame = one_series(
        speedup=[1, 1, 2, 2, np.nan, 2], reached=[True] * 4 + [False, True], speedup_bound=[np.nan] * 4 + [8, np.nan]
    )
    found = bounds.summary(frame, "batch", "speedup", "speedup_bound")
    assert found["mean"].tolist() == pytest.approx([1, 2, 4])
    assert found["reached"].tolist() == [True, True, False]


def test_a_run_that_diverged_is_in_no_mean_unless_it_got_there_before():
    lost = [False, False, True, False, True, True]
    reached = [True, True, True, True, False, False]
    frame = one_series(diverged=lost, reached=reached, speedup_bound=3.0)
    found = bounds.summary(frame, "batch", "speedup", "speedup_bound")
    assert found["n"].tolist() == [2, 2, 0]
    assert found["diverged"].tolist() == [0, 0, 2]
    assert found["mean"].tolist()[:2] == pytest.approx([1, np.sqrt(3)])
    assert np.isnan(found["mean"][2])


def hollow(axis):
    """Places of hollow points, crosses left out."""
    lines = [line for line in axis.lines if line.get_markerfacecolor() == "white" and line.get_marker() != "X"]
    return [tuple(map(float, point)) for line in lines for point in line.get_xydata()]


def crosses(axis):
    """(place, share of the panel's height) of every cross."""
    return [tuple(map(float, line.get_xydata()[0])) for line in axis.lines if line.get_marker() == "X"]


# Speed-ups and costs -------------------------------------------------------------------------------------------------
def test_speedups_draw_means_bounds_and_the_ideal():
    frame = synthetic.strategies(rng())
    axis = drawing.speedups(frame, FOOTER).axes[0]
    assert (axis.get_xscale(), axis.get_yscale()) == ("log", "log")
    sizes = np.array(synthetic.BATCHES)
    assert any(np.allclose(line.get_ydata(), sizes / 64) for line in axis.lines if len(line.get_ydata()) == sizes.size)
    want = np.exp(frame[frame["series"] == "Base LR"].groupby("batch")["speedup"].agg(lambda s: np.log(s).mean()))
    solid = [line for line in axis.lines if line.get_color() == style.BLUE and line.get_marker() == "o"]
    np.testing.assert_allclose(solid[0].get_ydata(), want)
    assert [x for x, _ in hollow(axis)] == [2048, 4096]  # one seed of the linear, one of the square-root rule diverged
    assert sorted(crosses(axis)) == [(2048, 0.05), (4096, 0.05), (4096, 0.05)]
    assert sorted(text.get_text() for text in axis.texts) == ["1/3", "1/3"]


def test_bounds_point_to_where_the_truth_is():
    frame = one_series(
        speedup=[1, 1, 2, 2, np.nan, np.nan], reached=[True] * 4 + [False] * 2, speedup_bound=8.0, ideal=[1, 1, 2, 2, 4, 4],
        cost=[64, 64, 64, 64, np.nan, np.nan], cost_ratio=[1, 1, 1, 1, np.nan, np.nan], cost_bound=300.0,
    )  # fmt: skip
    for figure, want, sign in (
        (drawing.speedups(frame, FOOTER), 8.0, -1),
        (drawing.costs(frame, FOOTER), 300.0, 1),
        (drawing.costs(frame, FOOTER, relative=True), 4 / 8, 1),  # ideal over the bound of the speed-up
    ):
        axis = figure.axes[0]
        assert hollow(axis) == [(256, pytest.approx(want))]
        (arrow,) = [line.get_marker() for line in axis.lines if hasattr(line.get_marker(), "vertices")]
        assert np.sign(arrow.vertices[:, 1].sum()) == sign
        assert any("not all reached" in text.get_text() for text in figure.legends[0].texts)


def test_series_of_their_own_are_named_in_their_panel():
    figure = drawing.speedups(synthetic.problems(rng()), FOOTER)
    named = [[text.get_text() for text in axis.get_legend().texts] for axis in figure.axes]
    assert named[0] == ["slim VGG16", "slim AlexNet", "ResNet-8", "slim MobileNetV2"]
    assert named[1][0] == "CIFAR-100 (subset)"
    assert figure.legends[0].texts[0].get_text() == "ideal"
    shared = drawing.speedups(synthetic.fractions(rng()), FOOTER)
    assert all(axis.get_legend() is None for axis in shared.axes)
    assert [text.get_text() for text in shared.legends[0].texts][:3] == ["100 % of the data", "50 %", "25 %"]


def test_break_points_are_lines_and_their_intervals_do_not_widen_the_panel():
    wide = synthetic.breaks().assign(low=[1e-6, np.nan], high=[1e9, np.nan], series="Base LR")
    frame = synthetic.strategies(rng())
    plain, marked = (drawing.speedups(frame, FOOTER, breaks=breaks).axes[0] for breaks in (None, wide))
    assert marked.get_xlim() == plain.get_xlim()
    upright = [line for line in marked.lines if list(line.get_ydata()) == [0, 1]]
    assert [line.get_xdata()[0] for line in upright] == [300, 2600]
    assert {to_hex(line.get_color()) for line in upright} == {style.BLUE.lower()}
    assert len(marked.patches) == 1  # the interval that is known


# Contours ------------------------------------------------------------------------------------------------------------
def power_law(exponent, batches=(64, 256, 1024), examples=65_536):
    """loss = (k m^exponent)^-1/2 at log-spaced steps to the budget."""
    return pd.concat(
        pd.DataFrame({"row": "r", "column": "c", "batch": m, "step": k, "loss": (k * m**exponent) ** -0.5})
        for m in batches
        for k in [np.unique(np.geomspace(1, examples / m, 40))]
    )


def level_lines(axis):
    (lines,) = [part for part in axis.collections if isinstance(part, ContourSet) and not part.filled]
    return [(level, path.vertices) for level, path in zip(lines.levels, lines.get_paths(), strict=True)]


@pytest.mark.parametrize("exponent", [0.0, 1.0, 0.5])
def test_level_lines_of_a_power_law_are_where_they_should_be(exponent):
    lines = level_lines(drawing.contours(power_law(exponent), FOOTER).axes[0])
    assert len(lines) == 5
    for level, points in lines:
        assert len(points)
        np.testing.assert_allclose(points[:, 1], level**-2 / points[:, 0] ** exponent, rtol=0.03)


def test_nothing_is_drawn_above_the_budget_or_below_the_first_evaluation():
    axis = drawing.contours(power_law(0.0), FOOTER).axes[0]
    (filled,) = [part for part in axis.collections if isinstance(part, ContourSet) and part.filled]
    points = np.concatenate([path.vertices for path in filled.get_paths() if len(path.vertices)])
    assert (points[:, 0] * points[:, 1]).max() <= 65_536 * 1.003  # straight between mesh columns
    assert points[:, 1].min() == pytest.approx(1)
    assert (points[:, 0].min(), points[:, 0].max()) == pytest.approx((64, 1024))


def test_a_surface_is_the_mean_of_log_loss_over_the_runs_that_did_not_diverge():
    frame = pd.DataFrame({
        "batch": [64] * 6 + [128] * 3, "seed": [0, 0, 1, 1, 2, 2, 0, 0, 0], "step": [1, 4] * 3 + [1, 2, 4],
        "loss": [2.0, 1.0, 8.0, 4.0, 2.0, 1e9, 2.0, 3.0, np.inf], "diverged": [False] * 4 + [True] * 5,
    })  # fmt: skip
    column, lost = surface(frame)
    assert np.exp(column.losses[[0, -1]]) == pytest.approx([4.0, 2.0])
    assert not column.lost
    assert lost.lost
    assert 2 ** lost.steps[-1] == pytest.approx(2)  # its last finite loss
    assert surface(frame.assign(loss=np.nan)) == [None, None]


def test_what_diverged_is_marked_and_nothing_leads_to_it():
    figure = drawing.contours(synthetic.surfaces(rng(), rows=[MAIN]), FOOTER)
    base, scaled, bar = figure.axes
    marks = [[line.get_xydata()[0, 0] for line in axis.lines if line.get_marker() == "v"] for axis in (base, scaled)]
    assert marks == [[], [2048, 4096]]
    assert [text.get_text() for text in scaled.texts] == ["1/3"]
    filled = [part for part in scaled.collections if isinstance(part, ContourSet) and part.filled]
    assert not any(path.contains_point((2900, 1.5)) for part in filled for path in part.get_paths())
    first = synthetic.surfaces(rng(), rows=[MAIN]).query("step == 1").groupby(["column", "batch"])["loss"]
    top = first.agg(lambda losses: np.exp(np.log(losses).mean())).max()
    assert bar.get_ylim()[1] == pytest.approx(top, rel=0.05)  # the exploding losses do not take the colours


def test_panels_that_were_not_run_say_so_and_rows_are_named_in_the_footer():
    frame = synthetic.surfaces(rng(), rows=synthetic.ROWS[:2], seeds=1)
    frame = frame[~((frame["row"] == synthetic.ROWS[1]) & (frame["column"] == synthetic.COLUMNS[1]))]
    figure = drawing.contours(frame, FOOTER, rows=synthetic.ROWS, columns=synthetic.COLUMNS)
    assert_in_order(figure, data=False)
    said = [[text.get_text() for text in axis.texts] for axis in figure.axes[:4]]
    assert [texts == ["not run"] for texts in said] == [False, False, False, True]
    assert f"not run: {synthetic.ROWS[2]}" in figure._supxlabel.get_text()


# Approximation error, and a longer budget ----------------------------------------------------------------------------
def test_approximation_sets_error_beside_accuracy():
    frame = synthetic.errors(rng())
    left, right = drawing.approximation(frame, FOOTER).axes
    kept = frame[frame["error"].notna()]
    for axis, column, log in ((left, "error", True), (left, "same_batch_error", True), (right, "test_accuracy", False)):
        grouped = (np.log(kept[column]) if log else kept[column]).groupby(kept["batch"]).mean()
        want = np.exp(grouped) if log else grouped
        assert any(len(line.get_ydata()) == len(want) and np.allclose(line.get_ydata(), want) for line in axis.lines)
    assert any(list(line.get_ydata()) == [1.0, 1.0] for line in left.lines)
    assert crosses(left) == [(LAST, 0.95)]
    assert [text.get_text() for text in left.texts] == ["2/3"]


def test_an_infinite_error_of_a_run_that_did_not_diverge_keeps_its_accuracy():
    frame = pd.DataFrame({"batch": [64, 128], "seed": 0, "error": [0.1, np.inf], "test_accuracy": [70.0, 60.0],
                          "same_batch_error": [None, None], "diverged": False})  # fmt: skip
    left, right = drawing.approximation(frame, FOOTER).axes
    assert crosses(left) == [(128, 0.95)]
    assert right.lines[0].get_ydata().tolist() == [70.0, 60.0]


def test_longer_sets_the_large_batch_beside_the_level_of_the_small_one():
    frame = synthetic.budgets(rng())
    steps, accuracy = drawing.longer(frame, FOOTER).axes
    small = frame[frame["epochs"] == 15].query("series == 'batch 64, base rate'")
    level = [line.get_ydata()[0] for line in accuracy.lines if list(line.get_xdata()) == [0, 1]]
    assert level == pytest.approx([small["test_accuracy"].mean()])
    assert (15, pytest.approx(36)) in hollow(steps)  # ended after 36 steps, above the threshold
    assert [place for place, _ in crosses(steps)] == [60]
    assert crosses(accuracy) == [(60, 0.05)]
    (band,) = [part for part in accuracy.collections if isinstance(part, PolyCollection)][-1:]
    assert band.get_paths()[0].vertices[:, 1].min() > 50  # the diverged run's 10 % is in no mean


@pytest.mark.parametrize(
    ("draw", "frame", "words"),
    [
        (drawing.contours, synthetic.surfaces(rng()).drop(columns="step"), "missing: step"),
        (drawing.contours, synthetic.surfaces(rng()).assign(loss=np.nan), "no run with two finite losses"),
        (drawing.speedups, one_series().drop(columns="series"), "missing: series"),
        (drawing.speedups, one_series().iloc[:0], "empty"),
        (drawing.costs, one_series(), "missing: cost"),
        (drawing.approximation, synthetic.errors(rng()).assign(test_accuracy=0.7), "multiply fractions by 100"),
        (drawing.longer, synthetic.budgets(rng()).drop(columns="epochs"), "missing: epochs"),
    ],
)
def test_wrong_frames_are_refused_in_one_line(draw, frame, words):
    with pytest.raises(UsageError, match=re.escape(words)) as raised:
        draw(frame, FOOTER)
    assert "\n" not in str(raised.value)
