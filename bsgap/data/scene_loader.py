"""Batches of scenes: random crops and flips for training, whole scenes of fixed order for everything else."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from bsgap.data.epochs import BatchSize, EpochLoader, check_rank, fixed_edges, share
from bsgap.data.scene_store import SceneStore
from bsgap.errors import UsageError
from bsgap.seeding import generator


class SceneLoader(EpochLoader):
    """Shuffled crops of scenes, image and mask alike; each scene comes `crops_per_image` times an epoch.

    The order of an epoch is a pure function of (`seed`, epoch), and the crop and flip of an example one of (`seed`,
    epoch, position in the epoch): neither depends on the batch size, on ranks, or on where the scenes are kept. All is
    drawn on the CPU; the pixels are copied where they lie, each example as one block.

    Args:
        scenes: The training scenes.
        batch_size: Examples in a batch, over all ranks; see `BatchSize`.
        seed: Decides order, crops and flips.
        crop: Height and width of the crop; None for the whole scene.
        flip: Mirror an example left to right with probability 1/2.
        crops_per_image: Examples that an epoch takes of each scene.
        last: `"keep"` the smaller batch at the end of an epoch, or `"drop"` it.
        prepare: `batch -> batch`, from bytes to network values.
        rank: Which share of each batch to yield.
        world_size: Number of shares.
        device: Where the batches are wanted; `None` leaves them where the scenes are.

    Raises:
        UsageError: A crop larger than the scenes, a batch size that is not positive or exceeds an epoch's examples.
    """

    def __init__(
        self,
        scenes: SceneStore,
        *,
        batch_size: BatchSize,
        seed: int,
        crop: tuple[int, int] | None = None,
        flip: bool = True,
        crops_per_image: int = 1,
        last: Literal["keep", "drop"] = "keep",
        prepare: Callable[[Tensor], Tensor] | None = None,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str | None = None,
    ) -> None:
        examples = len(scenes) * crops_per_image
        super().__init__(examples, batch_size=batch_size, seed=seed, last=last, rank=rank, world_size=world_size)
        check_crop(crop, scenes.size)
        self.scenes = scenes.to(device)
        self.crop = scenes.size if crop is None else crop
        self.flip = flip
        self.prepare = prepare
        self.device = device
        self._drawn: tuple[int, tuple[list[int], ...]] | None = None

    def _batch(self, epoch: int, start: int, stop: int) -> tuple[Tensor, Tensor]:
        low, high = share(start, stop, self.rank, self.world_size)
        numbers, tops, lefts, flips = (values[low:high] for values in self._draws(epoch))
        height, width = self.crop
        images, masks = [], []
        for (image, mask), top, left, flipped in zip(self.scenes.take(numbers), tops, lefts, flips, strict=True):
            window = (..., slice(top, top + height), slice(left, left + width))
            images.append(image[window].flip(-1) if flipped else image[window])
            masks.append(mask[window].flip(-1) if flipped else mask[window])
        return stacked(images, masks, self.prepare, self.device)

    def _draws(self, epoch: int) -> tuple[list[int], ...]:
        """Scene, top, left and flip of each position of the epoch."""
        if self._drawn is None or self._drawn[0] != epoch:
            n, (height, width) = self._n, self.scenes.size
            order = torch.randperm(n, generator=generator(self.seed, "order", epoch)) % len(self.scenes)
            draw = generator(self.seed, "augment", epoch)
            tops = torch.randint(0, height - self.crop[0] + 1, (n,), generator=draw)
            lefts = torch.randint(0, width - self.crop[1] + 1, (n,), generator=draw)
            flips = torch.randint(0, 2, (n,), generator=draw) * self.flip
            self._drawn = epoch, tuple(values.tolist() for values in (order, tops, lefts, flips))
        return self._drawn[1]


class FixedScenes:
    """Whole scenes in fixed batches, made when they are asked for; how they are cut is said in `fixed_edges`.

    Args:
        scenes: The scenes.
        batch_size: Examples in a batch, over all ranks; larger than their number means one batch.
        prepare: `batch -> batch`, from bytes to network values.
        rank: Which share of each batch to give.
        world_size: Number of shares.
        device: Where the batches are wanted; `None` leaves them where the scenes are.

    Raises:
        UsageError: A batch size that is not positive, a rank out of range.
    """

    def __init__(
        self,
        scenes: SceneStore,
        *,
        batch_size: int,
        prepare: Callable[[Tensor], Tensor] | None = None,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str | None = None,
    ) -> None:
        check_rank(rank, world_size)
        self.scenes = scenes.to(device)
        self.prepare = prepare
        self.device = device
        edges = fixed_edges(len(scenes), batch_size, world_size)
        self._shares = [share(start, stop, rank, world_size) for start, stop in pairwise(edges)]

    def __len__(self) -> int:
        return len(self._shares)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for low, high in self._shares:
            images, masks = zip(*self.scenes.take(range(low, high)), strict=True)
            yield stacked(images, masks, self.prepare, self.device)


def stacked(
    images: Sequence[Tensor],
    masks: Sequence[Tensor],
    prepare: Callable[[Tensor], Tensor] | None,
    device: torch.device | str | None,
) -> tuple[Tensor, Tensor]:
    """One batch on the device: prepared images `[b, 3, h, w]`, masks `[b, h, w]` int64. Bytes travel, not floats."""
    inputs = torch.stack(list(images)).to(device)
    return (inputs if prepare is None else prepare(inputs)), torch.stack(list(masks)).to(device).long()


def check_crop(crop: tuple[int, int] | None, size: tuple[int, int]) -> None:
    """Refuse a crop that the scenes do not hold.

    Raises:
        UsageError: It is larger than they are.
    """
    if crop is not None and (crop[0] > size[0] or crop[1] > size[1]):
        raise UsageError(
            f"crop must be at most the {size[0]} rows and {size[1]} columns of the (shrunk) scenes, got"
            f" {crop[0]} and {crop[1]}."
        )
