"""Times of passes: of the right batches, in the right mode and precision, and without a trace in the model."""

import time

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from bsgap.errors import UsageError
from bsgap.measures import time_passes
from bsgap.measures.timing import of_sizes


class Sleeper(nn.Module):
    """Takes a stated time an example, forward and backward, and notes what it was given."""

    def __init__(self, forward=0.002, backward=0.004):
        super().__init__()
        self.linear, self.norm, self.drop = nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(0.5)
        self.sleep = (forward, backward)
        self.seen = []

    def forward(self, inputs):
        found = self.drop(self.norm(self.linear(inputs)))
        self.seen.append((len(inputs), self.training, found.dtype if not found.dtype.is_complex else None))
        time.sleep(self.sleep[0] * len(inputs))
        if found.requires_grad:
            found.register_hook(lambda _: time.sleep(self.sleep[1] * len(inputs)))
        return found


def batches(*sizes):
    draws = torch.Generator().manual_seed(0)
    return [(torch.randn(size, 4, generator=draws), torch.randint(0, 3, (size,), generator=draws)) for size in sizes]


def test_times_are_those_of_each_batch():
    found = time_passes(Sleeper(), batches(2, 8), rounds=3)
    assert (found.batches, found.rounds) == ((2, 8), 3)
    # a machine under load sleeps longer, never shorter
    for size, ahead, back in zip(found.batches, found.forward_seconds, found.backward_seconds, strict=True):
        assert 0.002 * size <= ahead < 0.002 * size + 0.05
        assert 0.004 * size <= back < 0.004 * size + 0.05


def test_batches_take_turns_and_short_ones_are_repeated():
    model = Sleeper(0.001, 0.001)
    time_passes(model, batches(2, 4), rounds=2)
    sizes = [size for size, *_ in model.seen]
    assert sizes[:4] == [2, 2, 4, 4]  # before anything is timed
    rounds = sizes[4:]
    turns = [size for place, size in enumerate(rounds) if place == 0 or rounds[place - 1] != size]
    assert turns == [2, 4, 2]  # in the second round in the opposite direction
    assert rounds[:2] == rounds[-2:] == [2, 2]  # 4 ms are a tenth of what a turn lasts at least


def test_the_model_is_as_it_was():
    model = Sleeper(0, 0)
    model.eval()
    model.linear.train()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    model.linear.weight.grad = kept = torch.ones(3, 4)
    model.linear.bias.requires_grad_(False)
    torch.manual_seed(5)
    time_passes(model, batches(4), rounds=1)
    drawn = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(3))
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert model.linear.weight.grad is kept
    assert model.norm.weight.grad is None
    assert not model.linear.bias.requires_grad
    assert (model.training, model.norm.training, model.linear.training) == (False, False, True)
    assert all(training for _, training, _ in model.seen)  # and it was timed in training mode


def test_precision_is_that_of_the_training():
    model = nn.Linear(4, 3)
    seen = []
    model.register_forward_hook(lambda *given: seen.append(given[2].dtype))
    time_passes(model, batches(4), rounds=1)
    time_passes(model, batches(4), rounds=1, autocast=torch.bfloat16)
    assert set(seen) == {torch.float32, torch.bfloat16}
    assert seen[0] == torch.float32


def test_micro_batches_add_up():
    model = Sleeper(0.002, 0.004)
    found = time_passes(model, batches(10), rounds=1, micro_batch=4)
    assert found.batches == (10,)
    assert [size for size, *_ in model.seen[:3]] == [4, 4, 2]
    assert found.forward_seconds[0] >= 0.002 * 10


def test_another_forward_is_called_where_one_is_given():
    model, calls = Sleeper(0, 0), []

    def forward(inputs):
        calls.append(len(inputs))
        return model(inputs)

    time_passes(model, batches(4), rounds=1, forward=forward)
    assert len(calls) == len(model.seen)


def test_loss_is_the_one_given():
    calls = []

    def loss(outputs, targets):
        calls.append(len(targets))
        return cross_entropy(outputs, targets)

    time_passes(Sleeper(0, 0), batches(4), loss, rounds=1)
    assert set(calls) == {4}


def test_batches_of_several_sizes_are_cut_from_what_is_there():
    pool = batches(3, 2)
    small, large = of_sizes(pool, (2, 12))
    everything = torch.cat([inputs for inputs, _ in pool])
    assert torch.equal(small[0], everything[:2])
    assert torch.equal(large[0], torch.cat([everything, everything, everything[:2]]))
    assert torch.equal(large[1][5:10], large[1][:5])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: time_passes(Sleeper(), []), "batches is empty"),
        (lambda: time_passes(Sleeper(), batches(2), rounds=0), "rounds >= 1"),
        (lambda: time_passes(Sleeper(), batches(2), micro_batch=0), "micro_batch >= 1"),
        (lambda: of_sizes(batches(2), (0,)), "at least 1"),
        (lambda: of_sizes([([1, 2], torch.zeros(2))], (2,)), "one tensor a batch"),
    ],
)
def test_what_cannot_be_timed(call, words):
    with pytest.raises(UsageError, match=words):
        call()
