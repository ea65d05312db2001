"""Which words a language model knows."""

import torch
from torch import Tensor

from bsgap.data.text_sources.textset import UNKNOWN
from bsgap.errors import UsageError


def most_frequent(words: tuple[str, ...], train: Tensor, size: int) -> tuple[tuple[str, ...], Tensor]:
    """The vocabulary of `size` words: `<unk>`, then the most frequent words of a text, in that order.

    Of words that are equally frequent the one that appears first comes first.

    Args:
        words: All words, in order of first appearance in the text.
        train: `[n]` the text, as indices into `words`.
        size: Words of the vocabulary, `<unk>` among them.

    Returns:
        The vocabulary, and the new number of each of `words` (int32), 0 (`<unk>`) for those outside.

    Raises:
        UsageError: The text has fewer words.
    """
    counts = torch.bincount(train, minlength=len(words))
    if UNKNOWN in words:
        counts[words.index(UNKNOWN)] = 0
    known = int((counts > 0).sum())
    if not 2 <= size <= known + 1:
        raise UsageError(
            f"vocabulary_size must be between 2 and {known + 1}, the distinct words of the training text and {UNKNOWN},"
            f" got {size}."
        )
    kept = counts.sort(descending=True, stable=True).indices[: size - 1]
    numbers = torch.zeros(len(words), dtype=torch.int32)
    numbers[kept] = torch.arange(1, size, dtype=torch.int32)
    return (UNKNOWN, *(words[index] for index in kept.tolist())), numbers


def unknown_share(vocabulary: tuple[str, ...], tokens: Tensor) -> float:
    """Share of a text's tokens that are `<unk>`, in [0, 1]."""
    if UNKNOWN not in vocabulary:
        return 0.0
    return (tokens == vocabulary.index(UNKNOWN)).double().mean().item()
