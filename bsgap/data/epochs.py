"""The part of a training loader that knows where in which epoch it stands; what a batch holds is its subclass's."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Literal

from torch import Tensor

from bsgap.errors import UsageError

BatchSize = int | Callable[[int], int]
"""Examples a batch, or a function from the examples seen since the start of training to that number."""


class EpochLoader(ABC):
    """Batches over epochs of n examples, with an exact position.

    Iterating *continues* the epoch at the stored position, and starts the next epoch when the stored one is over. The
    position moves before a batch is handed out, because Lightning never exhausts an iterator whose length it knows.
    A pass that is cut short (`limit_train_batches`) therefore goes on where it stopped.

    A batch size that is a function receives `epoch * n + position`, the examples passed since the start, so that the
    length of every epoch is known in advance (a ramp). It is cut to the size of the data set. `len` counts the batches
    of the epoch that iterating runs: the current one, or the next one once the current one is over.

    Args:
        n: Examples in an epoch.
        batch_size: Examples in a batch, over all ranks; see `BatchSize`.
        seed: Decides what `_batch` draws, and is part of the position.
        last: `"keep"` the smaller batch at the end of an epoch, or `"drop"` it.
        rank: Which share of each batch to yield.
        world_size: Number of shares.

    Raises:
        UsageError: A batch size that is not positive or exceeds n, a rank out of range, an unknown `last`.
    """

    def __init__(
        self, n: int, *, batch_size: BatchSize, seed: int, last: Literal["keep", "drop"], rank: int, world_size: int
    ) -> None:
        check_rank(rank, world_size)
        if not callable(batch_size) and not 1 <= batch_size <= n:
            raise UsageError(f"batch_size must be between 1 and the {n} examples of the data set, got {batch_size}.")
        if last not in ("keep", "drop"):
            raise UsageError(f'last must be "keep" or "drop", got {last!r}.')
        self.batch_size = batch_size
        self.seed = seed
        self.last = last
        self.rank = rank
        self.world_size = world_size
        self._n = n
        self._epoch = 0
        self._examples = 0
        self._before = 0
        self._length: tuple[int, BatchSize, int] | None = None

    @abstractmethod
    def _batch(self, epoch: int, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """This rank's share of the batch of the epoch's examples `start` to `stop`."""

    @property
    def epoch(self) -> int:
        """Epoch of the position, counted from 0; it advances when the first batch of the next epoch is taken."""
        return self._epoch

    @property
    def examples_seen(self) -> int:
        """Examples passed since the start of training, over all ranks (dropped ones are passed too)."""
        return self._epoch * self._n + self._examples

    @property
    def examples_before(self) -> int:
        """Examples passed before the batch handed out last, counted as in `examples_seen`."""
        return self._before

    @property
    def epoch_examples(self) -> int:
        """Examples in an epoch, over all ranks."""
        return self._n

    def size_at(self, seen: int) -> int:
        """Batch size once `seen` examples have been passed, before the end of the epoch cuts the batch.

        Raises:
            UsageError: The batch-size function returned something else than a positive integer.
        """
        if not callable(self.batch_size):
            return self.batch_size
        size = self.batch_size(seen)
        if not isinstance(size, int) or size < 1:
            raise UsageError(
                f"the batch-size function must return an integer of at least 1, got {size!r} at {seen} examples seen."
            )
        return min(size, self._n)

    def spans(self, epoch: int) -> Iterator[tuple[int, int]]:
        """Where in an epoch each of its batches starts and stops, over all ranks."""
        return ((start, self._step(epoch, start)[0]) for start in self._starts(epoch))

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch.

        Raises:
            UsageError: A negative epoch.
        """
        if epoch < 0:
            raise UsageError(f"epoch must be at least 0, got {epoch}.")
        self._epoch, self._examples = epoch, 0

    def state_dict(self) -> dict[str, int]:
        """Position, as integers: epoch, examples passed within it, and what they refer to (n and seed)."""
        return {"epoch": self._epoch, "examples": self._examples, "of": self._n, "seed": self.seed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a stored position; doing so twice changes nothing.

        Raises:
            UsageError: The position belongs to other data, another seed, or another batch size.
        """
        for key, mine, what in (("of", self._n, "training examples"), ("seed", self.seed, "as the seed")):
            if state.get(key, mine) != mine:
                raise UsageError(
                    f"cannot resume: the checkpoint has {state[key]} {what}, this run {mine}. Use the same options."
                )
        epoch, examples = int(state["epoch"]), int(state["examples"])
        if examples != self._n and examples not in self._starts(epoch):
            raise UsageError(
                f"cannot resume: the checkpoint stands {examples} examples into epoch {epoch}, which is not between "
                "two batches of this run. Use the same batch size and the same setting of `last`."
            )
        self._epoch, self._examples = epoch, examples

    def __len__(self) -> int:
        epoch = self._epoch + (self._examples >= self._n)
        if not callable(self.batch_size):
            return self._n // self.batch_size if self.last == "drop" else -(-self._n // self.batch_size)
        if self._length is None or self._length[:2] != (epoch, self.batch_size):
            self._length = (epoch, self.batch_size, sum(1 for _ in self._starts(epoch)))
        return self._length[2]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        if self._examples >= self._n:
            self._epoch, self._examples = self._epoch + 1, 0
        while self._examples < self._n:
            epoch, start = self._epoch, self._examples
            stop, self._examples = self._step(epoch, start)
            self._before = epoch * self._n + start
            yield self._batch(epoch, start, stop)

    def _step(self, epoch: int, start: int) -> tuple[int, int]:
        """End of the batch that starts at `start`, and the position after it (n when only a dropped rest follows)."""
        seen = epoch * self._n
        stop = min(start + self.size_at(seen + start), self._n)
        following = stop
        if self.last == "drop" and stop < self._n and stop + self.size_at(seen + stop) > self._n:
            following = self._n
        return stop, following

    def _starts(self, epoch: int) -> Iterator[int] | range:
        """Positions at which the batches of an epoch start."""
        if not callable(self.batch_size):
            return range(0, self._n - (self.batch_size - 1 if self.last == "drop" else 0), self.batch_size)
        return self._ramp_starts(epoch)

    def _ramp_starts(self, epoch: int) -> Iterator[int]:
        start = 0
        while start < self._n:
            yield start
            start = self._step(epoch, start)[1]


def share(start: int, stop: int, rank: int, world_size: int) -> tuple[int, int]:
    """The rank's part of [start, stop): neighbouring parts, as equal as can be."""
    size = stop - start
    return start + size * rank // world_size, start + size * (rank + 1) // world_size


def fixed_edges(n: int, batch_size: int, world_size: int = 1) -> list[int]:
    """Where the batches of a fixed order of `n` examples begin, and where the last one ends.

    A batch size above n means one batch. A last batch of one, or of fewer examples than there are ranks, joins the one
    before it: a single example has no batch statistics, and each rank needs one.

    Raises:
        UsageError: The batch size is not positive.
    """
    if batch_size < 1:
        raise UsageError(f"batch_size must be at least 1, got {batch_size}.")
    edges = [*range(0, n, batch_size), n]
    smallest = max(world_size, 2 if batch_size > 1 else 1)
    while len(edges) > 2 and edges[-1] - edges[-2] < smallest:
        del edges[-2]
    return edges


def check_rank(rank: int, world_size: int) -> None:
    """Refuse a rank out of range.

    Raises:
        UsageError: It is.
    """
    if not 0 <= rank < world_size:
        raise UsageError(f"rank must be between 0 and world_size - 1, got rank {rank} of {world_size}.")
