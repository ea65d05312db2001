"""The LightningDataModule of the language-modelling studies."""

from typing import Any, Literal

import torch
from torch import Tensor

from bsgap.data import text_sources
from bsgap.data.base import ExactData
from bsgap.data.columns import Columns, TextLoader, check_columns, sequences_in
from bsgap.data.files import data_root
from bsgap.data.loader import Batches
from bsgap.data.options import at_least, one_of
from bsgap.data.text_sources import TextSet
from bsgap.data.vocabulary import most_frequent, unknown_share
from bsgap.errors import UsageError
from bsgap.seeding import global_seed


class TextData(ExactData[TextLoader]):
    """A text on the device, read by the training step in columns whose number is the batch size.

    The training text is cut into `batch_size` equal columns, and a step takes the next `sequence_length` tokens of each
    (contiguous batching, see `Columns`). So the order of the data is that of the text, whatever the seed, and a network
    can carry its state from step to step. One sequence counts as one example. The whole text is kept on the trainer's
    device: 17 MB for WikiText-2.

    Args:
        source: Text: pydoc, Python's own documentation, or wikitext-2.
        batch_size: Columns of the training text, over all devices.
        root: Folder of the data sets; none means the environment variable BSGAP_DATA, else the folder data.
        download: Fetch missing files from their home, checked by digest, into the root.
        sequence_length: Tokens of a column in one step, through which gradients flow back.
        vocabulary_size: Know only so many words, unk among them: the most frequent ones of the training text that is
            used. None for all words of the source.
        train_tokens: Train on the first this many tokens of the training text; none for all.
        validation_tokens: Validate on the first this many tokens of the source's validation text; 0 for none.
        test_tokens: Test on the first this many tokens of the test text; none for all.
        evaluation_batch_size: Columns in which text is read that is evaluated; losses depend on it slightly, because
            each column starts without context.
        sample_tokens: Length of the stretch of training text, from its start, on which loss curves are taken.
        seed: Kept with the position of the data; none means the seed of seed_everything. It draws nothing here.

    Raises:
        UsageError: An option that cannot be honoured; those that depend on the text are checked in `setup`.
    """

    grows_within_epochs = False  # an epoch is read in columns from beginning to end

    def __init__(
        self,
        source: str = "pydoc",
        batch_size: int = 8,
        *,
        root: str | None = None,
        download: bool = False,
        sequence_length: int = 35,
        vocabulary_size: int | None = None,
        train_tokens: int | None = None,
        validation_tokens: int = 0,
        test_tokens: int | None = None,
        evaluation_batch_size: int = 10,
        sample_tokens: int = 70_000,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        text_sources.get(source)
        at_least(1, batch_size=batch_size, evaluation_batch_size=evaluation_batch_size)
        at_least(1, sequence_length=sequence_length)
        at_least(2, vocabulary_size=vocabulary_size, sample_tokens=sample_tokens)
        at_least(2, train_tokens=train_tokens, test_tokens=test_tokens)
        at_least(0, validation_tokens=validation_tokens)
        self.source = source
        self.batch_size = batch_size
        self.root = root
        self.download = download
        self.sequence_length = sequence_length
        self.vocabulary_size = vocabulary_size
        self.train_tokens = train_tokens
        self.validation_tokens = validation_tokens
        self.test_tokens = test_tokens
        self.evaluation_batch_size = evaluation_batch_size
        self.sample_tokens = sample_tokens
        self.seed = seed
        self.validation_examples = validation_tokens  # what the base asks: whether there are any
        self._set: TextSet | None = None
        self._vocabulary: tuple[str, ...] = ()
        self._splits: dict[str, Tensor] = {}

    def prepare_data(self) -> None:
        """Fetch what is missing, once a machine, if `download` is set."""
        if self.download:
            text_sources.load(self.source, data_root(self.root), download=True)

    def setup(self, stage: str | None = None) -> None:
        """Read the text and check the options against it. A fit starts at its trainer's epoch.

        Args:
            stage: What Lightning is about to do: fit, validate, test, predict, or None for all of them.

        Raises:
            UsageError: An option does not fit the text, for instance more columns than it has room for.
            MissingData: The text is not at hand.
            CorruptData: One of its files is not what it should be.
        """
        if stage == "validate":
            self._split("validation")
        super().setup(stage)

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The words, by their numbers."""
        self._cut()
        return self._vocabulary

    @property
    def classes(self) -> int:
        """Number of words in the vocabulary."""
        return len(self.vocabulary)

    @property
    def n_train(self) -> int:
        """Sequences of the training text at this batch size."""
        return sequences_in(len(self._split("train")), self.batch_size, self.sequence_length)

    @property
    def n_test(self) -> int:
        """Sequences of the test text at the batch size of evaluations."""
        return sequences_in(len(self._split("test")), self.evaluation_batch_size, self.sequence_length)

    @property
    def fingerprint(self) -> str:
        """Digest of the source's text, before any of it is left out."""
        return self._data.fingerprint

    @property
    def note(self) -> str:
        """How the source's text differs from the published one; empty when it does not."""
        return self._data.note

    def describe(self) -> dict[str, Any]:
        """What a run keeps about its data: JSON values, no path. The unknown shares are those of `<unk>` tokens."""
        return {
            "source": self.source,
            "fingerprint": self.fingerprint,
            "note": self.note,
            "classes": self.classes,
            "vocabulary_size": self.vocabulary_size,
            "sequence_length": self.sequence_length,
            "train_tokens": len(self._split("train")),
            "validation_tokens": self.validation_tokens and len(self._split("validation")),
            "test_tokens": len(self._split("test")),
            "sample_tokens": len(self._split("sample")),
            "train_unknown_share": unknown_share(self.vocabulary, self._split("train")),
            "test_unknown_share": unknown_share(self.vocabulary, self._split("test")),
            "train_examples": self.n_train,
            "test_examples": self.n_test,
            "batch_size": self.batch_size,
            "evaluation_batch_size": self.evaluation_batch_size,
        }

    def batches(
        self,
        split: Literal["train", "test", "validation", "sample"],
        examples: int | None = None,
        batch_size: int | None = None,
        *,
        device: torch.device | str | None = None,
    ) -> Batches:
        """Batches of a text in its order, for evaluations that carry the network's state from one to the next.

        Args:
            split: `"train"`, `"test"`, `"validation"`, or `"sample"`, the fixed stretch of the training text.
            examples: Only the beginning of the split, this many sequences long.
            batch_size: Columns; `evaluation_batch_size` by default.
            device: Where the batches lie; by default on the trainer's device, without a trainer on the CPU.

        Returns:
            `(input, target)` pairs, each int64 `[columns, sequence_length]`, the last ones shorter. The whole text on
            every rank.

        Raises:
            UsageError: No such split, more sequences than it has, or more columns than it has room for.
        """
        one_of(("train", "test", "validation", "sample"), split=split)
        at_least(1, examples=examples, batch_size=batch_size)
        tokens, columns = self._split(split), batch_size or self.evaluation_batch_size
        option = "batch_size" if batch_size else "evaluation_batch_size"
        check_columns(columns, len(tokens), option=option, text=f"{split} text")
        if examples is not None:
            longest = sequences_in(len(tokens), columns, self.sequence_length)
            if examples > longest:
                raise UsageError(f"examples must be at most the {longest} of the {split} split, got {examples}.")
            tokens = tokens[: examples * self.sequence_length + columns]  # one more in each column, to be predicted
        return list(Columns(tokens, columns, self.sequence_length, device=device or self._device()))

    @property
    def _data(self) -> TextSet:
        self._cut()
        assert self._set is not None
        return self._set

    def _split(self, split: str) -> Tensor:
        self._cut()
        if split not in self._splits:
            raise UsageError(f"there is no {split} text. Set validation_tokens to use some of the source's.")
        return self._splits[split]

    def _cut(self) -> None:
        """Read the source, cut the texts and choose the vocabulary, once."""
        if self._splits:
            return
        texts = text_sources.load(self.source, data_root(self.root), download=self.download)
        splits = {
            "train": _first(texts.train, train_tokens=self.train_tokens),
            "test": _first(texts.test, test_tokens=self.test_tokens),
        }
        if self.validation_tokens:
            splits["validation"] = _first(texts.validation, validation_tokens=self.validation_tokens)
        vocabulary = texts.words
        if self.vocabulary_size is not None:
            vocabulary, numbers = most_frequent(vocabulary, splits["train"], self.vocabulary_size)
            splits = {split: numbers[tokens] for split, tokens in splits.items()}
        splits["sample"] = splits["train"][: self.sample_tokens]
        self._set, self._vocabulary, self._splits = texts, vocabulary, splits

    def set_batch_size(self, batch_size: int) -> None:
        """Read the training text in another number of columns from the next epoch on; only between two epochs."""
        self.batch_size = batch_size
        if self._loader is not None:
            self._check_training()
            self._loader.read(self._columns("train", batch_size))

    def _check_training(self) -> None:
        check_columns(self.batch_size, len(self._split("train")), text="training text")
        _, world_size = self._ranks()
        if self.batch_size % world_size:
            raise UsageError(
                f"{self.batch_size} columns of text do not share out evenly over {world_size} devices, so the mean"
                " gradient would be another. Choose a batch_size that is a multiple of it."
            )

    def _training(self) -> TextLoader:
        return TextLoader(
            self._columns("train", self.batch_size), seed=global_seed() if self.seed is None else self.seed
        )

    def _fixed(self, split: str) -> Columns:
        tokens = self._split(split)
        check_columns(self.evaluation_batch_size, len(tokens), option="evaluation_batch_size", text=f"{split} text")
        return self._columns(split, self.evaluation_batch_size)

    def _columns(self, split: str, columns: int) -> Columns:
        rank, world_size = self._ranks()
        return Columns(
            self._split(split),
            columns,
            self.sequence_length,
            rank=rank,
            world_size=world_size,
            device=self._device(),
        )


def _first(tokens: Tensor, **option: int | None) -> Tensor:
    """The beginning of a text that an option asks for."""
    ((name, length),) = option.items()
    if length is not None and length > len(tokens):
        raise UsageError(f"{name} must be at most the {len(tokens)} of the source, got {length}.")
    return tokens[:length]
