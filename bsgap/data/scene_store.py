"""Where the scenes of a split are while one trains: decoded on the device, or in their files until they are needed."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from bsgap.data.normalise import Normalise, byte_counts, standard_of_counts
from bsgap.data.scene_sources import Scenes

STANDARD_IMAGES = 200  # of which mean and deviation are taken: enough pixels, and no pass over 12 GB of files


class SceneStore(Protocol):
    """Scenes by number, decoded and shrunk."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""

    def __len__(self) -> int: ...

    def take(self, numbers: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        """Image `[3, h, w]` and mask `[h, w]`, uint8, of each number. They are not to be written to."""

    def first(self, count: int) -> "SceneStore":
        """The first this many scenes."""

    def to(self, device: torch.device | str | None) -> "SceneStore":
        """The same where it is wanted, as far as it is kept in memory."""


class ResidentScenes:
    """Scenes decoded once, as two tensors; what is taken of them are views.

    Args:
        images: `[n, 3, h, w]` uint8.
        masks: `[n, h, w]` uint8.
    """

    def __init__(self, images: Tensor, masks: Tensor) -> None:
        self.images, self.masks = images, masks

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.masks.shape[1], self.masks.shape[2]

    def __len__(self) -> int:
        return len(self.masks)

    def take(self, numbers: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        """See `SceneStore.take`."""
        return [(self.images[number], self.masks[number]) for number in numbers]

    def first(self, count: int) -> "ResidentScenes":
        """See `SceneStore.first`."""
        return ResidentScenes(self.images[:count], self.masks[:count])

    def to(self, device: torch.device | str | None) -> "ResidentScenes":
        """See `SceneStore.to`."""
        return ResidentScenes(self.images.to(device), self.masks.to(device))


class StreamedScenes:
    """Scenes decoded each time they are taken, by as many threads as torch may use.

    Args:
        scenes: The scenes of a source.
        numbers: Which of them, in which order.
        shrink: See `shrunk`.
    """

    def __init__(self, scenes: Scenes, numbers: Sequence[int], shrink: int) -> None:
        self.scenes, self.numbers, self.shrink = scenes, numbers, shrink

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return shrunk_size(self.scenes.size, self.shrink)

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, numbers: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        """See `SceneStore.take`."""
        return decoded(self._read, numbers)

    def first(self, count: int) -> "StreamedScenes":
        """See `SceneStore.first`."""
        return StreamedScenes(self.scenes, self.numbers[:count], self.shrink)

    def to(self, device: torch.device | str | None) -> "StreamedScenes":
        """See `SceneStore.to`."""
        return self

    def _read(self, number: int) -> tuple[Tensor, Tensor]:
        return _read(self.scenes, self.numbers[number], self.shrink)


def decoded(read: Callable[[int], tuple[Tensor, Tensor]], numbers: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
    """What `read` makes of each number, by as many threads as torch may use; one that comes twice is read once."""
    wanted = sorted(set(numbers))
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # the decoder lets other threads run
        found = dict(zip(wanted, pool.map(read, wanted), strict=True))
    return [found[number] for number in numbers]


@lru_cache(maxsize=3)  # training, test and validation scenes: a worker trains many runs on one data set
def resident(scenes: Scenes, numbers: tuple[int, ...], shrink: int) -> ResidentScenes:
    """The scenes of those numbers, decoded, in memory."""
    height, width = shrunk_size(scenes.size, shrink)
    images = torch.empty(len(numbers), 3, height, width, dtype=torch.uint8)
    masks = torch.empty(len(numbers), height, width, dtype=torch.uint8)
    for position, number in enumerate(numbers):
        images[position], masks[position] = _read(scenes, number, shrink)
    return ResidentScenes(images, masks)


@lru_cache(maxsize=1)
def standard_of_scenes(scenes: Scenes, shrink: int) -> Normalise:
    """Normalisation to mean 0 and standard deviation 1 for each channel, over 200 evenly spaced scenes (or all)."""
    count = min(len(scenes), STANDARD_IMAGES)
    counts = torch.zeros(3, 256, dtype=torch.int64)
    for step in range(count):
        image, _ = _read(scenes, step * len(scenes) // count, shrink)
        counts += byte_counts(image[None])
    return standard_of_counts(counts, 255.0, 4)


def shrunk_size(size: tuple[int, int], shrink: int) -> tuple[int, int]:
    """Height and width after `shrunk`."""
    return size[0] // shrink, size[1] // shrink


def shrunk(image: np.ndarray, mask: np.ndarray, shrink: int) -> tuple[np.ndarray, np.ndarray]:
    """Image `[3, h, w]` and mask `[h, w]` at 1/shrink of their height and width; rows and columns left over are cut.

    A pixel of the image is the mean over a square of shrink x shrink pixels, rounded half up; one of the mask is the
    square's central pixel (below and right of the centre where there is none), as labels have no mean.
    """
    if shrink == 1:
        return image, mask
    height, width = shrunk_size((mask.shape[0], mask.shape[1]), shrink)
    kept = image[:, : height * shrink, : width * shrink].astype(np.uint32)
    sums = kept.reshape(len(image), height, shrink, width, shrink).sum((2, 4))
    area = shrink * shrink
    centre = slice(shrink // 2, None, shrink)
    return ((sums + area // 2) // area).astype(np.uint8), mask[centre, centre][:height, :width]


def _read(scenes: Scenes, number: int, shrink: int) -> tuple[Tensor, Tensor]:
    image, mask = shrunk(*scenes.read(number), shrink)
    return torch.from_numpy(np.ascontiguousarray(image)), torch.from_numpy(np.ascontiguousarray(mask))
