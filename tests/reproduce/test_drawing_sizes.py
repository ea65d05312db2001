"""Marks and panels of their own for reported numbers, in figures against the batch size."""

import numpy as np
import pytest
from synthetic_arms import footer, sizes

from reproduce import drawing

OTHER = "ImageNet, reported"


def drawn(**options):
    ours, reported = sizes(np.random.default_rng(0), lost=False)
    ours = ours[ours["panel"] == "C10, ResNet-20"]
    return drawing.against_size(
        ours, footer(), y_label="Error (%)", reported=reported.assign(panel=OTHER), marks_label="knee", **options
    )


def titles(figure):
    return [axis.get_title() for axis in figure.axes]


def test_reported_numbers_of_another_problem_have_a_panel_of_their_own():
    assert titles(drawn()) == ["C10, ResNet-20"]
    figure = drawn(reported_alone=True)
    assert titles(figure) == ["(a) C10, ResNet-20", f"(b) {OTHER}"]
    heights = [axis.get_ylim() for axis in figure.axes]
    assert heights[0] != heights[1]


def test_a_mark_stands_in_its_panel_and_in_the_legend():
    figure = drawn(reported_alone=True, marks={OTHER: 1024.0})
    at = [[line.get_xdata()[0] for line in axis.lines if len(set(line.get_xdata())) == 1] for axis in figure.axes]
    assert 1024.0 in at[1]
    assert 1024.0 not in at[0]
    assert "knee" in [text.get_text() for text in figure.legends[0].texts]
    assert "knee" not in [text.get_text() for text in drawn().legends[0].texts]


def test_a_mark_at_the_first_batch_size_has_room_beside_it():
    def left(mark):
        axis = drawn(marks={"C10, ResNet-20": mark}).axes[0]
        low, high = np.log2(axis.get_xlim())
        return (6 - low) / (high - low)  # 64 is the first size

    assert left(64.0) > 0.1 > left(256.0)


def test_a_point_that_is_only_a_bound_is_hollow():
    ours, _ = sizes(np.random.default_rng(0), lost=False)
    ours = ours[ours["panel"] == "C10, ResNet-20"]
    last = int(ours["batch"].max())
    figure = drawing.against_size(
        ours.assign(bound=ours["batch"] == last), footer(), y_label="Rate", bound_label="at an end of the grid"
    )
    hollow = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "white"]
    assert len(hollow) == ours["arm"].nunique()
    for line in hollow:
        assert list(line.get_xdata()) == [last]
    assert "at an end of the grid" in [text.get_text() for text in figure.legends[0].texts]


def test_the_spread_of_a_lone_point_is_seen():
    ours, _ = sizes(np.random.default_rng(0), lost=False)
    first = ours["arm"].iloc[0]
    ours = ours[(ours["panel"] == "C10, ResNet-20") & ((ours["arm"] != first) | (ours["batch"] == ours["batch"].min()))]
    figure = drawing.against_size(ours, footer(), y_label="Error (%)")
    (lines,) = [found for found in figure.axes[0].collections if hasattr(found, "get_segments")]
    ((_, low), (_, high)) = lines.get_segments()[0]
    values = ours.loc[ours["arm"] == first, "value"]
    assert [low, high] == pytest.approx([values.mean() - values.std(), values.mean() + values.std()])
