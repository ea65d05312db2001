import math
from itertools import pairwise

import pytest

from bsgap.errors import UsageError
from bsgap.optim import BaseRate, LinearScaling, SquareRootScaling, warm_up


@pytest.mark.parametrize("m", [1, 8, 64, 100, 16384])
def test_each_rule_is_its_formula(m):
    assert BaseRate(64).factor(m) == 1
    assert LinearScaling(64).factor(m) == pytest.approx(m / 64, rel=1e-12)
    assert SquareRootScaling(64).factor(m) == pytest.approx(math.sqrt(m / 64), rel=1e-12)


def test_the_rules_agree_at_the_base_batch_size():
    assert {rule(256).factor(256) for rule in (BaseRate, LinearScaling, SquareRootScaling)} == {1.0}


@pytest.mark.parametrize("factor", [0.25, 3.0, 256.0])
def test_the_warm_up_starts_at_the_base_rate_ends_at_the_full_one_and_climbs_in_equal_increments(factor):
    rates = [factor * warm_up(factor, step / 10, of=0.5) for step in range(8)]
    assert rates[0] == pytest.approx(1)
    assert rates[5:] == [pytest.approx(factor)] * 3
    increments = [after - before for before, after in pairwise(rates[:6])]
    assert increments == [pytest.approx((factor - 1) / 5)] * 5


def test_no_warm_up_is_the_full_rate_from_the_first_step():
    assert warm_up(8.0, 0.0, of=0.0) == 1


def test_a_constant_warm_up_stays_at_the_base_rate():
    rates = [8.0 * warm_up(8.0, step / 10, of=0.5, warmup="constant") for step in range(8)]
    assert rates == [1.0] * 5 + [8.0] * 3


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LinearScaling(0), "base_batch_size must be at least 1, got 0"),
        (lambda: LinearScaling(64, -1), "warmup_epochs must be 0 or more, got -1"),
        (lambda: LinearScaling(64, 1, "steep"), "warmup must be one of gradual, constant or absent, got 'steep'"),
        (lambda: BaseRate(64).factor(0), "batch_size must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_is_refused(make, words):
    with pytest.raises(UsageError, match=words):
        make()
