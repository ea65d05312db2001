from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic_scenes import synthetic_camvid

from bsgap.data import scene_sources
from bsgap.data.scene_store import StreamedScenes, resident, shrunk, standard_of_scenes


def test_shrinking_by_hand():
    image = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
    mask = np.arange(20, dtype=np.uint8).reshape(4, 5)
    small, labels = shrunk(image, mask, 2)
    # Of the first square of the first channel, 0, 1, 5 and 6, the mean is 3; the fifth column is left over.
    assert small.tolist() == [[[3, 5], [13, 15]], [[23, 25], [33, 35]], [[43, 45], [53, 55]]]
    assert labels.tolist() == [[6, 8], [16, 18]]
    small, labels = shrunk(image, mask, 3)
    assert (small[0].tolist(), labels.tolist()) == ([[6]], [[6]])
    assert shrunk(image, mask, 1) == (image, mask)


@pytest.mark.parametrize("shrink", [2, 3, 4, 7])
def test_shrinking_equals_torch(shrink):
    image = np.random.default_rng(0).integers(0, 256, (3, 30, 45), dtype=np.uint8)
    small, _ = shrunk(image, image[0], shrink)
    mean = torch.nn.functional.avg_pool2d(torch.from_numpy(image).double(), shrink)
    assert np.array_equal(small, (mean + 0.5).floor().byte().numpy())


@pytest.mark.parametrize("shrink", [1, 2])
def test_streamed_and_resident_scenes_are_the_same(tmp_path, shrink):
    synthetic_camvid(tmp_path)
    scenes = scene_sources.load("camvid", tmp_path).train
    numbers = (4, 0, 5, 2)
    kept, streamed = resident(scenes, numbers, shrink), StreamedScenes(scenes, numbers, shrink)
    assert kept.size == streamed.size == (12 // shrink, 16 // shrink)
    assert len(kept) == len(streamed) == 4
    wanted = [3, 1, 1, 0]
    for one, other in zip(kept.take(wanted), streamed.take(wanted), strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])
    assert torch.equal(kept.first(2).take([1])[0][0], streamed.first(2).take([1])[0][0])
    assert (len(kept.first(2)), len(streamed.first(2))) == (2, 2)


def test_decoded_scenes_are_kept(tmp_path):
    synthetic_camvid(tmp_path)
    first, second = (resident(scene_sources.load("camvid", tmp_path).train, (0, 1), 1) for _ in range(2))
    assert first is second


def test_standard_is_over_the_shrunk_training_scenes():
    scenes = scene_sources.load("drawn", Path("nowhere")).train
    prepare = standard_of_scenes(scenes, 2)
    images = resident(scenes, tuple(range(48)), 2).images
    values = prepare(images).double()
    assert values.mean((0, 2, 3)).abs().max() < 1e-6
    assert (values.std((0, 2, 3), correction=0) - 1).abs().max() < 1e-6
