"""The numbers that are made of curves, on curves whose answers are known."""

import math

import numpy as np
import pytest

from reproduce.papers.li.shape import correlation, rise, width

ALPHAS = np.linspace(-0.5, 1.5, 41)


def test_the_rise_of_a_parabola():
    # around its minimum c (alpha - a)^2 rises by c times the mean squared distance
    for at in (0.0, 1.0):
        losses = 3 * (ALPHAS - at) ** 2 + 0.2
        squares = np.mean([0.1**2, 0.15**2, 0.2**2, 0.25**2])
        assert rise(ALPHAS, losses, at, near=0.1, far=0.25) == pytest.approx(3 * squares)


def test_a_line_does_not_rise_in_the_mean():
    assert rise(ALPHAS, 5 - 2 * ALPHAS, 1.0, near=0.1, far=0.25) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("points", [21, 41, 101, 401])
@pytest.mark.parametrize("at", [0.0, 1.0])
def test_every_grid_of_the_study_has_the_ends_and_neighbours(points, at):
    alphas = [-0.5 + 2 * index / (points - 1) for index in range(points)]
    assert math.isfinite(rise(alphas, np.zeros(points), at, near=0.1, far=0.25))


def test_a_rise_that_cannot_be_had_is_nan():
    assert math.isnan(rise([0.3, 0.6], [1.0, 2.0], 0.0, near=0.1, far=0.5))
    assert math.isnan(rise([0.0, 1.0], [1.0, 2.0], 0.0, near=0.1, far=0.5))
    assert math.isnan(rise([0.0, 0.1], [1.0, math.inf], 0.0, near=0.1, far=0.5))


def test_losses_count_as_far_as_the_picture_shows_them():
    for wild in (1e19, math.inf, math.nan):
        assert rise([0.0, 0.1, 0.2], [1.0, 2.0, wild], 0.0, near=0.1, far=0.2, top=5.0) == pytest.approx((1 + 4) / 2)
    assert rise([0.0, 0.1], [7.0, 9.0], 0.0, near=0.1, far=0.1, top=5.0) == 0


def test_the_width_is_the_mean_of_both_sides():
    alphas = np.linspace(-1, 1, 41)
    losses = np.where(alphas < 0, -4 * alphas, 2 * alphas) + 0.3
    assert width(alphas, losses) == pytest.approx((0.25 + 0.5) / 2)
    assert width(alphas, losses, by=0.5) == pytest.approx((0.125 + 0.25) / 2)


def test_a_side_that_never_rises_has_no_width_and_one_that_explodes_ends_there():
    alphas = [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert width(alphas, [3.0, 1.0, 0.0, 0.1, 0.2]) == math.inf
    assert width(alphas, [math.nan, 0.5, 0.0, 0.5, math.inf]) == 0.5


def test_correlations():
    values = [1.0, 2.0, 4.0, 3.0]
    assert correlation(values, [-v for v in values]) == pytest.approx(-1)
    assert correlation(values, [3.0, 1.0, 2.0, 2.5]) == pytest.approx(np.corrcoef(values, [3, 1, 2, 2.5])[0, 1])
    for bad in ([1.0, 1.0, 1.0, 1.0], [1.0, math.nan, 2.0, 3.0]):
        assert math.isnan(correlation(values, bad))
    assert math.isnan(correlation([1.0, 2.0], [1.0, 2.0]))
