"""The knee of error against batch size, on curves whose knee is known."""

import math

import pytest

from reproduce.papers.goyal import facts
from reproduce.papers.goyal.knee import knee

NAN = math.nan


def curve(*means, spread=0.1):
    """Three seeds at 16, 32, ...; all batch sizes of a seed are shifted alike, but for a small seesaw."""
    wiggle = (-spread, 0.0, spread)
    return {
        16 * 2**place: {seed: mean + seed + wiggle[(seed + place) % 3] for seed in range(3)}
        for place, mean in enumerate(means)
    }


def test_the_last_level_batch_before_the_error_rises():
    found = knee(curve(20, 20.2, 19.9, 22, 25), 16, 1.0)
    assert (found.batch, found.found, found.shown, found.beyond) == (64, True, 64, 128)
    assert [step.level for step in found.steps] == [True, True, True, False, False]
    assert found.steps[3].above.estimate == pytest.approx(2.0)
    assert found.words() == (
        "knee: 64, the last batch size whose mean error stays within 1 point of the base's; by the intervals level up "
        "to 64, not level at 128"
    )


def test_a_curve_that_stays_level_has_no_knee():
    found = knee(curve(20, 20.5, 20.9), 16, 1.0)
    assert (found.batch, found.found, found.beyond) == (64, False, None)
    assert found.words().startswith("no knee up to 64: the mean error stays within 1 point of the base's")


def test_a_level_batch_behind_one_that_is_not_counts_for_nothing():
    found = knee(curve(20, 23, 20), 16, 1.0)
    assert (found.batch, [step.level for step in found.steps]) == (16, [True, False, False])
    assert found.words() == (
        "knee: at the base, 16, or below, as the mean error at 32 is not within 1 point of it; by the intervals level "
        "nowhere beyond 16, not level at 32"
    )


def test_means_decide_where_intervals_are_wide():
    found = knee(curve(20, 20.2, 24, spread=3.0), 16, 1.0)
    assert (found.batch, found.shown, found.beyond) == (32, 16, None)
    assert found.words().endswith("; by the intervals level nowhere beyond 16, and nowhere shown not to be")


def test_a_batch_of_which_a_run_diverged_is_not_level():
    errors = curve(20, 20.1, 20.1)
    errors[32][1] = NAN
    found = knee(errors, 16, 1.0)
    assert (found.batch, found.found, found.shown, found.beyond) == (16, True, 16, None)
    errors[32] = dict.fromkeys(range(3), NAN)
    assert knee(errors, 16, 1.0).batch == 16


def test_batch_sizes_below_the_base_do_not_count():
    assert knee(curve(30, 20, 20.1), 32, 1.0).steps[0].batch == 32


def test_one_seed_gives_a_knee_and_shows_nothing():
    found = knee({batch: {0: values[0]} for batch, values in curve(20, 20.1, 24).items()}, 16, 1.0)
    assert (found.batch, found.shown, found.beyond) == (32, 16, None)


@pytest.mark.parametrize("errors", [{}, {16: {0: 1.0}}, {32: {0: 1.0}, 64: {0: 1.0}}])
def test_nothing_to_say_without_the_base_or_beside_it(errors):
    assert knee(errors, 16, 1.0) is None


@pytest.mark.parametrize(("tolerance", "batch"), [(0.1, 4096), (0.5, 8192), (1.0, 8192), (1.5, 16_384)])
def test_the_knee_of_the_papers_own_means(tolerance, batch):
    assert facts.level_until(tolerance) == batch
    means = {size: {0: mean} for size, (mean, _) in facts.FIGURE1.items()}
    assert knee(means, facts.BASE, tolerance + 1e-9).batch == batch
