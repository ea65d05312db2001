"""The LSTM's equations in NumPy, the state carried over cuts, the published initialisation, and low precision."""

import numpy as np
import pytest
import torch
from torch import nn

from bsgap.errors import UsageError
from bsgap.networks import LSTMLanguageModel


def closed_form(words, embedding, hidden, layers):
    first, further = 4 * hidden * (embedding + hidden + 2), 4 * hidden * (2 * hidden + 2)
    return words * embedding + first + (layers - 1) * further + words * hidden + words


@pytest.mark.parametrize(
    ("words", "embedding", "hidden", "layers"), [(33_278, 200, 200, 2), (50, 7, 5, 3), (9, 4, 4, 1)]
)
def test_count_by_closed_form(count, words, embedding, hidden, layers):
    assert count(LSTMLanguageModel, words, embedding, hidden, layers) == closed_form(words, embedding, hidden, layers)


def test_tied_weights_are_counted_once_and_stay_tied():
    network = LSTMLanguageModel(50, 6, 6, tied=True)
    assert sum(parameter.numel() for parameter in network.parameters()) == closed_form(50, 6, 6, 2) - 50 * 6
    assert network.decoder.weight is network.embedding.weight
    network.load_state_dict(LSTMLanguageModel(50, 6, 6, tied=True).state_dict())
    assert network.decoder.weight is network.embedding.weight


def by_hand(network, tokens, state=None):
    """The cell's equations, word by word: gates i, f, g, o; c = f c + i g; h = o tanh(c)."""
    weights = {name: weight.detach().numpy() for name, weight in network.state_dict().items()}

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    layers, hidden = network.lstm.num_layers, network.lstm.hidden_size
    h, c = (np.zeros((layers, len(tokens), hidden)) for _ in range(2)) if state is None else state
    logits = []
    for t in range(tokens.shape[1]):
        x = weights["embedding.weight"][tokens[:, t]]
        for layer in range(layers):
            mixed = x @ weights[f"lstm.weight_ih_l{layer}"].T + weights[f"lstm.bias_ih_l{layer}"]
            mixed += h[layer] @ weights[f"lstm.weight_hh_l{layer}"].T + weights[f"lstm.bias_hh_l{layer}"]
            i, f, g, o = np.split(mixed, 4, axis=1)
            c[layer] = sigmoid(f) * c[layer] + sigmoid(i) * np.tanh(g)
            x = h[layer] = sigmoid(o) * np.tanh(c[layer])
        logits.append(x @ weights["decoder.weight"].T + weights["decoder.bias"])
    return np.stack(logits, axis=1), (h, c)


def test_logits_and_state_by_hand():
    torch.manual_seed(0)
    network = LSTMLanguageModel(11, 5, 4, dropout=0.0).double()
    tokens = torch.randint(11, (3, 6))
    logits, state = network(tokens)
    expected, expected_state = by_hand(network, tokens)
    assert logits.shape == (3, 6, 11)
    np.testing.assert_allclose(logits.detach().numpy(), expected, rtol=1e-12)
    for found, wanted in zip(state, expected_state, strict=True):
        assert found.shape == (2, 3, 4)
        np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=1e-12)


def test_a_carried_state_makes_two_cuts_one_text():
    torch.manual_seed(0)
    network = LSTMLanguageModel(11, 5, 4).double().eval()
    tokens = torch.randint(11, (3, 10))
    whole, last = network(tokens)
    first, state = network(tokens[:, :4])
    second, carried = network(tokens[:, 4:], state)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole)
    torch.testing.assert_close(carried, last)


def test_columns_do_not_touch_each_other():
    torch.manual_seed(0)
    network = LSTMLanguageModel(11, 5, 4).double().eval()
    tokens = torch.randint(11, (4, 6))
    whole, (hidden, _) = network(tokens)
    part, (hidden_part, _) = network(tokens[1:3])
    torch.testing.assert_close(part, whole[1:3])
    torch.testing.assert_close(hidden_part, hidden[:, 1:3])


def test_initial_weights_and_loss():
    torch.manual_seed(0)
    network = LSTMLanguageModel(2000)
    for layer in (network.embedding, network.decoder):
        assert layer.weight.abs().max() <= 0.1
        assert layer.weight.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.01)
    assert torch.count_nonzero(network.decoder.bias) == 0
    assert network.lstm.weight_hh_l0.abs().max() <= 200**-0.5
    tokens = torch.randint(2000, (4, 36))
    logits, _ = network(tokens[:, :-1])
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
    assert loss.item() == pytest.approx(np.log(2000), abs=0.02)
    loss.backward()
    assert all(parameter.grad.count_nonzero() > 0 for parameter in network.parameters())


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    network = LSTMLanguageModel(11, 5, 4, dropout=0.5)
    tokens = torch.randint(11, (2, 6))
    assert not torch.equal(network(tokens)[0], network(tokens)[0])
    network.eval()
    assert torch.equal(network(tokens)[0], network(tokens)[0])


def test_dropout_stands_before_the_first_layer_between_the_layers_and_before_the_decoder():
    network = LSTMLanguageModel(11, 5, 4, dropout=1.0)
    logits, state = network(torch.zeros(2, 6, dtype=torch.int64))
    # All is dropped: the decoder sees zeros, and the state does not know the words.
    assert torch.count_nonzero(logits) == 0
    for found, other in zip(state, network(torch.ones(2, 6, dtype=torch.int64))[1], strict=True):
        assert torch.equal(found, other)
    assert network.lstm.dropout == 1.0
    assert LSTMLanguageModel(11, 5, 4, layers=1, dropout=0.5).lstm.dropout == 0.0


def test_bfloat16_autocast_trains_and_hands_on_a_float32_state():
    torch.manual_seed(0)
    network = LSTMLanguageModel(50, 16, 16, dropout=0.0)
    tokens = torch.randint(50, (4, 12))
    full, _ = network(tokens)
    with torch.autocast("cpu", torch.bfloat16):
        logits, state = network(tokens)
        again, _ = network(tokens, tuple(part.detach() for part in state))
    assert logits.dtype == torch.bfloat16
    assert {part.dtype for part in state} == {torch.float32}
    # bfloat16 keeps 8 bits: relative steps of 2^-8, a few of them in a row.
    assert (logits.float() - full).norm() <= 2**-6 * full.norm()
    again.float().sum().backward()
    assert all(parameter.grad.dtype == torch.float32 for parameter in network.parameters())


def test_a_state_from_another_precision_is_taken():
    network = LSTMLanguageModel(11, 5, 4)
    tokens = torch.zeros(2, 3, dtype=torch.int64)
    state = tuple(part.bfloat16() for part in network(tokens)[1])
    assert network(tokens, state)[0].dtype == torch.float32


def test_impossible_sizes_are_refused():
    with pytest.raises(UsageError, match="tied weights need embedding equal to hidden, got 3 and 4"):
        LSTMLanguageModel(10, 3, 4, tied=True)
    with pytest.raises(UsageError, match=r"must be at least 1, got \(0, 200, 200, 2\)"):
        LSTMLanguageModel(0)
