"""Every training example against a crop by hand; order and crops whatever the batch size, ranks and storage."""

import pytest
import torch

from bsgap.data.scene_loader import FixedScenes, SceneLoader
from bsgap.data.scene_store import ResidentScenes
from bsgap.errors import UsageError

N, HEIGHT, WIDTH = 7, 6, 9


def scenes():
    """Images and masks in which each pixel says where it is from: scene, row and column."""
    number, row, column = torch.meshgrid(*(torch.arange(k) for k in (N, HEIGHT, WIDTH)), indexing="ij")
    return ResidentScenes(torch.stack([number, row, column], 1).byte(), (number + 10 * row + column).byte())


def loader(**options):
    return SceneLoader(scenes(), **{"batch_size": 4, "seed": 3, "crop": (4, 5), "crops_per_image": 2, **options})


def examples(loader):
    """Each example of an epoch: scene, top, left, flipped; checked pixel by pixel."""
    found = []
    for images, masks in loader:
        assert masks.dtype == torch.int64
        for image, mask in zip(images, masks, strict=True):
            number, row, column = image.long()
            assert torch.equal(number + 10 * row + column, mask)  # image and mask moved together
            height, width = mask.shape
            top, left, flipped = int(row.min()), int(column.min()), bool(column[0, 0] > column[0, -1])
            columns = torch.arange(left, left + width)
            assert torch.equal(row, torch.arange(top, top + height)[:, None].expand(-1, width))
            assert torch.equal(column, (columns.flip(0) if flipped else columns).expand(height, -1))
            found.append((int(number[0, 0]), top, left, flipped))
    return found


def test_every_scene_as_often_as_asked_in_windows_of_itself():
    found = examples(loader())
    assert sorted(number for number, *_ in found) == sorted([*range(N)] * 2)
    assert {flipped for *_, flipped in found} == {True, False}


def test_without_crop_and_flip_the_scene_itself():
    found = examples(loader(crop=None, flip=False, crops_per_image=1))
    assert sorted(found) == [(number, 0, 0, False) for number in range(N)]


def test_a_crop_of_the_whole_scene_is_the_scene():
    assert {(top, left) for _, top, left, _ in examples(loader(crop=(HEIGHT, WIDTH)))} == {(0, 0)}


def test_examples_do_not_depend_on_the_batch_size():
    one = examples(loader(batch_size=1))
    assert all(examples(loader(batch_size=size)) == one for size in (3, 4, 14))


def test_crops_do_not_depend_on_flipping():
    assert [found[:3] for found in examples(loader(flip=False))] == [found[:3] for found in examples(loader())]


def test_epochs_and_seeds_differ_and_a_seed_repeats():
    data = loader()
    first, second = examples(data), examples(data)
    assert first != second
    again = loader()
    assert [examples(again), examples(again)] == [first, second]
    assert examples(loader(seed=4)) != first


def test_every_window_and_flip_is_as_frequent_as_it_should_be():
    data = loader(batch_size=14)
    counts = {}
    for _ in range(300):
        for _, *window in examples(data):
            counts[tuple(window)] = counts.get(tuple(window), 0) + 1
    assert len(counts) == 3 * 5 * 2
    # 4,200 draws of 30 equally likely outcomes: 140 each, standard deviation 11.6; five of them on either side.
    assert 140 - 58 < min(counts.values()) <= max(counts.values()) < 140 + 58


@pytest.mark.parametrize("steps", range(9))
def test_a_position_is_taken_up_exactly(steps):
    def batches(data, count):
        found = []
        while len(found) < count:
            for images, _ in data:
                found.append(images)
                if len(found) == count:
                    break
        return found

    whole, first, second = loader(), loader(), loader()
    expected = batches(whole, 12)
    before = batches(first, steps)
    second.load_state_dict(first.state_dict())
    second.load_state_dict(first.state_dict())  # doing so twice changes nothing
    after = batches(second, 12 - steps)
    assert all(torch.equal(one, other) for one, other in zip(before + after, expected, strict=True))


def test_two_ranks_share_every_batch():
    shares = [list(loader(rank=rank, world_size=2, last="drop")) for rank in (0, 1)]
    for whole, left, right in zip(list(loader(last="drop")), *shares, strict=True):
        for part in (0, 1):
            assert torch.equal(torch.cat([left[part], right[part]]), whole[part])


def test_nothing_is_drawn_from_the_global_generator():
    before = torch.get_rng_state()
    examples(loader())
    assert torch.equal(torch.get_rng_state(), before)


def test_scenes_are_not_written_to():
    stored = scenes()
    data = SceneLoader(stored, batch_size=2, seed=0, prepare=lambda batch: batch.float().mul_(0))
    assert all(not images.any() for images, _ in data)
    assert torch.equal(stored.images, scenes().images)


def test_options_that_cannot_be():
    with pytest.raises(UsageError, match=r"at most the 6 rows and 9 columns of the .* got 7 and 5"):
        loader(crop=(7, 5))
    with pytest.raises(UsageError, match="between 1 and the 14 examples"):
        loader(batch_size=15)


def test_fixed_batches_are_whole_scenes_in_order_and_can_be_read_again():
    fixed = FixedScenes(scenes(), batch_size=3)
    for _ in range(2):
        batches = list(fixed)
        assert [len(masks) for _, masks in batches] == [3, 4]  # a last one alone joins the others
        assert len(fixed) == 2
        assert torch.equal(torch.cat([images for images, _ in batches]), scenes().images)
        assert torch.equal(torch.cat([masks for _, masks in batches]), scenes().masks.long())
    halves = [list(FixedScenes(scenes(), batch_size=4, rank=rank, world_size=2)) for rank in (0, 1)]
    assert sum(len(masks) for half in halves for _, masks in half) == N
