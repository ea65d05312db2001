"""Language modelling: a recurrent network that reads a text in columns, and carries its state from step to step."""

from typing import Any

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics import MeanMetric

from bsgap.data import Batches
from bsgap.errors import UsageError
from bsgap.tasks.common import ManualTask, NetworkCallable
from bsgap.tasks.perplexity import LanguageEvaluation, State, perplexity, read
from bsgap.tasks.step import summed_gradient


class LanguageModelling(ManualTask):
    """Prediction of the next word with mean cross-entropy (nats a token) under manual optimisation.

    Truncated back-propagation through time, as in PyTorch's `word_language_model`: a step reads the next tokens of
    every column from the state in which the last step ended, through which no gradient flows. The state starts from
    zeros in every epoch, and is part of a checkpoint. One training step is one optimizer step on the mean gradient of
    all columns, whatever fits in memory; the initial weights are drawn from the run's seed by a generator of their own.

    Args:
        network: Builds the network that maps tokens `(columns, time)` and a state to logits `(columns, time,
            vocabulary)` and the state after them, tensors `(layers, columns, width)`.
        optimizer: Builds the optimizer from the parameters.
        schedule: Builds a learning-rate schedule from the optimizer; it advances once an optimizer step.
        micro_batch: Columns that go through the network at once; absent means all of them.
        gradient_clip: Largest l2 norm of the gradient of a step; absent means no clipping.
        initial_weights: File with a state dict of the network to start from instead of random weights.
        seed: Seed of the initial weights; absent means the one given to `seed_everything`.
        ghost_batch: Examples over which BatchNorm takes its training statistics (ghost batches of Hoffer et al. 2017);
            absent means all that go through the network at once.
        decay_norms: Whether weight decay holds for gains and biases of normalisation layers too; absent means yes.
        sharpness_batch: Columns that `bsgap.optim.SAM` perturbs for together (m of m-sharpness), see `ManualTask`;
            absent means all of them.

    Raises:
        UsageError: An option is out of range, or `initial_weights` does not hold weights of this network.
    """

    def __init__(
        self,
        network: NetworkCallable,
        optimizer: OptimizerCallable = torch.optim.Adam,
        schedule: LRSchedulerCallable | None = None,
        micro_batch: int | None = None,
        gradient_clip: float | None = None,
        initial_weights: str | None = None,
        seed: int | None = None,
        ghost_batch: int | None = None,
        decay_norms: bool | None = None,
        sharpness_batch: int | None = None,
    ):
        super().__init__(
            network,
            optimizer,
            schedule,
            micro_batch=micro_batch,
            gradient_clip=gradient_clip,
            initial_weights=initial_weights,
            seed=seed,
            ghost_batch=ghost_batch,
            decay_norms=decay_norms,
            sharpness_batch=sharpness_batch,
        )
        self.nats, self.accuracy = MeanMetric(), MeanMetric()
        for metric in (self.nats, self.accuracy):
            metric.set_dtype(torch.float64)
        self._state: State | None = None  # in which the last step ended
        self._ends: dict[int, State] = {}  # in which this one ends, by the first column of each part of the batch
        self._read: State | None = None  # of a validation or test that is under way

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Logits `(columns, time, vocabulary)` of the words after each of `tokens`, and the state after the last."""
        return super().forward(tokens, state)

    def accumulate(self, batch: tuple[Tensor, Tensor], part: slice | None = None) -> Tensor:
        """Accumulate the gradient of the mean loss over all tokens of a step; return that loss, detached.

        Args:
            batch: (inputs, targets).
            part: Columns whose share of both is asked for; None for all of them.
        """
        inputs, targets = batch
        ends: list[State] = []

        def share_of(these: slice) -> Tensor:
            start = None
            if self._state is not None:  # contiguous, as cuDNN wants it
                start = tuple(t[:, these].to(inputs.device).contiguous() for t in self._state)
            logits, end = self.train_forward(inputs[these], start)
            ends.append(tuple(t.detach() for t in end))
            mean = cross_entropy(logits.flatten(0, 1), targets[these].flatten())
            size = these.stop - these.start
            return mean if size == len(targets) else mean * (size / len(targets))

        loss = summed_gradient(
            share_of, len(targets), micro_batch=self.micro_batch, backward=self.manual_backward, part=part
        )
        # An optimizer may ask more than once; the first time is at the step's start.
        self._ends.setdefault(0 if part is None else part.start, _joined(ends))
        return loss

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """One optimizer step on all columns; returns its mean loss before the step, and carries the state on."""
        self._ends = {}
        loss = super().training_step(batch, batch_idx)
        self._state = _joined([self._ends[first] for first in sorted(self._ends)])
        self._ends = {}
        return loss

    def on_train_epoch_end(self) -> None:
        """The next epoch begins at the start of the text, without context."""
        self._state = None

    def setup(self, stage: str) -> None:
        """Start without context, and compare the network's vocabulary with that of the text.

        Raises:
            UsageError: The text has words that the network does not know, or the trainer scales the loss.
        """
        super().setup(stage)
        if stage == "fit":
            self._state = None
        words = getattr(getattr(self.trainer, "datamodule", None), "classes", None)
        known = next((m.num_embeddings for m in self.network.modules() if isinstance(m, nn.Embedding)), None)
        if words is not None and known is not None and known < words:
            raise UsageError(
                f"the network knows {known} words and the text has {words}. Set the network's vocabulary to {words}, or"
                f" the data's vocabulary_size to {known}."
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the state, of the columns of all devices."""
        state = self._state
        if state is not None and self._ranks()[1] > 1:
            state = tuple(torch.cat(tuple(self.all_gather(t)), 1) for t in state)
        checkpoint["hidden_state"] = None if state is None else list(state)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the state, of the columns of this device."""
        state = checkpoint.get("hidden_state")
        rank, world_size = self._ranks()
        self._state = None if state is None else tuple(t.chunk(world_size, 1)[rank] for t in state)

    def criterion(self, outputs: tuple[Tensor, Any], targets: Tensor) -> Tensor:
        """Mean cross-entropy per token of what the network returns, for measures: each batch is read from zeros."""
        return cross_entropy(outputs[0].flatten(0, 1), targets.flatten())

    def evaluate(self, batches: Batches) -> LanguageEvaluation:
        """Loss, accuracy and perplexity over the consecutive batches of a text, read from a state of zeros."""
        return read(self.network, batches)[0]

    def on_validation_epoch_start(self) -> None:
        """Read the validation text from its start."""
        self._read = None

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Read on in the validation text."""
        self._read_on(batch)

    def on_validation_epoch_end(self) -> None:
        """Log `validation_loss`, `validation_accuracy` and `validation_perplexity`."""
        self._log("validation")

    def on_test_epoch_start(self) -> None:
        """Read the test text from its start."""
        self._read = None

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Read on in the test text."""
        self._read_on(batch)

    def on_test_epoch_end(self) -> None:
        """Log `test_loss`, `test_accuracy` and `test_perplexity`."""
        self._log("test")

    def _read_on(self, batch: tuple[Tensor, Tensor]) -> None:
        found, self._read = read(self.network, [batch], self._read)
        self.nats.update(found.loss, found.tokens)
        self.accuracy.update(found.accuracy, found.tokens)

    def _log(self, stage: str) -> None:
        loss, accuracy = self.nats.compute().item(), self.accuracy.compute().item()  # over all devices
        self.nats.reset()
        self.accuracy.reset()
        for name, value in {"loss": loss, "accuracy": accuracy, "perplexity": perplexity(loss)}.items():
            self.log(f"{stage}_{name}", value, prog_bar=True, sync_dist=True)

    def _ranks(self) -> tuple[int, int]:
        """This rank and their number; one where there is no trainer, as when a checkpoint is only looked at."""
        trainer = self._trainer
        return (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)


def _joined(states: list[State]) -> State:
    """The state of the columns of all `states`, one behind the other."""
    return tuple(torch.cat(parts, 1) for parts in zip(*states, strict=True))
