import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from bsgap.errors import UsageError
from bsgap.measures import distance, distance_from
from bsgap.measures.distance import PIECE


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


class Largest(TorchDispatchMode):
    """Bytes of the largest new tensor that an operation gives."""

    bytes = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        found = operation(*args, **(kwargs or {}))
        for tensor in found if isinstance(found, list | tuple) else [found]:
            if isinstance(tensor, torch.Tensor) and not operation.is_view:
                self.bytes = max(self.bytes, tensor.numel() * tensor.element_size())
        return found


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16, torch.complex64])
def test_distance_from_a_near_start_is_accurate(kind):
    draws = torch.Generator().manual_seed(0)
    starts = [torch.randn(shape, generator=draws, dtype=torch.float64) for shape in ((), (7,), (3, 4, 5, 5), (0, 2))]
    starts = [start.to(kind) for start in starts]
    tensors = [start + (1e-3 * torch.randn(start.shape, generator=draws)).to(kind) for start in starts]
    tensors[2] = tensors[2].contiguous(memory_format=torch.channels_last)
    wide = torch.promote_types(kind, torch.float64)
    gaps = [(now.to(wide) - start.to(wide)).reshape(-1) for now, start in zip(tensors, starts, strict=True)]
    assert distance_from(tensors, starts) == pytest.approx(torch.cat(gaps).norm().item(), rel=1e-7)


def test_distance_from_the_start_of_nothing():
    assert distance_from([], []) == 0
    assert distance_from([torch.ones(3)], [torch.ones(3)]) == 0


def test_memory_is_that_of_a_piece_however_large_the_tensors():
    tensors, starts = [torch.ones(5, PIECE // 2), torch.ones(2 * PIECE + 1)], [torch.zeros(5, PIECE // 2)]
    starts.append(torch.zeros(2 * PIECE + 1))
    with Largest() as largest:
        found = distance_from(tensors, starts)
    assert found == pytest.approx((5 * (PIECE // 2) + 2 * PIECE + 1) ** 0.5)
    assert largest.bytes <= 8 * PIECE  # a piece in float64
