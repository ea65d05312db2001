"""Text read side by side: the contiguous batching of language modelling, and the training loader over it."""

from collections.abc import Iterator

import torch
from torch import Tensor

from bsgap.data.epochs import EpochLoader, check_rank, share
from bsgap.errors import UsageError


def sequences_in(tokens: int, columns: int, sequence_length: int) -> int:
    """Sequences that a text of `tokens` tokens has in so many columns, the shorter last one of each column included.

    >>> sequences_in(101, 10, 4)  # ten columns of ten tokens: nine predictions in steps of 4, 4 and 1
    30
    """
    return columns * -(-(tokens // columns - 1) // sequence_length)


class Columns:
    """A text cut into m columns of equal length, read from top to bottom in steps.

    Column j holds the tokens j·L to (j+1)·L - 1, where L = n // m; the n - m·L tokens at the end are left out. A step
    yields the next T tokens of every column, and as targets the tokens one further on; the last step of a column may be
    shorter. This is the batching of PyTorch's `word_language_model`, and its batch axis is the batch size.

    Args:
        tokens: `[n]` word numbers.
        batch_size: Columns m.
        sequence_length: Tokens T of a column in one step.
        rank: Which share of the columns to yield.
        world_size: Number of shares.
        device: Where to keep the text; `None` leaves it where it is.

    Raises:
        UsageError: A column would have fewer than two tokens, or there are fewer columns than shares.
    """

    def __init__(
        self,
        tokens: Tensor,
        batch_size: int,
        sequence_length: int,
        *,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str | None = None,
    ) -> None:
        check_rank(rank, world_size)
        check_columns(batch_size, len(tokens))
        if batch_size < world_size:
            raise UsageError(f"the {batch_size} columns of text must be at least as many as the {world_size} devices.")
        low, high = share(0, batch_size, rank, world_size)
        length = len(tokens) // batch_size
        self.batch_size = batch_size
        self.sequence_length = sequence_length
        self.rank, self.world_size = rank, world_size
        self.sequences = sequences_in(len(tokens), batch_size, sequence_length)
        self._columns = tokens[low * length : high * length].view(high - low, length).to(device, torch.int64)

    def __len__(self) -> int:
        return self.sequences // self.batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return (self.step(number) for number in range(len(self)))

    def step(self, number: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets `(columns of this rank, T)` of a step, counted from 0."""
        start = number * self.sequence_length
        stop = min(start + self.sequence_length, self._columns.shape[1] - 1)
        return self._columns[:, start:stop], self._columns[:, start + 1 : stop + 1]


class TextLoader(EpochLoader):
    """The steps of `Columns` for training, epoch after epoch, with an exact position; see `EpochLoader`.

    The order is that of the text: nothing is drawn. A sequence counts as an example, so a batch of m is one of m
    columns.

    Args:
        columns: What to read.
        seed: The run's; a checkpoint of another seed is refused.
    """

    def __init__(self, columns: Columns, *, seed: int) -> None:
        super().__init__(
            columns.sequences,
            batch_size=columns.batch_size,
            seed=seed,
            last="keep",
            rank=columns.rank,
            world_size=columns.world_size,
        )
        self.columns = columns

    def read(self, columns: Columns) -> None:
        """Go on with other columns of the same text, from the start of an epoch: the next one, if one is under way."""
        if self._examples:
            self.set_epoch(self._epoch + 1)
        self.columns, self.batch_size, self._n = columns, columns.batch_size, columns.sequences

    def _batch(self, epoch: int, start: int, stop: int) -> tuple[Tensor, Tensor]:
        return self.columns.step(start // self.columns.batch_size)


def check_columns(columns: int, tokens: int, *, option: str = "batch_size", text: str = "text") -> None:
    """Refuse more columns than a text allows: each needs a token to read and one to predict.

    Raises:
        UsageError: A column would have fewer than two tokens.
    """
    if columns > tokens // 2:
        raise UsageError(
            f"{option} must be at most {tokens // 2}, as each column needs 2 of the {tokens} tokens of the {text},"
            f" got {columns}."
        )
