import time

import pytest
import torch
from torch import Tensor

from bsgap.data.loader import FixedLoader, TensorLoader
from bsgap.errors import UsageError

N = 23


def loader(**options):
    options = {"batch_size": 5, "shuffle": True, "seed": 3} | options
    return TensorLoader(torch.arange(N).view(N, 1), torch.arange(N), **options)


def epochs(loader, count=1):
    """Targets of each batch, epoch by epoch."""
    return [[targets.tolist() for _, targets in loader] for _ in range(count)]


def flat(batches):
    return [value for batch in batches for value in batch]


def noise(batch: Tensor, generator: torch.Generator) -> Tensor:
    return batch + torch.randint(0, 1000, batch.shape, generator=generator)


def ramp(seen: int) -> int:
    return 2 + seen // 9


@pytest.mark.parametrize("size", [1, 2, 5, 22, 23, ramp])
def test_every_example_once_an_epoch_and_the_length_is_exact(size):
    data = loader(batch_size=size)
    for _ in range(5):
        length = len(data)
        (batches,) = epochs(data)
        assert sorted(flat(batches)) == list(range(N))
        assert len(batches) == length


def test_inputs_stay_with_their_targets():
    for inputs, targets in loader():
        assert torch.equal(inputs[:, 0], targets)


def test_epochs_differ_and_seeds_differ_and_a_seed_repeats():
    first, second = epochs(loader(), 2)
    assert flat(first) != flat(second)
    assert epochs(loader(), 2) == [first, second]
    assert epochs(loader(seed=4))[0] != first


def test_order_does_not_depend_on_batch_size_or_on_global_randomness():
    torch.manual_seed(0)
    one = flat(epochs(loader(batch_size=4))[0])
    state = torch.get_rng_state()
    torch.manual_seed(1)
    other = flat(epochs(loader(batch_size=ramp))[0])
    torch.set_rng_state(state)
    assert one == other


def test_iterating_draws_nothing_from_the_global_generator():
    before = torch.get_rng_state()
    epochs(loader(augment=noise), 2)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_batch_of_ten_digits_costs_next_to_nothing():
    images = torch.randint(0, 17, (1000, 1, 8, 8), dtype=torch.uint8)
    data = TensorLoader(
        images, torch.zeros(1000), batch_size=10, shuffle=True, seed=0, prepare=lambda batch: batch.float() / 16
    )

    def seconds():
        start = time.perf_counter()
        for _ in data:
            pass
        return (time.perf_counter() - start) / len(data)

    # About 10 microseconds a batch on one core; a step of Lightning costs a hundred times that.
    assert min(seconds() for _ in range(5)) < 2e-4


def test_without_shuffle_the_stored_order():
    assert flat(epochs(loader(shuffle=False))[0]) == list(range(N))


def test_last_batch_kept_or_dropped():
    (kept,), (dropped,) = epochs(loader()), epochs(loader(last="drop"))
    assert [len(batch) for batch in kept] == [5, 5, 5, 5, 3]
    assert kept[:4] == dropped
    assert (len(loader()), len(loader(last="drop"))) == (5, 4)


def test_dropping_keeps_the_epochs_apart():
    data = loader(last="drop")
    assert epochs(data, 2) == [batches[:4] for batches in epochs(loader(), 2)]
    assert data.examples_seen == 2 * N


def test_ramp_sizes_follow_the_examples_seen():
    data = loader(batch_size=ramp)
    seen = 0
    for _ in range(3):
        for inputs, _ in data:
            left = N - seen % N
            assert len(inputs) == min(ramp(seen), left)
            seen += len(inputs)
            assert data.examples_seen == seen


def test_ramp_with_drop_counts_its_batches():
    data = loader(batch_size=ramp, last="drop")
    for epoch in range(12):  # beyond the size of the data set, where the batch is the whole of it
        data.set_epoch(epoch)
        length, (batches,) = len(data), epochs(data)
        assert len(batches) == length >= 1
        starts = epoch * N + torch.tensor([0] + [len(batch) for batch in batches]).cumsum(0)
        expected = [min(ramp(int(start)), N) for start in starts[:-1]]
        assert [len(batch) for batch in batches] == expected


@pytest.mark.parametrize("size", [5, ramp])
@pytest.mark.parametrize("last", ["keep", "drop"])
@pytest.mark.parametrize("stop", [0, 1, 3, 4, 5, 6, 9])
def test_resumed_equals_uninterrupted_bit_for_bit(size, last, stop):
    def fresh():
        return loader(batch_size=size, last=last, augment=noise)

    def take(data, count):
        """`count` batches over as many epochs as that needs, as a training loop takes them."""
        taken = []
        while len(taken) < count:
            for inputs, targets in data:
                taken.append((inputs, targets))
                if len(taken) == count:
                    break
        return taken

    whole = take(fresh(), 14)
    first = fresh()
    take(first, stop)
    state = first.state_dict()
    assert all(isinstance(value, int) for value in state.values())
    second = fresh()
    second.load_state_dict(state)
    second.load_state_dict(state)
    rest = take(second, 14 - stop)
    for (inputs, targets), (resumed_inputs, resumed_targets) in zip(whole[stop:], rest, strict=True):
        assert torch.equal(inputs, resumed_inputs)
        assert torch.equal(targets, resumed_targets)


def test_state_has_moved_when_the_batch_comes():
    data = loader()
    for index, _ in enumerate(data, 1):
        assert data.state_dict() == {"epoch": 0, "examples": min(5 * index, N), "of": N, "seed": 3}


def test_making_an_iterator_takes_nothing():
    data = loader()
    iter(data)
    iterator = iter(data)
    data.load_state_dict({"epoch": 2, "examples": 10, "of": N, "seed": 3})
    reference = loader()
    expected = epochs(reference, 3)[2][2:]
    assert [targets.tolist() for _, targets in iterator] == expected


def test_length_is_that_of_the_whole_epoch_while_in_its_middle():
    data = loader(batch_size=ramp)
    length = len(data)
    next(iter(data))
    assert len(data) == length


@pytest.mark.parametrize("world_size", [2, 3, 4])
@pytest.mark.parametrize("size", [8, ramp])
def test_union_of_the_ranks_is_the_batch(world_size, size):
    whole = list(loader(batch_size=size, augment=noise))
    shares = [list(loader(batch_size=size, augment=noise, rank=r, world_size=world_size)) for r in range(world_size)]
    for (inputs, targets), *parts in zip(whole, *shares, strict=True):
        assert torch.equal(torch.cat([part[0] for part in parts]), inputs)
        assert torch.equal(torch.cat([part[1] for part in parts]), targets)
        sizes = [len(part[1]) for part in parts]
        assert max(sizes) - min(sizes) <= 1


def test_prepare_sees_stored_values_after_augmentation():
    data = TensorLoader(
        torch.full((4, 1), 8, dtype=torch.uint8),
        torch.zeros(4),
        batch_size=4,
        shuffle=True,
        seed=0,
        augment=lambda batch, _: batch * 2,
        prepare=lambda batch: batch.float() / 16,
    )
    ((inputs, _),) = data
    assert inputs.tolist() == [[1.0]] * 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 0}, "between 1 and the 23 examples"),
        ({"batch_size": 24}, "got 24"),
        ({"last": "pad"}, '"keep" or "drop"'),
        ({"rank": 2, "world_size": 2}, "rank 2 of 2"),
    ],
)
def test_options_that_cannot_be_honoured(options, words):
    with pytest.raises(UsageError, match=words):
        loader(**options)


@pytest.mark.parametrize("value", [0, -1, 2.5, None])
def test_a_batch_size_function_must_return_a_positive_integer(value):
    with pytest.raises(UsageError, match="must return an integer of at least 1"):
        next(iter(loader(batch_size=lambda seen: value)))


def test_unequal_or_empty_tensors():
    for inputs, targets in ((torch.zeros(3, 1), torch.zeros(2)), (torch.zeros(0, 1), torch.zeros(0))):
        with pytest.raises(UsageError, match="equally many and not none"):
            TensorLoader(inputs, targets, batch_size=1, shuffle=False, seed=0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"of": 24}, "24 training examples, this run 23"),
        ({"seed": 5}, "5 as the seed, this run 3"),
        ({"examples": 7}, "7 examples into epoch 1"),
    ],
)
def test_a_position_of_another_run_is_refused(change, words):
    state = {"epoch": 1, "examples": 10, "of": N, "seed": 3} | change
    with pytest.raises(UsageError, match=words):
        loader().load_state_dict(state)


def test_negative_epoch():
    with pytest.raises(UsageError, match="at least 0"):
        loader().set_epoch(-1)


def fixed(n, size, **options):
    return FixedLoader(torch.arange(n).view(n, 1), torch.arange(n), batch_size=size, **options)


def test_fixed_batches_are_the_same_every_time_also_after_a_break():
    data = fixed(10, 4)
    next(iter(data))
    for _ in range(2):
        assert [targets.tolist() for _, targets in data] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len(data) == 3


@pytest.mark.parametrize(
    ("n", "size", "world_size", "sizes"),
    [
        (9, 4, 1, [4, 5]),
        (9, 1, 1, [1] * 9),
        (1, 4, 1, [1]),
        (9, 9, 1, [9]),
        (9, 100, 1, [9]),
        (10, 4, 3, [4, 6]),
        (5, 1, 3, [1, 1, 3]),
    ],
)
def test_a_last_fixed_batch_that_is_too_small_joins_the_one_before(n, size, world_size, sizes):
    shares = [list(fixed(n, size, rank=rank, world_size=world_size)) for rank in range(world_size)]
    assert [sum(len(part[1]) for part in parts) for parts in zip(*shares, strict=True)] == sizes
    assert sorted(value for share in shares for _, targets in share for value in targets.tolist()) == list(range(n))


def test_fixed_loader_refuses_an_empty_batch():
    with pytest.raises(UsageError, match="at least 1, got 0"):
        fixed(3, 0)
