import pytest
import torch

from bsgap.data.normalise import Normalise, byte_counts, standard, standard_of_counts


def test_unit_divides_and_leaves_the_stored_values_alone():
    stored = torch.tensor([[0, 51, 255]], dtype=torch.uint8)
    assert torch.equal(Normalise(255.0)(stored), torch.tensor([[0, 0.2, 1]]))
    assert stored.dtype == torch.uint8


def test_features_of_scale_one_are_passed_on():
    features = torch.randn(3, 4)
    assert Normalise(1.0)(features) is features


@pytest.mark.parametrize("stored", [torch.randint(0, 200, (40, 3, 5, 5)).byte(), torch.randn(40, 7) * 3 + 5])
def test_standard_gives_mean_0_and_deviation_1_a_channel(stored):
    scale = 255.0 if stored.dtype == torch.uint8 else 1.0
    normalise = standard(stored, scale)
    values = normalise(stored).double().transpose(0, 1).flatten(1)
    assert torch.allclose(values.mean(1), torch.zeros(()).double(), atol=1e-6)
    assert torch.allclose(values.std(1, correction=0), torch.ones(()).double(), atol=1e-6)
    exact = (stored.double() / scale).transpose(0, 1).flatten(1)
    assert torch.allclose(normalise.mean.flatten().double(), exact.mean(1), rtol=1e-6)
    assert torch.allclose(normalise.std.flatten().double(), exact.std(1, correction=0), rtol=1e-6)


def test_a_constant_channel_is_centred_only():
    stored = torch.full((4, 1, 2, 2), 51, dtype=torch.uint8)
    normalise = standard(stored, 255.0)
    assert torch.equal(normalise(stored), torch.zeros(4, 1, 2, 2))
    assert float(normalise.std.squeeze()) == 1


def test_counts_of_parts_give_the_standard_of_the_whole():
    stored = torch.randint(0, 256, (10, 3, 4, 5), dtype=torch.uint8)
    counts = sum(byte_counts(part) for part in stored.split([1, 6, 3]))
    whole, parts = standard(stored, 255.0), standard_of_counts(counts, 255.0, stored.ndim)
    assert torch.equal(whole(stored), parts(stored))
