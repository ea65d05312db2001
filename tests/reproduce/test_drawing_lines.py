"""Curves along a line through weight space, and points over the ratio of rate to batch size."""

import numpy as np
import pandas as pd
import pytest
from synthetic_arms import footer

from bsgap.errors import UsageError
from reproduce import drawing

ALPHAS = np.linspace(-0.5, 0.5, 11)


def curves(panels=("C1",), arms=("batch 16", "batch 1024"), seeds=2):
    rows = [
        {"panel": panel, "arm": arm, "seed": seed, "distance": alpha, "value": 0.1 + (1 + place) * alpha**2 + 0.01 * seed}
        for panel in panels
        for place, arm in enumerate(arms)
        for seed in range(seeds)
        for alpha in ALPHAS
    ]  # fmt: skip
    return pd.DataFrame(rows)


def lines(frame, **options):
    options = {"x": "distance", "x_label": "Distance", "y_label": "Loss"} | options
    return drawing.lines(frame, footer(), **options)


def texts(figure):
    return [text.get_text() for text in figure.legends[0].texts]


def note(figure):
    return " ".join(figure._supxlabel.get_text().split())


def test_a_curve_is_the_mean_over_seeds(tmp_path):
    figure = lines(curves(), marks={0.0: "solution"})
    (axis,) = figure.axes
    first, second, mark = axis.lines
    assert first.get_ydata() == pytest.approx(0.105 + ALPHAS**2)
    assert second.get_ydata() == pytest.approx(0.105 + 2 * ALPHAS**2)
    assert first.get_linestyle() != second.get_linestyle()  # told apart in grey
    assert mark.get_xdata() == [0.0, 0.0]
    assert [text.get_text() for text in axis.texts] == ["solution"]
    assert texts(figure) == ["batch 16", "batch 1024"]
    drawing.save(figure, tmp_path, "lines", curves())
    assert (tmp_path / "lines.pdf").stat().st_size > 5000


def test_a_loss_that_is_not_finite_is_left_out_and_counted():
    frame = curves()
    frame.loc[0, "value"] = np.inf
    assert "1 value not finite" in note(lines(frame))
    assert "band: mean ± 1 std over seeds" in note(lines(frame))
    assert "band" not in note(lines(curves(seeds=1)))


def test_panels_have_axes_of_their_own():
    figure = lines(curves(("loss", "accuracy")), y_label={"loss": "Loss", "accuracy": "Accuracy"}, log_y=["loss"])
    assert [axis.get_yscale() for axis in figure.axes] == ["log", "linear"]
    assert [axis.get_ylabel() for axis in figure.axes] == ["Loss", "Accuracy"]
    assert [axis.get_title() for axis in figure.axes] == ["(a) loss", "(b) accuracy"]


def pairs(seeds=3, panels=("norm",)):
    rows = [
        {"panel": panel, "rate": rate, "batch": batch, "seed": seed, "value": 2e-3 * batch / rate * 2.0 ** (seed - 1)}
        for panel in panels
        for rate, batch in ((0.05, 50), (0.05, 100), (0.025, 50), (0.05, 200))
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows)


def test_pairs_of_one_ratio_stand_side_by_side(tmp_path):
    figure = drawing.against_ratio(pairs(), footer(), y_label="Norm", log_y=True)
    (axis,) = figure.axes
    assert axis.get_xscale() == axis.get_yscale() == "log"
    points = {line.get_marker(): line.get_xydata() for line in axis.lines if line.get_marker() in "osD"}
    small, middle, large = (points[marker] for marker in "osD")
    assert small[:, 1] == pytest.approx([4.0, 2.0])  # the geometric mean over seeds
    assert middle[0, 1] == pytest.approx(4.0)
    assert small[0, 0] < 5 < middle[0, 0] * 1.001  # the same ratio, apart on the page
    assert middle[0, 0] / small[0, 0] < 1.2
    assert large[0, 0] == pytest.approx(2.5, rel=0.2)
    assert texts(figure) == ["batch 50", "batch 100", "batch 200"]
    assert "bar: ± 1 std over seeds (of the logarithm on log axes)" in note(figure)
    drawing.save(figure, tmp_path, "ratios", pairs())
    assert (tmp_path / "ratios.pdf").stat().st_size > 5000


def test_a_run_that_diverged_is_counted():
    frame = pairs(seeds=1)
    frame.loc[1, "value"] = np.nan
    figure = drawing.against_ratio(frame, footer(), y_label="Norm")
    assert "1 value not finite" in note(figure)
    assert "bar:" not in note(figure)
    assert figure.axes[0].get_yscale() == "linear"


@pytest.mark.parametrize("draw", [lines, lambda frame: drawing.against_ratio(frame, footer(), y_label="")])
def test_frames_that_cannot_be_drawn_are_refused(draw):
    with pytest.raises(UsageError, match="needs the columns"):
        draw(pd.DataFrame({"panel": ["a"]}))
    with pytest.raises(UsageError, match="empty frame"):
        draw(curves().assign(rate=1, batch=1).iloc[:0])
