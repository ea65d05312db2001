"""Photographs streamed from their files: random windows for training, central ones for everything else."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bsgap.data.epochs import BatchSize, EpochLoader, share
from bsgap.data.photo_sources import Photos
from bsgap.data.scene_loader import stacked
from bsgap.data.scene_store import decoded
from bsgap.data.windows import centre_window, random_window
from bsgap.seeding import generator

Example = tuple[Tensor, Tensor]
"""Image `[3, side, side]` uint8 and its class number `[]` int64."""


class PhotoStore:
    """Some photographs of a split in a fixed order: a `bsgap.data.scene_store.SceneStore` of their central windows.

    Args:
        photos: The photographs of a source.
        numbers: `[n]`, which of them, in which order.
        crop: Side in pixels of what the network sees.
        resize: Pixels to which the shorter side of a photograph is brought before its centre is cut out.
    """

    def __init__(self, photos: Photos, numbers: Tensor, crop: int, resize: int) -> None:
        self.photos, self.numbers, self.crop, self.resize = photos, numbers, crop, resize

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.crop, self.crop

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, numbers: Sequence[int]) -> list[Example]:
        """The central window and class of each number."""
        return decoded(self.central, numbers)

    def first(self, count: int) -> "PhotoStore":
        """The first this many photographs."""
        return PhotoStore(self.photos, self.numbers[:count], self.crop, self.resize)

    def to(self, device: torch.device | str | None) -> "PhotoStore":
        """The same: nothing is kept in memory."""
        return self

    def central(self, number: int) -> Example:
        """See `bsgap.data.windows.centre_window`."""
        return self._example(number, lambda image: centre_window(image, self.crop, self.resize))

    def random(self, number: int, draw: torch.Generator) -> Example:
        """See `bsgap.data.windows.random_window`."""
        return self._example(number, lambda image: random_window(image, self.crop, draw))

    def _example(self, number: int, window: Callable[[Image.Image], Image.Image]) -> Example:
        stored = int(self.numbers[number])
        pixels = np.array(window(self.photos.read(stored)))
        return torch.from_numpy(pixels).permute(2, 0, 1), self.photos.targets[stored]


class PhotoLoader(EpochLoader):
    """Shuffled random windows of photographs; each photograph comes once an epoch.

    The order of an epoch is a pure function of (`seed`, epoch), and the window and flip of a photograph one of (`seed`,
    epoch, its number): neither depends on the batch size, on ranks or on threads. As many threads as torch may use
    decode the next batch while the network works on this one, whatever is then done with it.

    Args:
        photos: The training photographs.
        batch_size: Examples in a batch, over all ranks; see `BatchSize`.
        seed: Decides order, windows and flips.
        augment: Take random windows; otherwise central ones.
        last: `"keep"` the smaller batch at the end of an epoch, or `"drop"` it.
        prepare: `batch -> batch`, from bytes to network values.
        rank: Which share of each batch to yield.
        world_size: Number of shares.
        device: Where the batches are wanted; `None` leaves them on the CPU.

    Raises:
        UsageError: A batch size that is not positive or exceeds an epoch's examples, a rank out of range.
    """

    def __init__(
        self,
        photos: PhotoStore,
        *,
        batch_size: BatchSize,
        seed: int,
        augment: bool = True,
        last: Literal["keep", "drop"] = "keep",
        prepare: Callable[[Tensor], Tensor] | None = None,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__(len(photos), batch_size=batch_size, seed=seed, last=last, rank=rank, world_size=world_size)
        self.photos = photos
        self.augment = augment
        self.prepare = prepare
        self.device = device
        self._pool = ThreadPoolExecutor(torch.get_num_threads())
        self._order: tuple[int, Tensor] | None = None
        self._ahead: tuple[tuple[int, int, int], list[Future[Example]]] | None = None

    def _batch(self, epoch: int, start: int, stop: int) -> tuple[Tensor, Tensor]:
        decoding = self._decoding(epoch, start, stop)
        following = self._examples  # where the position already stands
        if following < self._n:
            self._decoding(epoch, following, self._step(epoch, following)[0])
        else:
            self._ahead = None
        images, targets = zip(*(example.result() for example in decoding), strict=True)
        return stacked(images, targets, self.prepare, self.device)

    def _decoding(self, epoch: int, start: int, stop: int) -> list[Future[Example]]:
        """This rank's share of a batch, being decoded: what was begun ahead of time, if that was this batch."""
        low, high = share(start, stop, self.rank, self.world_size)
        if self._ahead is None or self._ahead[0] != (epoch, low, high):
            numbers = self._numbers(epoch)[low:high].tolist()
            self._ahead = (epoch, low, high), [self._pool.submit(self._example, epoch, number) for number in numbers]
        return self._ahead[1]

    def _example(self, epoch: int, number: int) -> Example:
        if not self.augment:
            return self.photos.central(number)
        return self.photos.random(number, generator(self.seed, "augment", epoch, number))

    def _numbers(self, epoch: int) -> Tensor:
        if self._order is None or self._order[0] != epoch:
            self._order = epoch, torch.randperm(self._n, generator=generator(self.seed, "order", epoch))
        return self._order[1]
