import pytest

from bsgap.errors import UsageError
from bsgap.networks.sizes import image_shape, is_small, scaled


def test_channels_are_rounded_and_never_vanish():
    assert [scaled(64, width) for width in (1.0, 0.5, 0.3, 0.001, 2)] == [64, 32, 19, 1, 128]


@pytest.mark.parametrize("width", [0, -0.5, float("nan")])
def test_a_width_that_is_not_positive_is_refused(width):
    with pytest.raises(UsageError, match=r"width multiplies the channels .* must be positive, got"):
        scaled(64, width)


@pytest.mark.parametrize("in_shape", [(784,), (32, 32), (3, 0, 32), (1, 3, 32, 32)])
def test_an_image_has_three_positive_numbers(in_shape):
    assert image_shape([1, 28, 28]) == (1, 28, 28)
    with pytest.raises(UsageError, match=r"in_shape must be three positive numbers .*, got"):
        image_shape(in_shape)


def test_the_larger_side_decides_the_form():
    assert is_small(64, 64)
    assert not is_small(64, 65)
    assert not is_small(65, 64)
