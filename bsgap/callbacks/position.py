"""How far a training is, in epochs."""

from typing import Any

import pytorch_lightning as pl

from bsgap.data.epochs import EpochLoader


def epochs_passed(trainer: pl.Trainer) -> float:
    """Epochs before the batch in hand, or between two batches all epochs so far, with the fraction of the current one.

    With batches of one size it is Lightning's epoch e plus the share k/K of its batches. Where the size varies within
    an epoch (a function as batch size, see `EpochLoader`) it is counted in examples: e plus the share of the epoch's
    examples in the batches so far. Where the length of an epoch is unknown it counts whole epochs.

    It depends on nothing but where the training stands, so a resumed run passes through the same values. With
    accumulated batches, the one in hand during a step is the last of them.
    """
    epochs: Any = trainer.fit_loop.epoch_progress.current
    batches: Any = trainer.fit_loop.epoch_loop.batch_progress.current
    loader = trainer.train_dataloader
    if isinstance(loader, EpochLoader) and callable(loader.batch_size):
        in_hand = batches.ready > batches.processed
        epoch, rest = divmod(loader.examples_before if in_hand else loader.examples_seen, loader.epoch_examples)
        return epoch + rest / loader.epoch_examples
    # Both counts outlive the epoch until the next one has begun, and the next may have fewer batches.
    return max(epochs.started - 1, 0) + min(batches.processed / trainer.num_training_batches, 1.0)
