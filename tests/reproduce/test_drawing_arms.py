import re

import numpy as np
import pandas as pd
import pytest
import synthetic_arms as synthetic
from layout import assert_in_order, drawn
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from bsgap.errors import UsageError
from reproduce import drawing
from reproduce.drawing import style
from reproduce.drawing.arms import aligned

FOOTER = synthetic.footer("a note")
ARMS = synthetic.ARMS
LABELS = {"Training loss": "Training loss (nats, log)", "Test error": "Test error (%)"}
LOST = {(ARMS[2], 0), (ARMS[2], 1), (ARMS[1], 2)}


def rng():
    return np.random.default_rng(1)


def sizes(**options):
    frame, reported = synthetic.sizes(rng())
    return drawing.against_size(frame, FOOTER, y_label="Test error (%)", reported=reported, **options)


def walks(panels=None):
    frame, fits = synthetic.walks(rng())
    return drawing.diffusion(frame if panels is None else frame[frame["panel"].isin(panels)], FOOTER, fits)


def bars(**options):
    frame, reported = synthetic.times(rng())
    options = {"reported": reported, "reference_label": "no speed-up", "words": "{:.2f}×"} | options
    return drawing.bars(frame, FOOTER, y_label="Speed-up of a step", **options)


FIGURES = {
    "arm_curves": lambda: drawing.arm_curves(
        synthetic.curves(rng()), FOOTER, y_label=LABELS, log_y=["Training loss"],
        marks={"Training loss": [30, 45]}, marks_label="milestones",
    ),
    "arm_curves, updates": lambda: drawing.arm_curves(
        synthetic.curves(rng(), lost=LOST), FOOTER, y_label=LABELS, x="step", log_y=True
    ),
    "arm_curves, log x": lambda: drawing.arm_curves(
        synthetic.curves(rng()), FOOTER, y_label="Value", x="step", log_x=True
    ),
    "arm_curves, one panel": lambda: drawing.arm_curves(
        synthetic.curves(rng(), panels=("Test error",)), FOOTER, y_label="Test error (%)"
    ),
    "arm_curves, many": lambda: drawing.arm_curves(
        synthetic.curves(rng(), panels=list("abcde"), arms=[f"arm {n}" for n in range(8)]), FOOTER, y_label="Value"
    ),
    "arm_curves, schedules": lambda: drawing.arm_curves(
        synthetic.schedules(), FOOTER, y_label={"Learning rate": "Rate", "Batch size": "Examples"}, log_y=True,
        drawstyle="steps-post",
    ),
    "against_size": sizes,
    "against_size, log": lambda: sizes(log_y=True, deviations=2.0),
    "diffusion": walks,
    "diffusion, one panel": lambda: walks(["before: one rate"]),
    "bars": bars,
    "bars, nothing reported": lambda: bars(reported=None, words=None, reference=None),
}  # fmt: skip


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_labelled_and_nothing_overlaps(name):
    figure = FIGURES[name]()
    assert_in_order(figure)
    assert len(figure.legends) == 1
    panels = sum(bool(axis.get_title()) for axis in figure.axes)
    assert figure.get_figwidth() == (style.COLUMN_WIDTH if panels == 1 else style.TEXT_WIDTH)
    assert "a note" in figure._supxlabel.get_text()
    assert all(axis.get_xlabel() or "bars" in name for axis in figure.axes)


def lines_of(axis, colour):
    return [line for line in axis.lines if to_hex(line.get_color()) == colour.lower() and len(line.get_xdata()) > 2]


def words_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


# Curves --------------------------------------------------------------------------------------------------------------
def test_curves_are_means_over_seeds_with_a_label_for_each_panel():
    frame = synthetic.curves(rng())
    figure = FIGURES["arm_curves"]()
    assert [axis.get_ylabel() for axis in figure.axes] == list(LABELS.values())
    assert [axis.get_yscale() for axis in figure.axes] == ["log", "linear"]
    assert words_of(figure) == [*ARMS, "milestones"]
    chosen = frame[(frame["panel"] == "Test error") & (frame["arm"] == ARMS[1])]
    (line,) = lines_of(figure.axes[1], style.VERMILLION)
    np.testing.assert_allclose(line.get_ydata(), chosen.groupby("epoch")["value"].mean())
    logs = np.log(frame[(frame["panel"] == "Training loss") & (frame["arm"] == ARMS[1])].set_index("epoch")["value"])
    (line,) = lines_of(figure.axes[0], style.VERMILLION)
    np.testing.assert_allclose(np.log(line.get_ydata()), logs.groupby("epoch").mean())
    dotted = [line for line in figure.axes[0].lines if len(set(line.get_xdata())) == 1]
    assert [line.get_xdata()[0] for line in dotted] == [30, 45]


def test_a_diverged_run_is_thin_and_ends_in_a_cross_inside_the_panel():
    frame = synthetic.curves(rng(), panels=("Test error",), lost=LOST)
    figure = drawing.arm_curves(frame, FOOTER, y_label="Test error (%)")
    axis = figure.axes[0]
    assert "diverged" in words_of(figure)
    crosses = [line for line in axis.lines if line.get_marker() == "X"]
    assert sorted(to_hex(line.get_color()) for line in crosses) == sorted(
        [style.VERMILLION.lower(), style.GREEN.lower(), style.GREEN.lower()]
    )
    low, high = axis.get_ylim()
    assert all(low < line.get_ydata()[0] < high for line in crosses)
    assert high < 80  # the values that exploded, up to 20,000, do not stretch the axis
    kept = frame[(frame["arm"] == ARMS[2]) & (frame["seed"] == 2)].sort_values("epoch")
    mean = max(lines_of(axis, style.GREEN), key=lambda line: len(line.get_xdata()))
    np.testing.assert_allclose(mean.get_ydata(), kept["value"])  # of what did not diverge
    for line in crosses:  # on its line
        runs = [run for run in axis.lines if run.get_linewidth() == 0.6 and run.get_color() == line.get_color()]
        at = line.get_xdata()[0]
        assert any(
            np.isclose(np.interp(at, run.get_xdata(), run.get_ydata()), line.get_ydata()[0], rtol=1e-6) for run in runs
        )


def test_a_panel_in_which_every_run_diverged_still_shows_where_they_began():
    frame = synthetic.curves(rng(), panels=("Test error",), lost={(ARMS[0], seed) for seed in range(3)})
    figure = drawing.arm_curves(frame[frame["arm"] == ARMS[0]], FOOTER, y_label="Test error (%)")
    assert_in_order(figure)
    low, high = figure.axes[0].get_ylim()
    assert low <= 50 < high < 200


def test_arms_are_told_apart_without_colour_on_the_curves_and_in_the_legend():
    figure = FIGURES["arm_curves"]()
    curves = [line.get_marker() for line in figure.axes[0].lines if len(line.get_xdata()) > 2]
    named = [line.get_marker() for line in figure.legends[0].get_lines()]
    assert curves == named[: len(ARMS)] == ["o", "s", "D"]
    heights = FIGURES["bars"]().axes[0].patches
    assert len({patch.get_hatch() for patch in heights}) == 3


def test_a_logarithmic_axis_of_updates_says_so():
    figure = FIGURES["arm_curves, log x"]()
    assert {axis.get_xlabel() for axis in figure.axes} == {"Updates (optimizer steps, log)"}


@pytest.mark.parametrize(
    ("limits", "want"),
    [
        ((36, 92), ["40", "50", "60", "80"]), ((0.87, 2.4), ["1", "1.5", "2"]), ((7, 95), ["10", "20", "50"]),
        ((30, 6000), ["30", "100", "300", "1000", "3000"]), ((70.5, 74.5), ["71", "72", "73", "74"]),
        ((8, 9000), None), ((1e-5, 1e-3), None),
    ],
)  # fmt: skip
def test_a_short_logarithmic_axis_names_at_least_three_numbers(limits, want):
    figure = Figure()
    axis = figure.add_subplot()
    axis.set_yscale("log")
    axis.set_ylim(limits)
    style.plain_if_short(axis.yaxis)
    drawn(figure)
    places = [tick for tick in axis.get_yticks() if limits[0] <= tick <= limits[1]]
    names = axis.yaxis.get_major_formatter().format_ticks(places)
    assert names == want if want else all("10^" in name for name in names)


def test_schedules_are_steps_told_apart_where_they_coincide():
    figure = FIGURES["arm_curves, schedules"]()
    lines = figure.axes[0].lines
    assert {line.get_drawstyle() for line in lines} == {"steps-post"}
    assert len({str(line._unscaled_dash_pattern) for line in lines}) == 3


@pytest.mark.parametrize(("stepped", "want"), [(False, [1.5, 2.0, 3.0]), (True, [1.0, 2.0, 3.0])])
def test_runs_without_common_abscissae_are_interpolated_up_to_the_shortest(stepped, want):
    runs = pd.DataFrame({"seed": [0, 0, 0, 1, 1, 1], "step": [0, 10, 20, 5, 10, 30], "value": [1, 2, 3, 5, 6, 7.0]})
    found = aligned(runs, "step", stepped=stepped)
    assert found.loc[found["seed"] == 0, "step"].tolist() == [5, 10, 20]
    assert found.loc[found["seed"] == 0, "value"].tolist() == want
    assert aligned(runs[runs["seed"] == 0], "step")["value"].tolist() == [1, 2, 3]


def test_the_logarithm_is_interpolated_on_a_logarithmic_axis():
    runs = pd.DataFrame({"seed": [0, 0, 1, 1, 1], "step": [0, 2, 0, 1, 2], "value": [1, 100, 1, 1, np.nan]})
    found = aligned(runs, "step", log=True)
    assert found.loc[found["seed"] == 0, "value"].tolist() == pytest.approx([1, 10])


def test_a_long_axis_counts_in_thousands():
    figure = FIGURES["arm_curves, updates"]()
    drawn(figure)
    words = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert {"0", "5k", "20k"} <= set(words)


# Against the batch size ----------------------------------------------------------------------------------------------
def test_bands_are_as_wide_as_asked_and_the_footer_says_so():
    frame = pd.DataFrame({"panel": "p", "arm": "a", "seed": [0, 1, 0, 1], "batch": [64, 64, 128, 128],
                          "value": [1.0, 3.0, 2.0, 2.0]})  # fmt: skip
    for deviations in (1.0, 2.0):
        figure = drawing.against_size(frame, FOOTER, y_label="Error (%)", deviations=deviations)
        (band,) = figure.axes[0].collections
        heights = band.get_paths()[0].vertices[:, 1]
        assert (heights.min(), heights.max()) == pytest.approx(
            (2 - deviations * np.sqrt(2), 2 + deviations * np.sqrt(2))
        )
        assert f"mean ± {deviations:g} std" in figure._supxlabel.get_text()


def test_reported_numbers_are_hollow_in_the_colour_of_their_arm_in_panels_that_exist():
    frame, reported = synthetic.sizes(rng())
    other = reported.assign(panel="not run")
    figure = drawing.against_size(
        frame, FOOTER, y_label="Error (%)", reported=pd.concat([reported, other]), reported_label="reported [P]"
    )
    assert [axis.get_title() for axis in figure.axes] == ["(a) C10, ResNet-20", "(b) C100, ResNet-20"]
    hollow = [
        [line for line in axis.lines if line.get_markerfacecolor() == "white" and line.get_marker() in ("o", "s")]
        for axis in figure.axes
    ]
    assert [len(found) for found in hollow] == [2, 0]
    assert [to_hex(line.get_color()) for line in hollow[0]] == [style.BLUE.lower(), style.VERMILLION.lower()]
    np.testing.assert_allclose(
        np.asarray(hollow[0][1].get_ydata(), float), reported.loc[reported["arm"] == "no warm-up", "mean"].astype(float)
    )
    assert words_of(figure)[1::2] == ["gradual warm-up, reported [P]", "no warm-up, reported [P]"]


def test_an_arm_that_is_only_reported_has_its_own_colour():
    frame, reported = synthetic.sizes(rng())
    figure = drawing.against_size(
        frame, FOOTER, y_label="Error (%)", reported=reported.assign(arm="constant warm-up", std=np.nan)
    )
    assert words_of(figure)[:3] == ["gradual warm-up", "no warm-up", "constant warm-up, reported"]
    assert_in_order(figure)


@pytest.mark.parametrize("worse", ["up", "down"])
def test_diverged_runs_are_crosses_at_the_bad_edge(worse):
    figure = sizes(worse=worse)
    axis = figure.axes[1]
    crosses = [line for line in axis.lines if line.get_marker() == "X"]
    assert [line.get_xdata()[0] for line in crosses] == [1024, 2048]
    assert all((line.get_ydata()[0] > 0.5) == (worse == "up") for line in crosses)
    assert [text.get_text() for text in axis.texts] == ["1/3", "2/3"]


# Diffusion -----------------------------------------------------------------------------------------------------------
def test_fits_are_dashed_over_the_steps_fitted_and_named_with_their_slopes():
    frame, fits = synthetic.walks(rng())
    figure = walks()
    axis = figure.axes[0]
    assert axis.get_xscale() == "log"
    dashed = [line for line in axis.lines if line.get_linestyle() == "--"]
    assert len(dashed) == frame["batch"].nunique()
    chosen = fits[(fits["panel"] == "before: one rate") & (fits["batch"] == 64)]
    x, y = (np.asarray(values, float) for values in dashed[0].get_data())
    assert x.tolist() == [4, chosen["high"].max()]
    assert (y[1] - y[0]) / np.log(x[1] / x[0]) == pytest.approx(chosen["slope"].mean())
    named = [text.get_text() for text in axis.get_legend().get_texts()]
    assert named[0].startswith(f"$s$ = {chosen['slope'].mean():.2f} ± ")
    assert words_of(figure)[-1] == r"fit $a + s\,\ln t$"


def test_without_fits_there_are_only_the_distances():
    frame, _ = synthetic.walks(rng())
    figure = drawing.diffusion(frame, FOOTER)
    assert_in_order(figure)
    assert figure.axes[0].get_legend() is None
    assert len(figure.axes[0].lines) == 5


# Bars ----------------------------------------------------------------------------------------------------------------
def test_bars_are_means_with_every_seed_and_the_reported_number():
    frame, reported = synthetic.times(rng())
    figure = bars()
    axis = figure.axes[1]
    heights = [patch.get_height() for patch in axis.patches]
    backward = frame[frame["panel"] == "Backward"]
    want = backward.groupby(["arm", "group"], sort=False)["value"].mean()
    np.testing.assert_allclose(sorted(heights), sorted(want))
    diamonds = [line for line in axis.lines if line.get_marker() == "D"]
    assert len(diamonds) == len(reported) / 2
    dots = [line for line in axis.lines if line.get_marker() == "o"]
    assert sum(len(line.get_xdata()) for line in dots) == len(backward)
    assert any(list(line.get_ydata()) == [1, 1] for line in axis.lines)
    assert words_of(figure)[3:] == ["one seed", "reported", "no speed-up"]
    assert axis.get_ylim()[0] == 0


def test_a_bar_of_diverged_runs_is_a_cross():
    frame, _ = synthetic.times(rng())
    gone = (frame["arm"] == "adaptive to 2048") & (frame["group"] == "AlexNet, CIFAR-100")
    frame.loc[gone, "value"] = np.nan
    frame.loc[frame.index[0], "value"] = np.inf
    figure = drawing.bars(frame, FOOTER, y_label="Speed-up", words="{:.1f}")
    assert_in_order(figure)
    axis = figure.axes[0]
    assert len([line for line in axis.lines if line.get_marker() == "X"]) == 2
    assert "1/3" in [text.get_text() for text in axis.texts]
    assert len(axis.patches) == 3 * 3 - 1
    assert "diverged" in words_of(figure)


# Wrong frames --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("draw", "frame", "words"),
    [
        (drawing.arm_curves, synthetic.curves(rng()).drop(columns="epoch"), "missing: epoch"),
        (drawing.arm_curves, synthetic.curves(rng()).iloc[:0], "empty"),
        (drawing.against_size, synthetic.sizes(rng())[0].drop(columns="batch"), "missing: batch"),
        (drawing.diffusion, synthetic.walks(rng())[0].drop(columns="value"), "missing: value"),
        (drawing.bars, synthetic.times(rng())[0].drop(columns=["arm", "group"]), "missing: group, arm"),
    ],
)
def test_wrong_frames_are_refused_in_one_line(draw, frame, words):
    options = {} if draw is drawing.diffusion else {"y_label": "y"}
    with pytest.raises(UsageError, match=re.escape(words)) as raised:
        draw(frame, FOOTER, **options)
    assert "\n" not in str(raised.value)
