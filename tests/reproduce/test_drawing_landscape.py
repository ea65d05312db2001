import numpy as np
import pandas as pd
import pytest
from layout import assert_in_order, drawn

from bsgap.errors import UsageError
from reproduce import drawing
from reproduce.drawing.landscape_levels import grid, levels

TITLES = ("0, 128, 34.21 %", "0, 820, 41.07 %", "0.0005, 128, 33.00 %", "0.0005, 820, 40.19 %")
FOOTER = drawing.Footer(scale="demo", data="an analogue", seeds=1, statistics="running", machine="2-core CPU")


def lines(count=4):
    alphas = np.linspace(-1, 1, 11)
    return pd.concat(
        pd.DataFrame({"panel": title, "split": split, "alpha": alphas, "loss": low + (index + 1) * alphas**2})
        for index, title in enumerate(TITLES[:count])
        for split, low in (("train", 0.02), ("test", 0.9))
    ).assign(accuracy=lambda frame: 100 * np.exp(-frame["loss"]))


def planes(count=4, side=9):
    alphas, betas = (each.ravel() for each in np.meshgrid(*[np.linspace(-1, 1, side)] * 2))
    return pd.concat(
        pd.DataFrame(
            {"panel": title, "alpha": alphas, "beta": betas, "loss": 0.02 + (1 + i) * alphas**2 + 3 * betas**2}
        )
        for i, title in enumerate(TITLES[:count])
    )


FIGURES = {
    "curves": lambda: drawing.landscape_curves(lines(), FOOTER),
    "curves, one panel": lambda: drawing.landscape_curves(lines(1), FOOTER, top=1.0),
    "contours": lambda: drawing.landscape_contours(planes(), FOOTER),
    "contours, one panel": lambda: drawing.landscape_contours(planes(1), FOOTER, top=2.0),
    "contours, five panels": lambda: drawing.landscape_contours(
        pd.concat([planes(), planes(1).assign(panel="another")]), FOOTER
    ),
    "surface": lambda: drawing.landscape_surface(planes(1), FOOTER),
    "surface, four panels": lambda: drawing.landscape_surface(planes(), FOOTER, top=2.0),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_labelled_and_nothing_overlaps(name):
    figure = FIGURES[name]()
    assert_in_order(figure)
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    assert len(titles) == {"one panel": 1, "five panels": 5, "surface": 1}.get(name.split(", ")[-1], 4)
    assert figure.get_figwidth() * 72.27 == pytest.approx(252 if len(titles) == 1 else 516)
    assert "BatchNorm in evaluation: running statistics" in figure._supxlabel.get_text().replace("\n", " ")


def test_titles_stand_above_their_panels_within_the_page():
    figure = FIGURES["contours"]()
    renderer = drawn(figure)
    for axis in figure.axes[:4]:
        assert axis.title.get_window_extent(renderer).y1 <= figure.bbox.y1 + 1


def test_curves_have_loss_left_accuracy_right_and_the_same_axes_in_all_panels():
    figure = FIGURES["curves"]()
    lefts, rights = figure.axes[:4], figure.axes[4:]
    assert len({axis.get_ylim() for axis in lefts}) == len({axis.get_ylim() for axis in rights}) == 1
    frame = lines()
    shown = frame[(frame["panel"] == TITLES[0]) & (frame["split"] == "test")]
    assert any(np.allclose(line.get_ydata(), shown["loss"]) for line in lefts[0].lines if len(line.get_ydata()) == 11)
    assert any(np.allclose(line.get_ydata(), shown["accuracy"]) for line in rights[0].lines)
    assert "losses above 1 are not shown" in FIGURES["curves, one panel"]()._supxlabel.get_text().replace("\n", " ")


def test_level_lines_lie_where_the_loss_is_theirs():
    figure = drawing.landscape_contours(planes(1, side=41), FOOTER)
    (lines_,) = [artist for artist in figure.axes[0].collections if not artist.filled]
    for level, parts in zip(lines_.levels, lines_.allsegs, strict=True):
        for alphas, betas in (part.T for part in parts):
            assert np.allclose(0.02 + alphas**2 + 3 * betas**2, level, rtol=0.05)


def test_labels_of_level_lines_do_not_cover_each_other():
    figure = drawing.landscape_contours(planes(1, side=41), FOOTER)
    renderer = drawn(figure)
    labels = [text.get_window_extent(renderer) for text in figure.axes[0].texts]
    assert len(labels) >= 3
    assert not [pair for i, pair in enumerate(labels) for other in labels[:i] if pair.overlaps(other)]


def test_what_is_not_finite_is_left_out_and_counted():
    frame = planes(1)
    frame.loc[0, "loss"] = np.inf
    text = drawing.landscape_contours(frame, FOOTER)._supxlabel.get_text().replace("\n", " ")
    assert "1 value not finite (diverged), left out" in text
    drawn(drawing.landscape_surface(frame, FOOTER))
    assert np.isnan(grid(frame, "x")[2][0, 0])


def test_a_surface_is_drawn_on_a_logarithmic_axis_and_cut_off():
    axis = drawing.landscape_surface(planes(1), FOOTER, top=2.0).axes[0]
    low, high = np.exp(axis.get_zlim())
    assert low == pytest.approx(0.02)
    assert high == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.11, 3.0], [0.1, 0.2, 0.3, 0.5, 1, 2, 3]),
        ([0.9, 1.0], [0.9, 0.92, 0.94, 0.96, 0.98, 1.0]),
        ([np.nan], [0.1, 1.0]),
    ],
)
def test_levels_are_round(values, expected):
    assert levels([np.array(values)]) == expected


def test_levels_are_few_over_many_decades():
    assert 4 <= len(levels([np.array([1e-6, 1e4])])) <= 12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="beta"), "missing: beta"),
        (lambda f: f.iloc[:-1], "needs a whole grid"),
        (lambda f: f[f["beta"] == -1], "needs a whole grid"),
        (lambda f: pd.concat([f, f]), "is there twice"),
    ],
)
def test_frames_that_are_no_grid(change, message):
    for draw in (drawing.landscape_contours, drawing.landscape_surface):
        with pytest.raises(UsageError, match=message):
            draw(change(planes(1)), FOOTER)


def test_accuracies_that_are_fractions():
    with pytest.raises(UsageError, match="must be per cent"):
        drawing.landscape_curves(lines().assign(accuracy=0.5), FOOTER)
