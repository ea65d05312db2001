"""What data modules share whose examples lie in a store, on the device or in files."""

from typing import Generic, TypeVar

import torch

from bsgap.data.base import ExactData, no_examples
from bsgap.data.epochs import EpochLoader
from bsgap.data.normalise import Normalise
from bsgap.data.scene_loader import FixedScenes
from bsgap.data.scene_store import SceneStore
from bsgap.errors import UsageError

L = TypeVar("L", bound=EpochLoader)
S = TypeVar("S", bound=SceneStore)


class StoredData(ExactData[L], Generic[L, S]):
    """Splits as stores of examples by number, and their fixed batches.

    A subclass's `_cut` fills `_splits` and `_prepare`.
    """

    evaluation_batch_size: int

    def __init__(self) -> None:
        super().__init__()
        self._splits: dict[str, S] = {}
        self._prepare: Normalise | None = None

    @property
    def n_train(self) -> int:
        """Number of training images, without those cut for validation."""
        return len(self._split("train"))

    @property
    def n_test(self) -> int:
        """Number of test images."""
        return len(self._split("test"))

    def _split(self, split: str) -> S:
        self._cut()
        if split not in self._splits:
            raise no_examples(split)
        return self._splits[split]

    def _fixed(
        self,
        split: str,
        examples: int | None = None,
        batch_size: int | None = None,
        *,
        device: torch.device | str | None = None,
        share: bool = True,
    ) -> FixedScenes:
        store = self._split(split)
        if examples is not None and examples > len(store):
            raise UsageError(f"examples must be at most the {len(store)} of the {split} split, got {examples}.")
        rank, world_size = self._ranks() if share else (0, 1)
        device = device or self._device()
        return FixedScenes(
            store if examples is None else store.first(examples),
            batch_size=batch_size or self.evaluation_batch_size,
            prepare=self._preparation(device),
            rank=rank,
            world_size=world_size,
            device=device,
        )

    def _preparation(self, device: torch.device | str | None) -> Normalise:
        self._cut()
        assert self._prepare is not None
        return self._prepare.to(device)
