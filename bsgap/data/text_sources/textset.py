"""What every text source returns: three texts as word numbers, and the words."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

END = "<eos>"
"""Word that ends a line or paragraph."""

UNKNOWN = "<unk>"
"""Word that stands for all words outside the vocabulary."""


@dataclass(frozen=True, eq=False)
class TextSet:
    """A text as stored, in the order in which it is read. Its tensors are shared, never written to.

    Attributes:
        name: Name of the source.
        words: The distinct words of all three texts, in order of first appearance (training, validation, test).
        train: `[n]` int32 indices into `words`.
        validation: As `train`.
        test: As `train`.
        note: Empty for the text as published; otherwise how it differs.
        fingerprint: Hexadecimal digest that tells this text from any other.
    """

    name: str
    words: tuple[str, ...]
    train: Tensor
    validation: Tensor
    test: Tensor
    note: str
    fingerprint: str


def numbered(*texts: Iterable[str]) -> tuple[tuple[str, ...], list[Tensor]]:
    """The distinct words of the texts in order of first appearance, and each text as indices into them (int32).

    >>> words, (first, second) = numbered("to be or not to be".split(), "be it".split())
    >>> words
    ('to', 'be', 'or', 'not', 'it')
    >>> first.tolist(), second.tolist()
    ([0, 1, 2, 3, 0, 1], [1, 4])
    """
    index: dict[str, int] = {}
    codes = [np.fromiter((index.setdefault(word, len(index)) for word in text), dtype=np.int32) for text in texts]
    return tuple(index), [torch.from_numpy(code) for code in codes]
