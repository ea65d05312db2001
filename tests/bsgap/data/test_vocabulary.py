"""The vocabulary against `collections.Counter`."""

from collections import Counter

import pytest
import torch

from bsgap.data.text_sources.textset import numbered
from bsgap.data.vocabulary import most_frequent, unknown_share
from bsgap.errors import UsageError

TEXT = ["b", "a", "c", "b", "<unk>", "d", "a", "e", "a", "<unk>", "<unk>", "<unk>", "f", "c"]


def test_most_frequent_first_ties_by_first_appearance():
    words, (train,) = numbered(TEXT)
    vocabulary, numbers = most_frequent(words, train, 4)
    assert vocabulary == ("<unk>", "a", "b", "c")
    found = [vocabulary[number] for number in numbers[train].tolist()]
    assert found == [word if word in "abc" else "<unk>" for word in TEXT]
    assert unknown_share(vocabulary, numbers[train]) == found.count("<unk>") / len(TEXT) == 0.5


@pytest.mark.parametrize("size", [2, 10, 77])
def test_against_counter(size):
    random = torch.Generator().manual_seed(1)
    text = [f"w{int(n)}" for n in 100 * torch.rand(3000, generator=random) ** 3]
    words, (train,) = numbered(text)
    vocabulary, _ = most_frequent(words, train, size)
    assert list(vocabulary) == ["<unk>"] + [word for word, _ in Counter(text).most_common(size - 1)]


def test_words_that_only_the_other_texts_have_are_unknown():
    words, (train, test) = numbered(["a", "b", "a"], ["c", "a"])
    vocabulary, numbers = most_frequent(words, train, 3)
    assert vocabulary == ("<unk>", "a", "b")
    assert numbers[test].tolist() == [0, 1]
    assert unknown_share(vocabulary, numbers[test]) == 0.5


@pytest.mark.parametrize("size", [1, 8])
def test_a_size_out_of_range(size):
    words, (train,) = numbered(TEXT)
    with pytest.raises(UsageError, match=f"vocabulary_size must be between 2 and 7, .* got {size}"):
        most_frequent(words, train, size)


def test_a_text_without_unknown_words():
    words, (train,) = numbered(["a", "b"])
    assert unknown_share(words, train) == 0.0
