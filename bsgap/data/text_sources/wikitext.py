"""WikiText-2 in its three original word-level files (Merity et al. 2016).

Words are separated by spaces, rare words are `<unk>` already, and each line ends in `<eos>`, which the files leave to
the reader: 2,088,628 training, 217,646 validation and 245,569 test tokens, and 33,278 distinct words.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bsgap.data.files import corrupt, digest, fetch, find_folder, matches, missing, official_fingerprint
from bsgap.data.sources.imageset import pairs
from bsgap.data.text_sources.textset import END, TextSet, numbered
from bsgap.errors import CorruptData

# PyTorch's word_language_model keeps the original files under other names.
HOME = "https://raw.githubusercontent.com/pytorch/examples/main/word_language_model/data/wikitext-2/"
ORIGINALS = {
    "wiki.train.tokens": "train.txt",
    "wiki.valid.tokens": "valid.txt",
    "wiki.test.tokens": "test.txt",
}
DIGESTS = {
    "wiki.train.tokens": "sha256:9e9fa1ad55b1c2c95b08e37dd8e653f638fac2c6de904b79e813611eefbc985f",
    "wiki.valid.tokens": "sha256:f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8",
    "wiki.test.tokens": "sha256:d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0",
}
PUBLISHED = (2_088_628, 217_646, 245_569)


@dataclass(frozen=True)
class WikiTextSource:
    """A folder with wiki.train.tokens, wiki.valid.tokens and wiki.test.tokens.

    Attributes:
        name: Name of the source.
        title: The text's name in messages.
        home: Address under which the files lie.
        folders: Where they may lie under the root, in order; the first is where a download goes.
        digests: Published digest of each file.
        published: Its tokens: training, validation, test.
    """

    name: str
    title: str
    home: str
    folders: tuple[str, ...]
    digests: dict[str, str] = field(hash=False)
    published: tuple[int, int, int]

    def files(self, root: Path) -> list[Path]:
        """The three files, or an empty list when one of them is missing."""
        paths = self._expected(root)
        return paths if all(path.is_file() for path in paths) else []

    def load(self, root: Path, *, download: bool = False) -> TextSet:
        """Read the three files.

        Raises:
            MissingData: A file is not there (and could not be downloaded, where that was asked for).
            CorruptData: A file is empty or no UTF-8.
        """
        for path in self._expected(root):
            if path.is_file():
                continue
            if not download:
                raise missing(self.title, path, self.home, hint=", or set download to true")
            fetch(self.home + ORIGINALS[path.name], self.digests[path.name], path)
        paths = self.files(root)
        words, texts = numbered(*(read_words(path, self.home) for path in paths))
        for path, text in zip(paths, texts, strict=True):
            if not len(text):
                raise corrupt(path, "is empty", self.home)
        found = ", ".join(f"{len(text):,}" for text in texts)
        expected = ", ".join(f"{count:,}" for count in self.published)
        note = f"not the published files: {found} training, validation and test tokens, published {expected}"
        return TextSet(
            name=self.name,
            words=words,
            train=texts[0],
            validation=texts[1],
            test=texts[2],
            note="" if self._official(paths) else note,
            fingerprint=self.fingerprint(root),
        )

    def fingerprint(self, root: Path) -> str:
        """Digest of the three files; that of the published ones when a file is not there."""
        paths = self.files(root)
        if not paths or self._official(paths):
            return official_fingerprint(self.name, pairs(self.digests))
        return official_fingerprint(self.name, [f"{path.name} {digest(path)}" for path in paths])

    def _official(self, paths: list[Path]) -> bool:
        return all(matches(path, self.digests[path.name]) for path in paths)

    def _expected(self, root: Path) -> list[Path]:
        folder = find_folder(root, self.folders, self.digests) or root / self.folders[0]
        return [folder / name for name in self.digests]


def read_words(path: Path, home: str) -> Iterator[str]:
    """The words of a file, separated by white space, and `<eos>` after each line.

    Args:
        path: The file, UTF-8.
        home: Where it comes from, for the message.

    Raises:
        CorruptData: It is no UTF-8, or cannot be read.
    """
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise CorruptData(
            f"{path} is not UTF-8: byte 0x{error.object[error.start]:02x} at position {error.start}. Convert it, or get"
            f" it again from {home}."
        ) from None
    except OSError as error:
        raise corrupt(path, f"cannot be read: {error.strerror}", home) from None
    for line in io.StringIO(text, newline=None):
        yield from line.split()
        yield END


WIKITEXT2 = WikiTextSource(
    name="wikitext-2",
    title="WikiText-2",
    home=HOME,
    folders=("wikitext-2", "wikitext-2-v1", "WikiText-2"),
    digests=DIGESTS,
    published=PUBLISHED,
)
