"""The batches over which a measure of a training is taken.

A trainer is `Any` here: the attributes that are asked for are bound when it is built, where no type checker sees them.
"""

import math
from collections.abc import Iterable
from numbers import Number
from typing import Any

import numpy as np
import torch
from lightning_fabric.utilities.apply_func import move_data_to_device
from lightning_fabric.utilities.data import sized_len
from pytorch_lightning.utilities import rank_zero_warn
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from bsgap.errors import UsageError
from bsgap.measures.batches import Batches, examples_in, listed, read
from bsgap.measures.vectors import PROBE

LOOKED_AT = 8
"""Examples that are taken twice to see whether they are augmented."""
TRANSFER_HOOKS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")


def gives_batches(trainer: Any) -> bool:
    """Whether the data module has batches for measures, as bsgap's have."""
    return callable(getattr(getattr(trainer, "datamodule", None), "batches", None))


def training_batches(trainer: Any, source: Iterable[Any] | None = None, examples: int | None = None) -> Batches:
    """The batches over which a measure of a training is taken, of fixed composition.

    They are `source` if given; else what the data module gives for measures (`datamodule.batches("train")`, as bsgap's
    do); else one pass of the training loader, with the augmentation drawn now, and a warning where it is seen. A data
    set that draws from a generator of its own goes on with it. Of `fast_dev_run` and `overfit_batches` they are those
    that it trains on, of `limit_train_batches` all, as each epoch may draw others. Batches that are not `source` go
    through what the trainer does to them before a step: the precision's conversion and the hooks around the transfer to
    the device, as `on_after_batch_transfer`, of the module or the data module.

    Args:
        trainer: The trainer of the run.
        source: Pairs `(inputs, targets)`.
        examples: At most so many examples; None for all.

    Raises:
        UsageError: The training loader has only a share of the data, or no end, or they are no pairs.
    """
    if source is not None:
        return listed(read(source, examples))
    if gives_batches(trainer):
        data: Any = trainer.datamodule
        if trainer.fast_dev_run:
            examples = min(examples or PROBE, PROBE)
        every = examples is None or examples >= getattr(data, "n_train", math.inf)
        return listed(_as_trained_on(trainer, data.batches("train", examples=None if every else examples)))
    check_loader(trainer, examples)
    few = trainer.fast_dev_run or trainer.overfit_batches
    loader: Any = trainer.train_dataloader
    found = read(loader, examples, int(trainer.num_training_batches) if few else None)
    if draws_anew(loader):
        rank_zero_warn(
            "the training data are augmented: what is measured is the loss over one draw of the augmentation, the same"
            " at every measurement. Give `batches` without it if that is not meant."
        )
    return listed(_as_trained_on(trainer, found))


def draws_anew(loader: Any) -> bool:
    """Whether some of the loader's first examples come out of its data set differently when they are taken again.

    They are taken by a worker where the loader has some, as a data set may open its files where it is first asked. What
    cannot be taken again, or is of a kind unknown here, is no reason to say so.
    """
    if isinstance(getattr(loader, "dataset", None), IterableDataset):
        return False
    try:
        twice = [index for index in read(loader.sampler, most=LOOKED_AT) for _ in range(2)]
        found = list(
            DataLoader(
                loader.dataset, batch_size=None, sampler=twice, num_workers=min(1, loader.num_workers),
                worker_init_fn=loader.worker_init_fn, multiprocessing_context=loader.multiprocessing_context,
            )
        )  # fmt: skip
        return any(_differ(*pair) for pair in zip(found[::2], found[1::2], strict=True))
    except Exception:  # of a stranger's data set, which may want other indices
        return False


def _differ(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return a.shape != b.shape or not torch.allclose(a, b, rtol=0, atol=0, equal_nan=True)
    if isinstance(a, np.ndarray):
        return not np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    if isinstance(a, dict):
        return a.keys() != b.keys() or any(_differ(value, b[key]) for key, value in a.items())
    if isinstance(a, list | tuple):
        return len(a) != len(b) or any(_differ(*pair) for pair in zip(a, b, strict=True))
    return isinstance(a, Number | str | bytes) and a == a and a != b  # NaN is not NaN


def _as_trained_on(trainer: Any, batches: Iterable[Any]) -> list[Any]:
    """Batches of a loader as the module gets them in a step, but left where they were if no hook is one's own."""
    module, data = trainer.lightning_module, trainer.datamodule
    owners = [owner for owner in (module, data) if owner is not None]
    hooked = any(is_overridden(hook, owner) for hook in TRANSFER_HOOKS for owner in owners)

    def ready(batch: Any) -> Any:
        batch = trainer.precision_plugin.convert_input(batch)
        if not hooked:
            return batch
        batch = module._on_before_batch_transfer(batch, dataloader_idx=0)
        batch = trainer.strategy.batch_to_device(batch, dataloader_idx=0)
        return move_data_to_device(batch, torch.device("cpu"))  # all together they may be too much for a GPU

    return [ready(batch) for batch in batches]


def check_loader(trainer: Any, examples: int | None) -> None:
    """Refuse a training loader that cannot give the batches of a measure.

    Raises:
        UsageError: It has a share of the data, or it does not say how many batches it has and `examples` is None.
    """
    if trainer.world_size > 1:
        raise UsageError("with several devices the training loader has a share of the data: give `batches`.")
    if examples is None and not trainer.fast_dev_run and sized_len(trainer.train_dataloader) is None:
        raise UsageError(
            "the training loader does not say how many batches it has, so it may have no end: give `examples`, how many"
            " to measure over, or `batches`."
        )


def known_examples(trainer: Any, source: Iterable[Any] | None) -> int | None:
    """How many examples `training_batches` would give, as far as that can be said without reading a loader."""
    if source is not None:
        return examples_in(listed(source)) if isinstance(source, list | tuple) else None
    if gives_batches(trainer):
        stated = getattr(trainer.datamodule, "n_train", None)
        return stated if isinstance(stated, int) else None
    return sized_len(getattr(trainer.train_dataloader, "dataset", None))
