"""Python's own documentation, as `help()` prints it: real English, no download.

The module `pydoc_data.topics` of the standard library holds the chapters of the language reference. The text is that of
the Python that runs, so two versions of Python have two fingerprints.
"""

import platform
import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b, sha256
from pathlib import Path

from bsgap.data.text_sources.textset import END, TextSet, numbered
from bsgap.errors import MissingData

TRAIN, VALIDATION = 0.8, 0.1  # shares of the tokens; the rest is the test text

_TOKEN = re.compile(r"\w+(?:'\w+)?|([^\w\s])\1*")
_RULE = 4  # marks of one kind in a row, from which they are a line drawn under a heading


@dataclass(frozen=True)
class PydocSource:
    """The topics of `pydoc_data`, cut into words and punctuation; there is no file to find."""

    name: str = "pydoc"

    def files(self, root: Path) -> list[Path]:
        """None: the text comes with Python."""
        return []

    def load(self, root: Path, *, download: bool) -> TextSet:
        """The text, split by topic.

        Raises:
            MissingData: This Python comes without it.
        """
        return _load(self.name)

    def fingerprint(self, root: Path) -> str:
        """Digest of the content."""
        return _load(self.name).fingerprint


def tokens_of(paragraph: str) -> list[str]:
    r"""Lower-case words and punctuation of a paragraph; equal marks in a row are one, lines drawn with them none.

    >>> tokens_of('The "in" statement\n******\nDoesn\'t fail: x == 1...')
    ['the', '"', 'in', '"', 'statement', "doesn't", 'fail', ':', 'x', '==', '1', '...']
    """
    found = (match.group() for match in _TOKEN.finditer(paragraph.lower()))
    return [token for token in found if len(token) < _RULE or token[0].isalnum() or token[0] == "_"]


def split_topics(topics: dict[str, str]) -> tuple[list[str], list[str], list[str]]:
    """Training, validation and test tokens: whole topics in a fixed order, about 80, 10 and 10 % of the tokens.

    The order is that of a digest of the topics' names. A paragraph that several topics share is kept once, so that
    nothing is tested on that was trained on. Each paragraph ends in `<eos>`.
    """
    seen: set[tuple[str, ...]] = set()
    texts: list[list[str]] = []
    for name in sorted(topics, key=lambda name: blake2b(name.encode()).digest()):
        texts.append([])
        for paragraph in re.split(r"\n\s*\n", topics[name]):
            tokens = tokens_of(paragraph)
            if tokens and tuple(tokens) not in seen:
                seen.add(tuple(tokens))
                texts[-1] += [*tokens, END]
    total = sum(map(len, texts))
    splits: tuple[list[str], list[str], list[str]] = ([], [], [])
    before = 0
    for text in texts:
        middle = (before + len(text) / 2) / total
        splits[0 if middle < TRAIN else 1 if middle < TRAIN + VALIDATION else 2].extend(text)
        before += len(text)
    return splits


@lru_cache(maxsize=1)
def _load(name: str) -> TextSet:
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise MissingData(
            "this Python comes without its documentation (pydoc_data.topics). Install Python's full standard library,"
            " or choose another text."
        ) from None
    texts = split_topics(topics)
    words, (train, validation, test) = numbered(*texts)
    return TextSet(
        name=name,
        words=words,
        train=train,
        validation=validation,
        test=test,
        note=f"the documentation of Python {platform.python_version()}",
        fingerprint=sha256("\n\n".join(" ".join(text) for text in texts).encode()).hexdigest(),
    )
