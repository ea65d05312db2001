import numpy as np
import torch
from sklearn.datasets import load_digits

from bsgap.data import sources


def test_all_of_scikit_learns_digits_once(tmp_path):
    images = sources.load("digits", tmp_path)
    assert (images.train_inputs.shape, images.test_inputs.shape) == ((1000, 1, 8, 8), (797, 1, 8, 8))
    assert (images.train_inputs.dtype, images.train_targets.dtype) == (torch.uint8, torch.int64)
    ours = torch.cat([images.train_inputs, images.test_inputs]).flatten(1).numpy()
    labels = torch.cat([images.train_targets, images.test_targets]).numpy()
    pixels, classes = load_digits(return_X_y=True)
    rows = sorted(map(tuple, np.column_stack([ours, labels]).tolist()))
    assert rows == sorted(map(tuple, np.column_stack([pixels, classes]).astype(int).tolist()))


def test_scale_brings_pixels_to_the_unit_interval(tmp_path):
    images = sources.load("digits", tmp_path)
    assert float(images.train_inputs.max()) / images.scale == 1


def test_nothing_is_read_from_the_root(tmp_path):
    assert sources.load("digits", tmp_path / "nowhere").note == ""
    assert sources.fingerprint("digits", tmp_path) == sources.load("digits", tmp_path).fingerprint
