"""Windows against what the papers say of them, and photographs against windows by hand."""

import numpy as np
import pytest
import torch
from PIL import Image
from synthetic_photos import photo, synthetic_imagenet

from bsgap.data import photo_sources
from bsgap.data.photo_loader import PhotoLoader, PhotoStore
from bsgap.data.scene_loader import FixedScenes
from bsgap.data.windows import centre_box, centre_window, random_box, random_window
from bsgap.errors import CorruptData
from bsgap.seeding import generator


def boxes(width, height, count):
    draw = generator(0, "test")
    return np.array([random_box(width, height, draw) for _ in range(count)])


def test_areas_aspects_and_places_are_spread_as_stated():
    width = height = 1000
    found = boxes(width, height, 3000)
    across, down = found[:, 2] - found[:, 0], found[:, 3] - found[:, 1]
    assert found.min() >= 0
    assert found.max() <= 1000
    share, ratio = across * down / 1e6, across / down
    assert 0.079 < share.min() < 0.09
    assert 0.749 < ratio.min() < 0.76
    assert 1.32 < ratio.max() < 1.335
    # Uniform on 8 % to 100 %, below the half where every aspect fits: 23 % of the draws lie in each fifth of it.
    fitting = share[share < 0.5]
    counts = np.histogram(fitting, bins=4, range=(0.08, 0.5))[0]
    assert abs(counts - counts.mean()).max() < 5 * np.sqrt(counts.mean())
    assert abs((ratio > 1).mean() - 0.5) < 5 * 0.5 / np.sqrt(3000)
    left = found[:, 0] / np.maximum(1, width - across)
    assert abs(left.mean() - 0.5) < 5 * 0.29 / np.sqrt(3000)


def test_what_fits_nowhere_is_the_middle_square():
    # 300 x 10: an area of 8 % is 240 pixels, so even the flattest window is 13 high.
    assert {tuple(box) for box in boxes(300, 10, 20)} == {(145, 0, 155, 10)}
    assert centre_box(11, 6, 4) == (3, 1, 7, 5)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 9)])
def test_windows_of_the_smallest_images_are_not_empty(size):
    found = boxes(*size, 50)
    assert (found[:, 2] > found[:, 0]).all()
    assert (found[:, 3] > found[:, 1]).all()


def test_a_random_window_is_its_box_resized_and_half_of_them_are_mirrored():
    image, mirrored = photo(0), 0
    for seed in range(40):
        draw = generator(seed, "test")
        flip = torch.rand((), generator=draw, dtype=torch.float64).item() < 0.5
        expected = image.resize((16, 16), Image.Resampling.BILINEAR, box=random_box(*image.size, draw))
        values = np.asarray(expected)[:, ::-1] if flip else np.asarray(expected)
        assert np.array_equal(random_window(image, 16, generator(seed, "test")), values)
        mirrored += flip
    assert 10 <= mirrored <= 30


@pytest.mark.parametrize(("size", "box"), [((40, 30), (2, 0, 18, 16)), ((33, 66), (0, 8, 16, 24)), ((16, 16), None)])
def test_the_centre_at_a_stated_size(size, box):
    image = photo(0).resize(size)
    whole = image.resize((16 * size[0] // min(size), 16 * size[1] // min(size)), Image.Resampling.BILINEAR)
    assert np.array_equal(centre_window(image, 16, 16), whole.crop(box or (0, 0, 16, 16)))
    assert np.array_equal(centre_window(image, 12, 16), whole.crop(box or (0, 0, 16, 16)).crop((2, 2, 14, 14)))


@pytest.fixture
def photos(tmp_path):
    synthetic_imagenet(tmp_path)
    return photo_sources.load("imagenet", tmp_path).train


def store(photos, count=15):
    return PhotoStore(photos, torch.arange(count).flip(0), 12, 16)


def loader(photos, **options):
    return PhotoLoader(store(photos), **{"batch_size": 4, "seed": 3, **options})


def epoch(data):
    batches = list(data)
    return torch.cat([images for images, _ in batches]), torch.cat([targets for _, targets in batches])


def test_examples_are_windows_by_hand(photos):
    order = torch.randperm(15, generator=generator(3, "order", 1)).tolist()
    data = loader(photos)
    epoch(data)
    images, targets = epoch(data)
    for number, image, target in zip(order, images, targets, strict=True):
        stored = 14 - number
        expected = random_window(photos.read(stored), 12, generator(3, "augment", 1, number))
        assert np.array_equal(image.permute(1, 2, 0), expected)
        assert target == photos.targets[stored]
    assert (images.dtype, targets.dtype) == (torch.uint8, torch.int64)


def test_examples_do_not_depend_on_batch_size_or_threads(photos, monkeypatch):
    expected = epoch(loader(photos, batch_size=1))
    for size, threads in ((3, 1), (4, 3), (15, 2)):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        assert all(torch.equal(*pair) for pair in zip(epoch(loader(photos, batch_size=size)), expected, strict=True))


def test_epochs_and_seeds_differ_and_a_seed_repeats(photos):
    data, again = loader(photos), loader(photos)
    first, second = epoch(data)[0], epoch(data)[0]
    assert not torch.equal(first, second)
    assert torch.equal(epoch(again)[0], first)
    assert torch.equal(epoch(again)[0], second)
    assert not torch.equal(epoch(loader(photos, seed=4))[0], first)


def test_without_augmentation_the_centres_are_shuffled(photos):
    images, targets = epoch(loader(photos, augment=False))
    central = {image.numpy().tobytes() for image, _ in store(photos).take(range(15))}
    assert {image.numpy().tobytes() for image in images} == central
    assert sorted(targets.tolist()) == photos.targets.tolist()


@pytest.mark.parametrize("steps", [1, 3, 4, 5, 8, 9])
def test_a_position_is_taken_up_exactly(photos, steps):
    def batches(data, count):
        found = []
        while len(found) < count:
            for images, _ in data:
                found.append(images)
                if len(found) == count:
                    break
        return found

    expected = batches(loader(photos), 10)
    first, second = loader(photos), loader(photos)
    before = batches(first, steps)
    second.load_state_dict(first.state_dict())
    after = batches(second, 10 - steps)
    assert all(torch.equal(one, other) for one, other in zip(before + after, expected, strict=True))


def test_a_batch_size_that_changes_after_the_next_batch_was_begun(photos):
    data, sizes = loader(photos), []
    images = []
    for batch, _ in data:
        images.append(batch)
        sizes.append(len(batch))
        data.batch_size = 6
    assert sizes == [4, 6, 5]
    assert torch.equal(torch.cat(images), epoch(loader(photos))[0])
    ramp = loader(photos, batch_size=lambda seen: 3 if seen < 6 else 5)
    assert [len(targets) for _, targets in ramp] == [3, 3, 5, 4]


def test_two_ranks_share_every_batch(photos):
    shares = [list(loader(photos, rank=rank, world_size=2, last="drop")) for rank in (0, 1)]
    for whole, left, right in zip(list(loader(photos, last="drop")), *shares, strict=True):
        for part in (0, 1):
            assert torch.equal(torch.cat([left[part], right[part]]), whole[part])


def test_nothing_is_drawn_from_the_global_generator(photos):
    before = torch.get_rng_state()
    epoch(loader(photos))
    assert torch.equal(torch.get_rng_state(), before)


def test_fixed_batches_are_centres_in_order_and_can_be_read_again(photos):
    fixed = FixedScenes(store(photos, 7), batch_size=3)
    for _ in range(2):
        images, targets = epoch(fixed)
        assert [len(batch) for batch, _ in fixed] == [3, 4]
        assert targets.tolist() == photos.targets[:7].flip(0).tolist()
        for image, stored in zip(images, reversed(range(7)), strict=True):
            assert np.array_equal(image.permute(1, 2, 0), centre_window(photos.read(stored), 12, 16))


def test_a_damaged_photo_is_named_in_training(photos):
    path = photos.folder / photos.names[3]
    path.write_bytes(b"no image")
    with pytest.raises(CorruptData, match=path.name):
        epoch(loader(photos))
