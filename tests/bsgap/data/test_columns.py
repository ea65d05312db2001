"""Contiguous batching against that of PyTorch's word_language_model, written here as it is there; exact positions."""

import pytest
import torch

from bsgap.data.columns import Columns, TextLoader, sequences_in
from bsgap.errors import UsageError

SIZES = [(101, 10, 4), (100, 10, 3), (57, 1, 8), (57, 8, 35), (40, 20, 5), (1000, 7, 35), (72, 8, 4)]


def batchify(data, bsz):
    nbatch = data.size(0) // bsz
    return data.narrow(0, 0, nbatch * bsz).view(bsz, -1).t().contiguous()


def get_batch(source, i, bptt):
    seq_len = min(bptt, len(source) - 1 - i)
    return source[i : i + seq_len], source[i + 1 : i + 1 + seq_len].view(-1)


@pytest.mark.parametrize(("tokens", "columns", "length"), SIZES)
def test_steps_are_those_of_the_original(tokens, columns, length):
    text = torch.randperm(tokens, generator=torch.Generator().manual_seed(0))
    source = batchify(text, columns)
    expected = [get_batch(source, i, length) for i in range(0, source.size(0) - 1, length)]
    found = Columns(text, columns, length)
    assert len(found) == len(expected) == len(list(found))
    assert found.sequences == sequences_in(tokens, columns, length) == columns * len(expected)
    for (inputs, targets), (data, labels) in zip(found, expected, strict=True):
        assert torch.equal(inputs.t(), data)
        assert torch.equal(targets.t().reshape(-1), labels)
        assert inputs.dtype == targets.dtype == torch.int64


@pytest.mark.parametrize("world_size", [2, 3, 5])
def test_ranks_share_the_columns(world_size):
    text = torch.arange(200)
    shares = [list(Columns(text, 10, 6, rank=rank, world_size=world_size)) for rank in range(world_size)]
    for step, (inputs, targets) in enumerate(Columns(text, 10, 6)):
        assert torch.equal(torch.cat([parts[step][0] for parts in shares]), inputs)
        assert torch.equal(torch.cat([parts[step][1] for parts in shares]), targets)


@pytest.mark.parametrize("columns", [51, 101, 1000])
def test_a_batch_larger_than_the_text_allows(columns):
    with pytest.raises(UsageError, match=f"at most 50, as each column needs 2 of the 100 tokens.* got {columns}"):
        Columns(torch.arange(100), columns, 35)
    assert len(Columns(torch.arange(100), 50, 35)) == 1


def test_fewer_columns_than_devices():
    with pytest.raises(UsageError, match="the 2 columns of text must be at least as many as the 3 devices"):
        Columns(torch.arange(100), 2, 5, rank=0, world_size=3)


def loader(columns=5, length=4, seed=0, tokens=103):
    return TextLoader(Columns(torch.arange(tokens), columns, length), seed=seed)


def taken(iterator, number):
    return [next(iterator)[0][0, 0].item() for _ in range(number)]


def test_every_epoch_is_the_text_again():
    text = loader()
    first, second = ([inputs for inputs, _ in text] for _ in range(2))
    assert len(first) == len(text) == 5
    assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))
    assert text.epoch == 1
    assert text.examples_seen == 50


@pytest.mark.parametrize("steps", range(11))
def test_a_position_is_continued_exactly(steps):
    whole = [inputs[0, 0].item() for _ in range(3) for inputs, _ in loader()]  # always from the start: three epochs
    text = loader()
    seen = []
    while len(seen) < steps:
        for inputs, _ in text:
            seen.append(inputs[0, 0].item())
            if len(seen) == steps:
                break
    state = text.state_dict()
    other = loader()
    other.load_state_dict(state)
    other.load_state_dict(state)  # twice changes nothing
    assert other.examples_seen == steps * 5
    while len(seen) < 15:
        seen += [inputs[0, 0].item() for inputs, _ in other]
    assert seen == whole


def test_the_position_moves_before_a_batch_is_handed_out():
    text = loader()
    taken(iter(text), 2)
    assert text.state_dict() == {"epoch": 0, "examples": 10, "of": 25, "seed": 0}


@pytest.mark.parametrize("other", [{"tokens": 150}, {"seed": 1}, {"columns": 4}, {"length": 3}])
def test_a_position_in_another_text_is_refused(other):
    text = loader()
    taken(iter(text), 2)
    with pytest.raises(UsageError, match="cannot resume"):
        loader(**other).load_state_dict(text.state_dict())
