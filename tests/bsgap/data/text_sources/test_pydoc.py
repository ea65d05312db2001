"""Python's documentation as a text: how it is cut into words and split."""

import builtins
import re
import sys

import pytest

from bsgap.data import text_sources
from bsgap.data.text_sources import pydoc
from bsgap.data.text_sources.pydoc import split_topics, tokens_of
from bsgap.errors import MissingData, UsageError


@pytest.fixture
def texts(tmp_path):
    return text_sources.load("pydoc", tmp_path)


def test_it_is_a_text_of_fair_size_split_80_10_10(texts):
    sizes = [len(texts.train), len(texts.validation), len(texts.test)]
    assert 50_000 < sum(sizes) < 200_000
    assert [size / sum(sizes) for size in sizes] == pytest.approx([0.8, 0.1, 0.1], abs=0.06)


def test_it_reads_as_english(texts):
    text = " ".join(texts.words[token] for token in texts.train.tolist())
    assert re.search(r"the [a-z]+ of the", text)
    assert "<eos>" in texts.words
    assert not any(re.fullmatch(r"[^\w<]{4,}", word) for word in texts.words)  # no drawn lines
    assert all(word == word.lower() for word in texts.words)


def test_no_paragraph_is_both_trained_and_tested_on(texts):
    def paragraphs(split):
        words = " ".join(texts.words[token] for token in getattr(texts, split).tolist())
        return [paragraph for paragraph in words.split(" <eos> ") if paragraph]

    everything = [p for split in ("train", "validation", "test") for p in paragraphs(split)]
    assert len(everything) == len(set(everything)) > 1000


def test_topics_stay_whole_and_their_order_does_not_depend_on_that_of_the_module():
    topics = {f"topic{n}": f"common words\n\nonly {n} here\n\nand *{n}* there" for n in range(50)}
    splits = split_topics(topics)
    assert splits == split_topics(dict(reversed(topics.items())))
    joined = [" ".join(split) for split in splits]
    assert sum(text.count("common words <eos>") for text in joined) == 1
    for n in range(50):
        assert [f"only {n} here <eos> and * {n} * there <eos>" in text for text in joined].count(True) == 1
    assert [len(split) for split in splits] == pytest.approx([400 + 3, 50, 50], abs=10)


def test_the_content_decides_the_fingerprint(texts, tmp_path, monkeypatch):
    assert texts.fingerprint == text_sources.fingerprint("pydoc", tmp_path)
    module = sys.modules["pydoc_data.topics"]
    changed = dict(module.topics)
    changed["assert"] = changed["assert"].replace("convenient", "handy")
    monkeypatch.setattr(module, "topics", changed)
    pydoc._load.cache_clear()
    assert text_sources.fingerprint("pydoc", tmp_path) != texts.fingerprint
    pydoc._load.cache_clear()


def test_apostrophes_names_and_runs():
    assert tokens_of("It's  __init__ (a**2) >>> x\n=====") == [
        "it's", "__init__", "(", "a", "**", "2", ")", ">>>", "x",
    ]  # fmt: skip


def test_a_python_without_its_documentation(monkeypatch, tmp_path):
    pydoc._load.cache_clear()
    original = builtins.__import__

    def without(name, *arguments, **options):
        if name.startswith("pydoc_data"):
            raise ImportError(name)
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingData, match="comes without its documentation"):
        text_sources.load("pydoc", tmp_path)


def test_an_unknown_text(tmp_path):
    with pytest.raises(UsageError, match="text source must be one of pydoc, wikitext-2, got 'ptb'"):
        text_sources.get("ptb")
