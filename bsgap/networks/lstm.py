"""The LSTM language model of PyTorch's `word_language_model` example."""

from torch import Tensor, nn

from bsgap.errors import UsageError

State = tuple[Tensor, Tensor]


class LSTMLanguageModel(nn.Module):
    """Word embedding, LSTM layers, and a linear decoder to the logits of the next word.

    Dropout after the embedding, between the layers, and before the decoder (Zaremba et al. 2014). Initial weights as
    in the example: embedding and decoder U(-0.1, 0.1), decoder bias zero; LSTM weights and biases
    U(-1/sqrt(hidden), 1/sqrt(hidden)), PyTorch's own. The defaults are the example's, and Golmant et al.'s learning
    rate of 20 and 40 epochs are too.

    With V words, embedding E, hidden H and L layers it has V E + 4 H (E + H + 2) + (L - 1) 4 H (2 H + 2) + V H + V
    parameters; tied weights save V E. 13.99 million for the 33,278 words of WikiText-2.

    Args:
        vocabulary: Number of words V.
        embedding: Length E of a word's vector.
        hidden: Units H of a layer.
        layers: Number of LSTM layers L.
        dropout: Share of the activations set to zero.
        tied: Whether the decoder uses the weights of the embedding; needs `embedding` equal to `hidden`.

    Raises:
        UsageError: `tied` with an `embedding` unlike `hidden`, or a size below 1.
    """

    def __init__(
        self,
        vocabulary: int,
        embedding: int = 200,
        hidden: int = 200,
        layers: int = 2,
        dropout: float = 0.2,
        tied: bool = False,
    ):
        super().__init__()
        if min(vocabulary, embedding, hidden, layers) < 1:
            sizes = (vocabulary, embedding, hidden, layers)
            raise UsageError(f"vocabulary, embedding, hidden and layers must be at least 1, got {sizes}")
        if tied and embedding != hidden:
            raise UsageError(f"tied weights need embedding equal to hidden, got {embedding} and {hidden}")
        self.dropout = nn.Dropout(dropout)
        self.embedding = nn.Embedding(vocabulary, embedding)
        between = dropout if layers > 1 else 0.0
        self.lstm = nn.LSTM(embedding, hidden, layers, dropout=between, batch_first=True)
        self.decoder = nn.Linear(hidden, vocabulary)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        nn.init.uniform_(self.decoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)
        if tied:
            self.decoder.weight = self.embedding.weight

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Logits of the words that follow, and the state after the last one.

        Args:
            tokens: Word indices `(batch, time)`.
            state: (h, c), each `(layers, batch, hidden)`, as returned for the text before; None starts from zeros.

        Returns:
            Logits `(batch, time, vocabulary)`, and the state (h, c), under autocast too in the precision of the
            weights. The state is part of the graph: detach it to truncate back-propagation.
        """
        precision = self.embedding.weight.dtype
        if state is not None:
            state = (state[0].to(precision), state[1].to(precision))
        outputs, (hidden, cell) = self.lstm(self.dropout(self.embedding(tokens)), state)
        return self.decoder(self.dropout(outputs)), (hidden.to(precision), cell.to(precision))
