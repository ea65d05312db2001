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
    batches: Any = trainer.fit_loop.epoch_loop.batch_progress.current
    loader = trainer.train_dataloader
    if isinstance(loader, EpochLoader) and callable(loader.batch_size):
        in_hand = batches.ready > batches.processed
        epoch, rest = divmod(loader.examples_before if in_hand else loader.examples_seen, loader.epoch_examples)
        return epoch + rest / loader.epoch_examples
    # The count of batches outlives the epoch until the next one has begun, and the next may have fewer.
    share = min(batches.processed / trainer.num_training_batches, 1.0)
    return float(trainer.current_epoch + share - (1 if share and _epoch_is_counted(trainer) else 0))


def _epoch_is_counted(trainer: pl.Trainer) -> bool:
    """Whether the epoch of the batch counts is over, and in `current_epoch` already.

    Lightning's own count of epochs begun is no help: it stays one behind in a run that continues from a checkpoint
    written after the last batch of an epoch (`on_train_batch_end`).
    """
    loop = trainer.fit_loop
    epochs: Any = loop.epoch_progress.current
    batches: Any = loop.epoch_loop.batch_progress.current
    if trainer.validating or trainer._logger_connector._first_loop_iter is not None:
        return False  # between an epoch's first batch and its end
    if trainer.lightning_module._current_fx_name == "on_train_end":
        return True
    if epochs.ready > epochs.started and not loop.restarting:
        return True  # on_train_epoch_start
    if epochs.processed > epochs.completed:
        return False  # on_train_epoch_end
    if not loop.restarting:
        return True
    # Before the first batch of this sitting. It may begin with no more than the end of an epoch.
    begins_with_end = loop.restarted_mid_epoch and epochs.ready > epochs.completed
    return bool(batches.processed >= trainer.num_training_batches and not begins_with_end)
