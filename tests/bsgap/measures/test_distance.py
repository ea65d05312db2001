import pytest
import torch
from torch import nn

from bsgap.errors import UsageError
from bsgap.measures import distance


def test_distance_is_euclidean_over_all_parameters():
    a = {"w": torch.tensor([[1.0, 2.0]]), "b": torch.tensor([3.0])}
    b = {"w": torch.tensor([[1.0, 5.0]]), "b": torch.tensor([-1.0])}
    assert distance(a, b) == distance(b, a) == 5
    assert distance(a, b, ["b"]) == 4
    assert distance(a, a) == 0


def test_running_averages_do_not_count():
    a, b = nn.BatchNorm1d(3).state_dict(), nn.BatchNorm1d(3).state_dict()
    b["running_mean"], b["running_var"] = torch.ones(3), torch.full((3,), 9.0)
    assert distance(a, b) == 0


def test_half_precision_is_not_squared_in_half_precision():
    a = {"w": torch.full((1000,), 300.0, dtype=torch.float16)}
    b = {"w": torch.zeros(1000, dtype=torch.float16)}
    assert distance(a, b) == pytest.approx(300 * 1000**0.5)


def test_states_of_two_networks():
    a = {"w": torch.zeros(2)}
    with pytest.raises(UsageError, match="'w' is missing"):
        distance(a, {})
    with pytest.raises(UsageError, match=r"\(2,\) and \(3,\)"):
        distance(a, {"w": torch.zeros(3)})
