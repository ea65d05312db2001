"""How well a language model reads a text: its loss and perplexity, with the state carried from batch to batch."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bsgap.measures.batches import placed
from bsgap.measures.modes import device_of, measuring

State = tuple[Tensor, ...]
"""What a recurrent network carries on: tensors `(layers, columns, width)`."""


@dataclass(frozen=True)
class LanguageEvaluation:
    """What `read` found.

    Attributes:
        loss: Mean cross-entropy of a token, in nats.
        accuracy: Share of the tokens that were the most probable word, in [0, 1].
        examples: Number of sequences.
        tokens: Number of tokens.
    """

    loss: float
    accuracy: float
    examples: int
    tokens: int

    @property
    def perplexity(self) -> float:
        """exp(loss); infinite where that is too large for a float."""
        return perplexity(self.loss)

    def values(self) -> dict[str, float]:
        """What a curve shows of it: `loss`, `accuracy` and `perplexity`."""
        return {"loss": self.loss, "accuracy": self.accuracy, "perplexity": self.perplexity}


def perplexity(loss: float) -> float:
    """exp(loss) of a loss in nats, infinite rather than an error.

    >>> perplexity(0.0), perplexity(1000.0)
    (1.0, inf)
    """
    return torch.tensor(loss, dtype=torch.float64).exp().item()


@torch.no_grad()  # not inference mode: what a module caches in there could not be used in training
def read(
    network: nn.Module, batches: Iterable[Any], state: State | None = None
) -> tuple[LanguageEvaluation, State | None]:
    """Loss and accuracy of `network` over consecutive batches of a text, weighted by token.

    In float32 or better, without autocast, dropout off; sums in float64. The network is afterwards as it was.

    Args:
        network: Maps tokens `(columns, time)` and a state (or None) to logits `(columns, time, vocabulary)` and the
            state after them.
        batches: Pairs `(inputs, targets)` of tokens `(columns, time)`, in the order of the text.
        state: Where to start; None starts from zeros.

    Returns:
        What was found, and the state after the last batch.

    Raises:
        UsageError: `batches` is empty or a batch is no such pair.
    """
    with measuring(network, batches, "running") as fixed:
        device = device_of(network)
        nats = torch.zeros((), dtype=torch.float64, device=device)  # on the device: no wait at every batch
        right = torch.zeros((), dtype=torch.int64, device=device)
        examples = tokens = 0
        for batch in fixed:
            inputs, targets = placed(batch, device)
            logits, state = network(inputs, state)
            nats += cross_entropy(logits.flatten(0, 1), targets.flatten()).double() * targets.numel()
            right += (logits.argmax(-1) == targets).sum()
            examples += len(targets)
            tokens += targets.numel()
    return LanguageEvaluation(nats.item() / tokens, right.item() / tokens, examples, tokens), state
