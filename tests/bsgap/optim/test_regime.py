import math

import pytest

from bsgap.errors import UsageError
from bsgap.optim import PeriodicDecay, PolynomialDecay, StepDecay, adapt_regime


@pytest.mark.parametrize("small", [32, 128])
@pytest.mark.parametrize("large", [256, 1000, 4096])
def test_the_updates_and_where_the_rate_changes_stay(small, large):
    examples, ratio = 50_000, large / small
    assert adapt_regime(200, ratio) * examples / large == pytest.approx(200 * examples / small)
    before, after = StepDecay([81, 122, 164]), adapt_regime(StepDecay([81, 122, 164]), ratio)
    for update in range(0, 200 * examples // small, 997):
        assert after.factor(update * large / examples) == before.factor(update * small / examples)


@pytest.mark.parametrize("decay", [StepDecay([1, 2], [0.5, 0.1]), PeriodicDecay(3), PolynomialDecay(9)])
def test_a_decay_is_stretched(decay):
    assert adapt_regime(decay, 8) == decay.stretched(8)


def test_whole_numbers_stay_whole_where_they_can():
    found = adapt_regime([81, 122.5], 4)
    assert found == [324, 490.0]
    assert [type(number) for number in (*found, adapt_regime(5, 1.5))] == [int, float, float]


@pytest.mark.parametrize("ratio", [0, -1, math.nan, math.inf])
def test_a_ratio_that_is_none_is_refused(ratio):
    with pytest.raises(UsageError, match="ratio must be above 0"):
        adapt_regime(10, ratio)


def test_negative_epochs_are_refused():
    with pytest.raises(UsageError, match="a number of epochs must be 0 or more, got -2"):
        adapt_regime([1, -2], 2)
