from pathlib import Path

import numpy as np

from bsgap.data import scene_sources
from bsgap.data.scene_sources.drawn import CLASSES, draw

DRAWN = scene_sources.load("drawn", Path("nowhere"))


def test_shapes_and_types():
    assert (len(DRAWN.train), len(DRAWN.test), DRAWN.train.size) == (48, 16, (64, 96))
    image, mask = DRAWN.test.read(3)
    assert (image.shape, image.dtype, mask.shape, mask.dtype) == ((3, 64, 96), np.uint8, (64, 96), np.uint8)
    assert DRAWN.validation is None


def test_the_same_scenes_whatever_else_draws():
    np.random.seed(5)
    state = np.random.get_state()[1].copy()
    image, mask = draw(48)
    assert np.array_equal(np.random.get_state()[1], state)
    assert np.array_equal(image, DRAWN.test.images[0])
    assert np.array_equal(mask, DRAWN.test.masks[0])
    assert len({scene.tobytes() for scene in (*DRAWN.train.images, *DRAWN.test.images)}) == 64


def test_every_class_in_every_scene_within_a_void_border():
    masks = np.concatenate([DRAWN.train.masks, DRAWN.test.masks])
    for number in range(len(CLASSES)):
        assert (masks == number).any((1, 2)).all()
    inside = np.zeros((64, 96), bool)
    inside[2:-2, 2:-2] = True
    assert (masks[:, ~inside] == 255).all()
    assert (masks[:, inside] < len(CLASSES)).all()


def test_colour_alone_does_not_tell_the_classes():
    """The best rule from a pixel's colour (16 shades a channel) to its class is right for less than half of them."""

    def colours(images):
        red, green, blue = (images[:, channel].astype(int) // 16 for channel in range(3))
        return 256 * red + 16 * green + blue

    votes = np.zeros((4096, 256), int)
    np.add.at(votes, (colours(DRAWN.train.images), DRAWN.train.masks), 1)
    votes[:, 255] = 0
    labelled = DRAWN.test.masks != 255
    guess = votes.argmax(1)[colours(DRAWN.test.images)]
    assert (guess == DRAWN.test.masks)[labelled].mean() < 0.5
