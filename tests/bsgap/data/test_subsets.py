import dataclasses

import pytest
import torch

from bsgap.data import sources
from bsgap.data.subsets import cut, stratified_order
from bsgap.errors import UsageError

OPTIONS = {
    "train_examples": None,
    "train_fraction": None,
    "test_examples": None,
    "validation_examples": 0,
    "seed": 0,
}


@pytest.fixture
def numbered(tmp_path):
    """The digits, each image replaced by its number, so that one can see where it went."""
    digits = sources.load("digits", tmp_path)
    return dataclasses.replace(digits, train_inputs=torch.arange(1000), test_inputs=torch.arange(797))


def test_every_beginning_keeps_the_shares_of_the_classes():
    targets = torch.tensor([0] * 500 + [1] * 300 + [2] * 30 + [3] * 1)
    order = stratified_order(targets, 0, "x")
    assert sorted(order.tolist()) == list(range(len(targets)))
    shares = torch.bincount(targets) / len(targets)
    # A class is rounded by at most 1/2 at a common position, which is off by the roundings of all the classes.
    bound = 0.5 + shares * len(shares) / 2
    for k in range(1, len(targets) + 1):
        counts = torch.bincount(targets[order[:k]], minlength=4)
        assert ((counts - k * shares).abs() <= bound).all()


def test_a_balanced_set_gives_equally_many_of_each_class():
    targets = torch.arange(100) % 10
    counts = torch.bincount(targets[stratified_order(targets, 5, "x")[:30]])
    assert counts.tolist() == [3] * 10


def test_order_is_random_within_a_class_and_fixed_by_seed_and_name():
    targets = torch.zeros(50, dtype=torch.int64)
    orders = [stratified_order(targets, *key).tolist() for key in ((0, "a"), (1, "a"), (0, "b"), (0, "a"))]
    assert orders[0] == orders[3]
    assert len({tuple(order) for order in orders}) == 3


def test_subsets_are_nested_and_validation_does_not_depend_on_them(numbered):
    small = cut(numbered, **OPTIONS | {"train_examples": 100, "validation_examples": 200, "test_examples": 50})
    large = cut(numbered, **OPTIONS | {"train_examples": 300, "validation_examples": 200, "test_examples": 90})
    for split, k in (("train", 100), ("test", 50), ("validation", 200)):
        assert torch.equal(small[split][0], large[split][0][:k])
        assert torch.equal(small[split][1], large[split][1][:k])


def test_validation_is_cut_from_the_training_data_and_all_is_used(numbered):
    splits = cut(numbered, **OPTIONS | {"validation_examples": 200})
    everything = torch.cat([splits["train"][0], splits["validation"][0]]).sort().values
    assert torch.equal(everything, torch.arange(1000))
    assert torch.equal(splits["test"][0].sort().values, torch.arange(797))
    assert torch.equal(splits["train"][1], numbered.train_targets[splits["train"][0]])
    assert "validation" not in cut(numbered, **OPTIONS)


@pytest.mark.parametrize(("fraction", "count"), [(1.0, 900), (0.5, 450), (0.25, 225), (1e-6, 1)])
def test_fraction_is_of_what_validation_leaves(numbered, fraction, count):
    splits = cut(numbered, **OPTIONS | {"train_fraction": fraction, "validation_examples": 100})
    assert len(splits["train"][1]) == count


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"train_examples": 1001}, "at most the 1000 of digits, got 1001"),
        ({"train_examples": 900, "validation_examples": 101}, "at most the 899 of digits that 101 validation examples"),
        ({"validation_examples": 1000}, "must leave some of the 1000"),
        ({"test_examples": 798}, "at most the 797 of digits, got 798"),
    ],
)
def test_more_than_there_is(numbered, options, words):
    with pytest.raises(UsageError, match=words):
        cut(numbered, **OPTIONS | options)
