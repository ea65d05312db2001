"""WikiText-2: the published counts, and files in its format that are labelled synthetic."""

import dataclasses
from pathlib import Path

import pytest
import torch

from bsgap.data import text_sources
from bsgap.data.text_sources import wikitext
from bsgap.data.text_sources.textset import numbered
from bsgap.errors import CorruptData, MissingData

FILES = tuple(wikitext.DIGESTS)
TEXTS = {
    "wiki.train.tokens": " \n = Synthetic = \n \n the cat saw <unk> . \n",
    "wiki.valid.tokens": " the dog saw \n",
    "wiki.test.tokens": " a cat saw the dog . \n",
}


@pytest.fixture
def synthetic(tmp_path):
    """synthetic(folder): writes the three files with a few synthetic words; their root."""

    def make(folder="wikitext-2"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for name, text in TEXTS.items():
            (tmp_path / folder / name).write_text(text, encoding="utf-8")
        return tmp_path

    return make


@pytest.mark.realdata
def test_the_published_counts(real_data):
    texts = text_sources.load("wikitext-2", Path(real_data))
    assert (len(texts.train), len(texts.validation), len(texts.test)) == (2_088_628, 217_646, 245_569)
    assert len(texts.words) == len(set(texts.words)) == 33_278
    assert texts.words[:5] == ("<eos>", "=", "Valkyria", "Chronicles", "III")
    assert int((texts.train == texts.words.index("<unk>")).sum()) == 54_625  # grep -o '<unk>' | wc -l
    assert texts.note == ""
    assert texts.fingerprint == text_sources.fingerprint("wikitext-2", Path("/nowhere"))


@pytest.mark.parametrize("folder", ["wikitext-2", "wikitext-2-v1"])
def test_lines_words_and_numbers(synthetic, folder):
    texts = text_sources.load("wikitext-2", synthetic(folder))
    assert texts.words == ("<eos>", "=", "Synthetic", "the", "cat", "saw", "<unk>", ".", "dog", "a")
    assert texts.train.tolist() == [0, 1, 2, 1, 0, 0, 3, 4, 5, 6, 7, 0]
    assert texts.validation.tolist() == [3, 8, 5, 0]
    assert texts.test.tolist() == [9, 4, 5, 3, 8, 7, 0]
    assert texts.train.dtype == torch.int32


def test_words_are_those_of_the_original_preparation(tmp_path):
    """word_language_model: `for line in open(path): words = line.split() + ['<eos>']`, in a file with every trap."""
    path = tmp_path / "text"
    path.write_bytes("a\u00a0b \u2028 c\r\nd\x0be\r f\u3000g \n\n h".encode())
    with open(path, encoding="utf8") as file:
        expected = [word for line in file for word in [*line.split(), "<eos>"]]
    assert list(wikitext.read_words(path, "home")) == expected


def test_other_files_are_named_as_such(synthetic):
    texts = text_sources.load("wikitext-2", synthetic())
    assert texts.note == (
        "not the published files: 12, 4, 7 training, validation and test tokens, published 2,088,628, 217,646, 245,569"
    )
    official = text_sources.fingerprint("wikitext-2", Path("/nowhere"))
    assert texts.fingerprint == text_sources.fingerprint("wikitext-2", synthetic()) != official


def test_a_text_is_kept_in_memory_until_its_files_change(synthetic):
    root = synthetic()
    first = text_sources.load("wikitext-2", root)
    assert text_sources.load("wikitext-2", root) is first
    (root / "wikitext-2" / FILES[0]).write_text("other words here\n")
    second = text_sources.load("wikitext-2", root)
    assert len(second.train) == 4
    assert second.fingerprint != first.fingerprint


def test_a_file_in_another_encoding(synthetic):
    root = synthetic()
    (root / "wikitext-2" / FILES[2]).write_bytes("a caf\u00e9\n".encode("latin-1"))
    with pytest.raises(CorruptData, match=r"wiki.test.tokens is not UTF-8: byte 0xe9 at position 5\.") as caught:
        text_sources.load("wikitext-2", root)
    assert "\n" not in str(caught.value)


def test_an_empty_file(synthetic):
    root = synthetic()
    (root / "wikitext-2" / FILES[1]).write_text("")
    with pytest.raises(CorruptData, match=r"wiki.valid.tokens is empty\. Delete it and get it again"):
        text_sources.load("wikitext-2", root)


def test_a_missing_file(synthetic):
    root = synthetic()
    (root / "wikitext-2" / FILES[0]).unlink()
    with pytest.raises(MissingData, match=r"WikiText-2 is not at hand: no .*wiki.train.tokens.*set download to true"):
        text_sources.load("wikitext-2", root)


def test_download_fetches_what_is_missing_and_checks_it(synthetic, serve, sha, tmp_path):
    home, address = serve
    for name, text in TEXTS.items():
        (home / wikitext.ORIGINALS[name]).write_text(text)
    digests = {name: sha(home / wikitext.ORIGINALS[name]) for name in FILES}
    source = dataclasses.replace(wikitext.WIKITEXT2, home=address, digests=digests)
    texts = source.load(tmp_path / "new", download=True)
    assert len(texts.train) == 12
    assert texts.note == ""  # the digests are those stated
    assert [path.name for path in source.files(tmp_path / "new")] == list(FILES)
    wrong = dataclasses.replace(source, digests=digests | {FILES[1]: "sha256:" + "0" * 64})
    with pytest.raises(MissingData, match="could not download"):
        wrong.load(tmp_path / "other", download=True)


def test_numbers_follow_first_appearance_over_all_texts():
    random = torch.Generator().manual_seed(0)
    texts = [[f"w{n}" for n in torch.randint(50, (200,), generator=random)] for _ in range(3)]
    words, codes = numbered(*texts)
    assert list(words) == list(dict.fromkeys(word for text in texts for word in text))
    assert [[words[code] for code in text] for text in codes] == texts
