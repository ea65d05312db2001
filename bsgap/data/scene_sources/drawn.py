"""Street scenes drawn by a program: enough to train on without a download, and no more than that.

Eight classes in perspective: a road between pavements, buildings with windows, sky with clouds, trees, cars, poles and
pedestrians that hide one another. Colours overlap between classes (grey is road, pavement, building, car or pole) and
the light changes from scene to scene, so a class shows in shape, texture and place. Two pixels at the border are void.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from bsgap.data.scene_sources.sceneset import IGNORE, SceneSet
from bsgap.data.sources.imageset import content_fingerprint
from bsgap.seeding import derive

HEIGHT, WIDTH = 64, 96
TRAIN, TEST = 48, 16
BORDER = 2
CLASSES = ("sky", "building", "road", "pavement", "tree", "car", "pole", "pedestrian")
SKY, BUILDING, ROAD, PAVEMENT, TREE, CAR, POLE, PEDESTRIAN = range(len(CLASSES))

_ROWS, _COLUMNS = np.mgrid[:HEIGHT, :WIDTH]


@dataclass(frozen=True, eq=False)
class DrawnScenes:
    """Scenes in memory.

    Attributes:
        images: `[n, 3, h, w]` uint8.
        masks: `[n, h, w]` uint8.
    """

    images: np.ndarray
    masks: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return HEIGHT, WIDTH

    def __len__(self) -> int:
        return len(self.masks)

    def read(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Image and mask."""
        return self.images[number], self.masks[number]


@dataclass(frozen=True)
class DrawnSource:
    """48 training and 16 test scenes, the same everywhere; there is no file to find."""

    name: str = "drawn"

    def files(self, root: Path) -> list[Path]:
        """None: the scenes are drawn."""
        return []

    def load(self, root: Path, *, download: bool = False) -> SceneSet:
        """Draw the scenes, once a process."""
        return _all(self.name)

    def fingerprint(self, root: Path) -> str:
        """Digest of the content."""
        return _all(self.name).fingerprint


@lru_cache(maxsize=1)
def _all(name: str) -> SceneSet:
    drawn = [draw(number) for number in range(TRAIN + TEST)]
    images, masks = (np.stack(values) for values in zip(*drawn, strict=True))
    return SceneSet(
        name=name,
        train=DrawnScenes(images[:TRAIN], masks[:TRAIN]),
        test=DrawnScenes(images[TRAIN:], masks[TRAIN:]),
        validation=None,
        classes=CLASSES,
        note="drawn by a program",
        fingerprint=content_fingerprint(images, masks, np.array([TRAIN])),
    )


def draw(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Scene of that number: image `[3, 64, 96]` and mask `[64, 96]`, uint8, a pure function of the number."""
    # RandomState: NumPy promises its stream for good, which it does not for the newer generators. Integers and exact
    # arithmetic only, so that every machine draws the same pixels.
    scene = _Scene(np.random.RandomState(derive(0, "drawn", number) % 2**32))
    scene.sky()
    scene.buildings()
    scene.ground()
    for paint, least, most in ((scene.tree, 1, 4), (scene.pole, 2, 4), (scene.pedestrian, 1, 5), (scene.car, 1, 4)):
        for _ in range(scene.random.randint(least, most + 1)):
            paint()
    return scene.finished()


class _Scene:
    """A canvas on which later things hide earlier ones."""

    def __init__(self, random: np.random.RandomState) -> None:
        self.random = random
        self.canvas = np.zeros((HEIGHT, WIDTH, 3), dtype=np.int64)
        self.mask = np.full((HEIGHT, WIDTH), IGNORE, dtype=np.uint8)
        self.horizon = random.randint(24, 33)
        self.vanishing = random.randint(36, 61)

    def fill(self, region: np.ndarray, number: int, colour: np.ndarray, speckle: int) -> None:
        """Paint `region` in a colour whose brightness varies from pixel to pixel by up to `speckle`."""
        grain = self.random.randint(-speckle, speckle + 1, (HEIGHT, WIDTH))
        self.canvas[region] = (colour + grain[..., None])[region]
        self.mask[region] = number

    def grey(self, low: int, high: int) -> np.ndarray:
        """A colour near grey."""
        return self.random.randint(low, high) + self.random.randint(-9, 10, 3)

    def sky(self) -> None:
        """From blue or grey at the top to lighter at the horizon, with clouds."""
        top = self.grey(130, 190) + np.array([-20, 0, 35]) * self.random.randint(0, 2)
        everywhere = _ROWS >= 0
        self.fill(everywhere, SKY, top, 4)
        self.canvas += (_ROWS * 30 // HEIGHT)[..., None]
        for _ in range(self.random.randint(0, 4)):
            row, column = self.random.randint(0, self.horizon), self.random.randint(0, WIDTH)
            cloud = 9 * (_ROWS - row) ** 2 + (_COLUMNS - column) ** 2 < self.random.randint(60, 260)
            self.fill(cloud, SKY, self.grey(195, 225), 6)

    def buildings(self) -> None:
        """A row of fronts with windows, and gaps between some of them."""
        left = self.random.randint(-8, 2)
        while left < WIDTH:
            width = self.random.randint(10, 25)
            top = self.random.randint(3, self.horizon - 6)
            if self.random.randint(0, 5):
                front = (left <= _COLUMNS) & (left + width > _COLUMNS) & (top <= _ROWS) & (self.horizon + 6 > _ROWS)
                colour = self.grey(80, 190) + np.array([25, 5, -15]) * self.random.randint(0, 2)
                self.fill(front, BUILDING, colour, 10)
                high, wide = self.random.randint(4, 7), self.random.randint(3, 6)
                panes = ((_ROWS - top) % high >= high // 2) & ((_COLUMNS - left) % wide >= wide // 2)
                glass = self.grey(60, 215) + np.array([-8, 0, 14])
                self.fill(front & panes, BUILDING, glass, 12)
            left += width

    def ground(self) -> None:
        """A road that narrows to a point on the horizon, with dashes, and slabs on both sides."""
        depth = _ROWS - self.horizon
        level = self.random.randint(85, 140)
        self.fill(depth >= 0, PAVEMENT, self.grey(level, level + 30), 9)
        slabs = (depth >= 0) & ((depth % 5 == 0) | ((_COLUMNS + depth) % 9 == 0))
        self.fill(slabs, PAVEMENT, self.grey(level - 20, level + 5), 9)
        half = 3 + depth * self.random.randint(10, 17) // 10
        road = (depth >= 0) & (abs(_COLUMNS - self.vanishing) <= half)
        self.fill(road, ROAD, self.grey(level - 20, level + 15), 11)
        dashes = road & (abs(_COLUMNS - self.vanishing) <= depth // 14) & (depth // 5 % 2 == 1)
        self.fill(dashes, ROAD, self.grey(185, 220), 8)

    def place(self) -> tuple[int, int]:
        """Where something stands: the row of its foot, and its distance below the horizon, by which it is larger."""
        depth = self.random.randint(4, HEIGHT - self.horizon - 4)
        return self.horizon + depth, depth

    def tree(self) -> None:
        """A trunk and a ragged crown beside the road."""
        foot, depth = self.place()
        column = self.random.randint(0, WIDTH)
        radius = 4 + depth // 4
        crown = foot - 3 * radius
        trunk = (abs(_COLUMNS - column) <= radius // 5) & (foot >= _ROWS) & (crown < _ROWS)
        self.fill(trunk, TREE, self.grey(60, 100) + np.array([12, 0, -12]), 8)
        ragged = self.random.randint(0, radius * radius, (HEIGHT, WIDTH)) * 2 // 3
        leaves = (_ROWS - crown) ** 2 + (_COLUMNS - column) ** 2 + ragged < radius * radius
        self.fill(leaves, TREE, self.grey(70, 130) + np.array([-12, 14, -20]), 28)

    def pole(self) -> None:
        """A thin upright line with an arm."""
        foot, depth = self.place()
        column, top = self.random.randint(3, WIDTH - 3), foot - 14 - depth
        upright = (column <= _COLUMNS) & (column + depth // 14 >= _COLUMNS) & (foot >= _ROWS) & (top <= _ROWS)
        arm = (top == _ROWS) & (column <= _COLUMNS) & (column + 4 > _COLUMNS)
        self.fill(upright | arm, POLE, self.grey(50, 160), 7)

    def pedestrian(self) -> None:
        """A body and a head."""
        foot, depth = self.place()
        column, tall = self.random.randint(3, WIDTH - 3), 7 + depth // 3
        wide = tall // 5
        body = (abs(_COLUMNS - column) <= wide) & (foot >= _ROWS) & (foot - tall + 2 < _ROWS)
        self.fill(body, PEDESTRIAN, self.random.randint(40, 190, 3), 10)
        head = (abs(_COLUMNS - column) <= wide // 2) & (foot - tall + 2 >= _ROWS) & (foot - tall - wide < _ROWS)
        self.fill(head, PEDESTRIAN, self.grey(110, 190) + np.array([20, 0, -15]), 8)

    def car(self) -> None:
        """A body with a cabin, windows and wheels, on or beside the road."""
        foot, depth = self.place()
        long, tall = 8 + depth // 2, 3 + depth // 6
        column = self.vanishing + self.random.randint(-8 - depth, 9 + depth)
        across = abs(_COLUMNS - column)
        coloured = self.random.randint(0, 2)
        colour = self.random.randint(40, 210, 3) if coloured else self.grey(45, 215)
        body = (across <= long // 2) & (foot >= _ROWS) & (foot - tall < _ROWS)
        cabin = (across <= long // 3) & (foot - tall >= _ROWS) & (foot - 2 * tall < _ROWS)
        self.fill(body | cabin, CAR, colour, 7)
        glass = (across <= long // 3 - 1) & (foot - tall >= _ROWS) & (foot - 2 * tall + 1 < _ROWS)
        self.fill(glass, CAR, self.grey(60, 190) + np.array([-8, 0, 12]), 9)
        wheels = (abs(across - long // 3) <= tall // 3) & (abs(_ROWS - foot) <= tall // 3)
        self.fill(wheels, CAR, self.grey(30, 60), 6)

    def finished(self) -> tuple[np.ndarray, np.ndarray]:
        """Under this scene's light, with noise, and the border void."""
        light = self.random.randint(65, 116) + self.random.randint(-12, 13) * _COLUMNS // WIDTH
        noise = self.random.randint(-12, 13, (2, HEIGHT, WIDTH, 3)).sum(0)
        image = np.clip(self.canvas * light[..., None] // 100 + noise, 0, 255).astype(np.uint8)
        mask = np.full_like(self.mask, IGNORE)
        inside = slice(BORDER, -BORDER)
        mask[inside, inside] = self.mask[inside, inside]
        return np.ascontiguousarray(image.transpose(2, 0, 1)), mask
