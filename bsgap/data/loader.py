"""Loaders over tensors that already live on the device: no worker processes, no collation, exact resume.

A batch is one `index_select` of a seeded permutation. With 1 ms of framework overhead a step, what a worker pool or a
per-image transform costs is most of the time of a small network, and it makes the order depend on the machine.
"""

from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor

from bsgap.data.epochs import BatchSize, EpochLoader, check_rank, fixed_edges, share
from bsgap.errors import UsageError
from bsgap.seeding import generator

Batches = list[tuple[Tensor, Tensor]]
"""(input, target) pairs of fixed composition and order; the last may be smaller."""


class TensorLoader(EpochLoader):
    """Shuffled batches for training; each example comes once an epoch, and the position is part of a checkpoint.

    The order of epoch `e` is a pure function of (`seed`, `e`), and the augmentation of the batch that starts at
    position `s` a pure function of (`seed`, `e`, `s`). So a resumed loader yields bit for bit what an uninterrupted one
    yields. Both are drawn on the CPU: the order is the same on every device.

    How it continues, and what a batch size that is a function receives, is said in `EpochLoader`.

    Under several ranks a batch of m is cut into `world_size` neighbouring shares whose union is the batch, with the
    same augmentation as on one device.

    Args:
        inputs: `[n, ...]`, any type (uint8 is cheapest to keep).
        targets: `[n, ...]`, moved with the inputs.
        batch_size: Examples in a batch, over all ranks; see `BatchSize`.
        shuffle: Draw a permutation an epoch; otherwise the stored order.
        seed: Decides order and augmentation.
        last: `"keep"` the smaller batch at the end of an epoch, or `"drop"` it.
        augment: `(batch, generator) -> batch` on stored values, applied to the whole batch before it is shared out.
        prepare: `batch -> batch`, from stored to network values, for instance scaling to [0, 1].
        rank: Which share of each batch to yield.
        world_size: Number of shares.
        device: Where to keep the data; `None` leaves them where they are.

    Raises:
        UsageError: Empty or unequal tensors, a batch size that is not positive or exceeds n, a rank out of range.
    """

    def __init__(
        self,
        inputs: Tensor,
        targets: Tensor,
        *,
        batch_size: BatchSize,
        shuffle: bool,
        seed: int,
        last: Literal["keep", "drop"] = "keep",
        augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
        prepare: Callable[[Tensor], Tensor] | None = None,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str | None = None,
    ) -> None:
        _check_pair(inputs, targets)
        super().__init__(len(inputs), batch_size=batch_size, seed=seed, last=last, rank=rank, world_size=world_size)
        self.inputs = inputs.to(device)
        self.targets = targets.to(device)
        self.shuffle = shuffle
        self.augment = augment
        self.prepare = prepare
        self._order: tuple[int, Tensor] | None = None

    def _batch(self, epoch: int, start: int, stop: int) -> tuple[Tensor, Tensor]:
        low, high = share(start, stop, self.rank, self.world_size)
        if self.augment is None:
            inputs = self._take(self.inputs, epoch, low, high)
        else:
            # Every rank augments the whole batch: that costs less than a batch of another content.
            whole = self._take(self.inputs, epoch, start, stop)
            inputs = self.augment(whole, generator(self.seed, "augment", epoch, start))[low - start : high - start]
        if self.prepare is not None:
            inputs = self.prepare(inputs)
        return inputs, self._take(self.targets, epoch, low, high)

    def _take(self, values: Tensor, epoch: int, low: int, high: int) -> Tensor:
        if not self.shuffle:
            return values[low:high]
        if self._order is None or self._order[0] != epoch:
            order = torch.randperm(self._n, generator=generator(self.seed, "order", epoch))
            self._order = (epoch, order.to(values.device))
        return values.index_select(0, self._order[1][low:high])


class FixedLoader:
    """The same batches in the same order at every iteration: for validation, test and measures.

    It has no position, so an evaluation that was cut short does not shift the next one. How it is cut is said in
    `fixed_edges`.

    Args:
        inputs: `[n, ...]`.
        targets: `[n, ...]`.
        batch_size: Examples in a batch, over all ranks; larger than n means one batch.
        prepare: From stored to network values.
        rank: Which share of each batch to yield.
        world_size: Number of shares.
        device: Where to keep the data; `None` leaves them where they are.

    Raises:
        UsageError: Empty or unequal tensors, a batch size that is not positive, a rank out of range.
    """

    def __init__(
        self,
        inputs: Tensor,
        targets: Tensor,
        *,
        batch_size: int,
        prepare: Callable[[Tensor], Tensor] | None = None,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str | None = None,
    ) -> None:
        _check_pair(inputs, targets)
        check_rank(rank, world_size)
        self.inputs = inputs.to(device)
        self.targets = targets.to(device)
        self.prepare = prepare
        self.rank = rank
        self.world_size = world_size
        self._edges = fixed_edges(len(inputs), batch_size, world_size)

    def __len__(self) -> int:
        return len(self._edges) - 1

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for start, stop in zip(self._edges, self._edges[1:], strict=False):
            low, high = share(start, stop, self.rank, self.world_size)
            inputs = self.inputs[low:high]
            yield (inputs if self.prepare is None else self.prepare(inputs)), self.targets[low:high]


def _check_pair(inputs: Tensor, targets: Tensor) -> None:
    if len(inputs) != len(targets) or len(inputs) == 0:
        raise UsageError(f"inputs and targets must be equally many and not none, got {len(inputs)} and {len(targets)}.")
