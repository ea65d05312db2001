"""The data module of texts: what its options cut, what a run keeps, and what bad input gets."""

import doctest
import importlib
import json
from itertools import pairwise

import pytest
import torch
from jsonargparse import ArgumentParser

from bsgap.data import TextData
from bsgap.errors import MissingData, UsageError


def data(**options):
    texts = TextData(**{"source": "pydoc", "vocabulary_size": 500, "train_tokens": 5000, **options})
    texts.setup("fit")
    return texts


def words(texts, batches):
    """What the first column reads, in words."""
    return [texts.vocabulary[token] for inputs, _ in batches for token in inputs[0].tolist()]


@pytest.mark.parametrize(
    "name",
    [
        "bsgap.data.columns",
        "bsgap.data.text_sources.pydoc",
        "bsgap.data.text_sources.textset",
        "bsgap.tasks.perplexity",
    ],
)
def test_examples_in_docstrings(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.failed == 0
    assert found.attempted > 0


def test_a_step_takes_the_next_tokens_of_every_column():
    texts = data(batch_size=4, sequence_length=10)
    whole = data(vocabulary_size=None, batch_size=1, sequence_length=5000)
    (everything, _) = next(iter(whole.train_dataloader()))
    expected = [word if word in texts.vocabulary else "<unk>" for word in words(whole, [(everything, None)])]
    batches = list(texts.train_dataloader())
    assert words(texts, batches) == expected[:1249]  # 1,250 tokens a column, the last of which is only predicted
    assert batches[0][0].shape == (4, 10)
    assert batches[-1][0].shape == (4, 9)
    for (_, targets), (inputs, _) in pairwise(batches):
        assert torch.equal(targets[:, -1], inputs[:, 0])
    assert texts.n_train == sum(len(targets) for _, targets in batches) == 4 * 125


def test_the_vocabulary_is_that_of_the_training_text_that_is_used():
    small, large = data(train_tokens=3000), data(train_tokens=60_000)
    assert small.classes == large.classes == 500
    assert small.vocabulary != large.vocabulary
    assert small.vocabulary[0] == large.vocabulary[0] == "<unk>"
    for batches in (small.batches("train"), small.batches("test")):
        assert max(int(targets.max()) for _, targets in batches) < 500
    assert data(vocabulary_size=None).classes > 3000


def test_the_sample_is_the_start_of_the_training_text():
    texts = data(sample_tokens=700, evaluation_batch_size=1)
    assert words(texts, texts.batches("sample")) == words(texts, texts.batches("train"))[:699]
    assert data(sample_tokens=10**6).describe()["sample_tokens"] == 5000  # capped


@pytest.mark.parametrize("split", ["train", "test", "validation", "sample"])
@pytest.mark.parametrize("examples", [1, 10, 25])
def test_examples_count_sequences(split, examples):
    texts = data(validation_tokens=2000, sequence_length=10, evaluation_batch_size=5)
    batches = texts.batches(split, examples)
    assert sum(targets.numel() for _, targets in batches) == examples * 10
    assert batches[0][0].shape == (5, min(10, examples * 2))
    if examples >= 10:
        assert torch.equal(batches[0][0][0], texts.batches(split)[0][0][0])


def test_all_examples_are_the_whole_split():
    texts = data(test_tokens=1003, sequence_length=10, evaluation_batch_size=4)
    assert texts.n_test == 4 * 25
    some, whole = texts.batches("test", texts.n_test), texts.batches("test")
    assert len(some) == len(whole) == 25
    assert all(torch.equal(one[1], two[1]) for one, two in zip(some, whole, strict=True))
    with pytest.raises(UsageError, match="examples must be at most the 100 of the test split, got 101"):
        texts.batches("test", 101)


def test_evaluations_do_not_depend_on_the_batch_size_of_training():
    one, two = (data(batch_size=size).batches("train") for size in (2, 64))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(one, two, strict=True))
    assert len(data().batches("test", batch_size=3)[0][0]) == 3


def test_the_seed_draws_nothing():
    one, two = (next(iter(data(seed=seed).train_dataloader()))[0] for seed in (0, 1))
    assert torch.equal(one, two)


def test_what_a_run_keeps():
    texts = data(batch_size=16, validation_tokens=3000, test_tokens=4000)
    kept = texts.describe()
    assert json.loads(json.dumps(kept)) == kept
    assert (kept["train_tokens"], kept["validation_tokens"], kept["test_tokens"]) == (5000, 3000, 4000)
    assert kept["train_examples"] == texts.n_train == 16 * 9
    assert kept["classes"] == 500
    unknown = sum(int((inputs == 0).sum()) for inputs, _ in texts.batches("test", batch_size=1)) / 3999
    assert kept["test_unknown_share"] == pytest.approx(unknown, abs=1e-3)
    assert 0 < kept["train_unknown_share"] < kept["test_unknown_share"] < 0.6
    assert len(kept["fingerprint"]) == 64
    assert data().describe()["validation_tokens"] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "ptb"}, "text source must be one of"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1, got 0"),
        ({"sequence_length": 0}, "sequence_length must be an integer"),
        ({"evaluation_batch_size": -1}, "evaluation_batch_size must be"),
        ({"vocabulary_size": 1}, "vocabulary_size must be an integer of at least 2, got 1"),
        ({"vocabulary_size": 10**6}, "vocabulary_size must be between 2 and .* got 1000000"),
        ({"train_tokens": 10**8}, "train_tokens must be at most the .* of the source, got 100000000"),
        ({"test_tokens": 10**8}, "test_tokens must be at most"),
        ({"validation_tokens": 10**8}, "validation_tokens must be at most"),
        ({"batch_size": 2501}, "batch_size must be at most 2500, .* of the training text, got 2501"),
    ],
)
def test_options_that_cannot_be_honoured(options, message):
    with pytest.raises(UsageError, match=message) as caught:
        data(**options)
    assert "\n" not in str(caught.value)


def test_splits_that_cannot_be_read():
    texts = data(test_tokens=30, evaluation_batch_size=16)
    with pytest.raises(UsageError, match=r"evaluation_batch_size must be at most 15, .* of the test text, got 16"):
        texts.batches("test")
    with pytest.raises(UsageError, match="evaluation_batch_size must be at most 15"):
        texts.test_dataloader()
    with pytest.raises(UsageError, match=r"there is no validation text\. Set validation_tokens"):
        texts.batches("validation")
    with pytest.raises(UsageError, match=r"there is no validation text\. Set validation_tokens"):
        texts.setup("validate")
    with pytest.raises(UsageError, match="split must be one of"):
        texts.batches("valid")


def test_wikitext_that_is_not_there(tmp_path):
    with pytest.raises(MissingData, match="WikiText-2 is not at hand"):
        data(source="wikitext-2", root=str(tmp_path))


@pytest.mark.realdata
def test_wikitext_at_the_published_batching(real_data):
    texts = data(source="wikitext-2", root=real_data, vocabulary_size=None, train_tokens=None, batch_size=20)
    assert texts.classes == 33_278
    assert len(texts.train_dataloader()) == 2984  # "2983 batches" in the logs of word_language_model: it floors
    assert texts.describe()["note"] == ""


def test_it_can_be_configured_from_the_command_line():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(TextData, "data")
    parsed = parser.parse_args(["--data.vocabulary_size=50", "--data.train_tokens=2000", "--data.batch_size=3"])
    texts = parser.instantiate_classes(parsed).data
    assert texts.classes == 50
