import pytest
import torch

from bsgap.data.augment import crop_flip


def reference(images, generator, pad):
    """One image at a time: pad with zeros, cut out, mirror."""
    count, channels, height, width = images.shape
    shifts = torch.randint(0, 2 * pad + 1, (2, count, 1), generator=generator)
    flips = torch.randint(0, 2, (count, 1), generator=generator)
    out = []
    for index, image in enumerate(images):
        canvas = torch.zeros(channels, height + 2 * pad, width + 2 * pad, dtype=images.dtype)
        canvas[:, pad : pad + height, pad : pad + width] = image
        y, x = int(shifts[0, index]), int(shifts[1, index])
        cut = canvas[:, y : y + height, x : x + width]
        out.append(cut.flip(-1) if flips[index] else cut)
    return torch.stack(out)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize(
    ("shape", "padding", "pixels"), [((3, 32, 32), None, 4), ((1, 8, 8), None, 1), ((2, 6, 9), 3, 3)]
)
def test_equals_cropping_one_image_at_a_time(dtype, shape, padding, pixels):
    images = torch.randint(1, 256, (50, *shape)).to(dtype)
    before = images.clone()
    fast = crop_flip(images, torch.Generator().manual_seed(7), padding=padding)
    assert torch.equal(fast, reference(images, torch.Generator().manual_seed(7), pixels))
    assert fast.dtype == dtype
    assert torch.equal(images, before)


def test_every_shift_and_both_orientations_are_as_frequent_as_they_should_be():
    image = torch.arange(1, 17, dtype=torch.uint8).view(1, 1, 4, 4).expand(9000, 1, 4, 4)
    out = crop_flip(image, torch.Generator().manual_seed(0), padding=1)
    kinds, counts = torch.unique(out.flatten(1), dim=0, return_counts=True)
    assert len(kinds) == 2 * 3 * 3
    # 18 equally likely outcomes of 9,000: 500 each, standard deviation 22; five of them on either side.
    assert counts.min() > 500 - 5 * 22
    assert counts.max() < 500 + 5 * 22
