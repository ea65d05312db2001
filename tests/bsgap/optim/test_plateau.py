import math

import pytest

from bsgap.errors import UsageError
from bsgap.optim.plateau import Plateau


def test_patience_counts_looks_without_improvement():
    plateau = Plateau("min", patience=2)
    assert [plateau.passed(value) for value in (1.0, 1.0, 1.0, 1.0, 1.0, 0.9, 0.9)] == [
        False, False, False, True, False, False, False,
    ]  # fmt: skip


def test_mode_and_least_change():
    plateau = Plateau("max", min_delta=0.1)
    assert [plateau.passed(value) for value in (0.5, 0.55, 0.75, 0.8)] == [False, True, False, True]


def test_not_a_number_is_no_improvement_and_none_no_look():
    plateau = Plateau()
    assert [plateau.passed(value) for value in (1.0, None, math.nan)] == [False, False, True]


def test_it_goes_on_where_it_was():
    plateau, other = Plateau("min", patience=1), Plateau("min", patience=1)
    plateau.passed(1.0)
    plateau.passed(2.0)
    other.load_state_dict(plateau.state_dict())
    assert other.passed(2.0)
    plateau.reset()
    assert not plateau.passed(3.0)


@pytest.mark.parametrize("options", [{"mode": "least"}, {"patience": -1}, {"min_delta": -1.0}])
def test_options_out_of_range(options):
    with pytest.raises(UsageError, match=r"ramp\."):
        Plateau(**options)
