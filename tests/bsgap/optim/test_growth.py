"""The sizes of a ramp as functions of the examples seen, against loaders that take them."""

import math
import random

import pytest
import torch

from bsgap.data.loader import TensorLoader
from bsgap.errors import UsageError
from bsgap.optim.growth import (
    BatchSizes,
    Growth,
    batches_in,
    by_epochs,
    by_steps,
    noise_scale,
    schedule_steps,
    share_of_rate,
    within,
)


def loader(n, sizes, last="keep"):
    values = torch.arange(n)
    return TensorLoader(values, values, batch_size=sizes, shuffle=True, seed=0, last=last)


def passes(n, sizes, last, epochs):
    """(examples seen before it, its size, its examples) of each batch, epoch by epoch."""
    own = loader(n, sizes, last)
    found = []
    for _ in range(epochs):
        expected = len(own)
        batches = [(own.examples_before, own.size_at(own.examples_before), x) for x, _ in own]
        assert len(batches) == expected
        found.append(batches)
    return found


CASES = [
    (random.Random(seed).randint(20, 200), random.Random(seed).randint(1, 9), ("keep", "drop")[seed % 2], seed)
    for seed in range(24)
]


@pytest.mark.parametrize(("n", "start", "last", "seed"), CASES)
def test_steps_are_those_that_a_loader_takes(n, start, last, seed):
    draw = random.Random(seed)
    milestones = sorted(draw.sample(range(1, 60), 2))
    plan = list(zip(milestones, (start * 2, start * 2 + 3), strict=True))
    sizes = by_steps(start, plan, n, last)
    taken = [size for epoch in passes(n, sizes, last, 12) for _, size, _ in epoch]
    expected = [start] * milestones[0] + [start * 2] * (milestones[1] - milestones[0])
    assert taken[: milestones[1]] == expected[: len(taken)]
    assert set(taken[milestones[1] :]) <= {start * 2 + 3}


@pytest.mark.parametrize(("n", "start", "last", "seed"), CASES)
def test_between_epochs_it_grows_at_the_end_of_the_epoch_of_a_milestone(n, start, last, seed):
    draw = random.Random(seed)
    milestones = sorted(draw.sample(range(1, 60), 3))
    plan = list(zip(milestones, (start * 2, start * 3, start * 4), strict=True))
    sizes = by_steps(start, plan, n, last, whole_epochs=True)
    steps, size = 0, start
    for epoch in passes(n, sizes, last, 15):
        assert {batch[1] for batch in epoch} == {size}
        steps += len(epoch)
        size = max([size, *(grown for milestone, grown in plan if milestone <= steps)])


@pytest.mark.parametrize("last", ["keep", "drop"])
@pytest.mark.parametrize("n", [96, 100, 104, 111])
def test_an_epoch_has_the_steps_of_accumulated_batches(n, last):
    """A loader of 13 batches gives 7 pairs, also where it would drop a 14th."""
    batches = list(torch.utils.data.BatchSampler(range(n), 8, drop_last=last == "drop"))
    steps = -(-len(batches) // 2)
    for milestone in range(1, 3 * steps + 1):
        sizes = by_steps(16, [(milestone, 32)], n, last, whole_epochs=True, parts=lambda size: size // 8)
        assert sizes.changes == ((-(-milestone // steps) * n, 32),)
    changes = BatchSizes(16, ((n, 32), (2 * n, 64)))
    kept = [
        within(changes, n, last, steps=budget, parts=lambda size: size // 8).changes for budget in (steps, steps + 1)
    ]
    assert [len(each) for each in kept] == [0, 1]


@pytest.mark.parametrize(("n", "start", "last", "seed"), CASES)
def test_what_comes_after_the_budget_is_left_out(n, start, last, seed):
    draw = random.Random(seed)
    changes = sorted(draw.sample(range(1, 6 * n), 3))
    sizes = BatchSizes(start, tuple(zip(changes, (start + 1, start + 3, start + 9), strict=True)))
    batches = [batch for epoch in passes(n, sizes, last, 8) for batch in epoch]
    for steps in range(1, len(batches), 5):
        used = {size for _, size, _ in batches[:steps]} - {start}
        kept = within(sizes, n, last, steps=steps).changes
        # One that is passed over within a batch, because the next comes at once, may be kept though it is never used.
        assert used <= {size for _, size in kept}
        assert all(at <= batches[steps - 1][0] for at, _ in kept)
    for epochs in range(1, 7):
        assert all(at < epochs * n for at, _ in within(sizes, n, last, epochs=epochs).changes)


@pytest.mark.parametrize("last", ["keep", "drop"])
@pytest.mark.parametrize("milestones", [(1, 2), (0.5, 1.75), (0.33, 0.34)])
def test_every_example_comes_once_an_epoch(milestones, last):
    n = 103
    sizes = by_epochs(8, [(milestones[0], 16), (milestones[1], 32)], n)
    for epoch in passes(n, sizes, last, 4):
        seen = torch.cat([x for *_, x in epoch]).tolist()
        assert len(set(seen)) == len(seen)
        if last == "keep":
            assert sorted(seen) == list(range(n))
        else:  # what is missing is less than the batch that would have come, and none is smaller
            assert n - len(seen) < sizes(epoch[-1][0] + epoch[-1][1])
            assert all(len(x) == size for _, size, x in epoch)


def test_a_milestone_takes_effect_with_the_first_batch_at_or_past_it():
    sizes = by_epochs(10, [(0.25, 20)], 100)
    assert [(seen, size) for seen, size, _ in passes(100, sizes, "keep", 1)[0]] == [
        (0, 10), (10, 10), (20, 10), (30, 20), (50, 20), (70, 20), (90, 20),
    ]  # fmt: skip


@pytest.mark.parametrize("last", ["keep", "drop"])
@pytest.mark.parametrize("n", [100, 103])
def test_a_schedule_keeps_its_place_in_the_data(n, last):
    base = 10
    fixed = [batch for epoch in passes(n, base, last, 5) for batch in epoch]
    place = {seen: step for step, (seen, *_) in enumerate(fixed)}
    sizes = by_epochs(base, [(1, 20), (2.5, 40)], n)
    position = 0
    for epoch, batches in enumerate(passes(n, sizes, last, 5)):
        for seen, _, _ in batches:
            position = schedule_steps(seen, n=n, base=base, last=last)
            assert place.get(seen, position) == position
        end = schedule_steps((epoch + 1) * n, n=n, base=base, last=last)
        assert position < end == (epoch + 1) * batches_in(n, base, last)


def test_sizes_are_rounded_and_cut():
    growth = Growth(factor=1.5, every=1, maximum=30)
    assert growth.plan(10, end=6) == [(1, 15), (2, 22), (3, 30)]
    assert Growth(factor=10, every=1).size(1000, 400) == 2**62  # and not an overflow
    assert Growth(factor=1.1, every=1).plan(2, end=5) == [(3, 3)]
    assert Growth(sizes=[20, 40], every=0.1).plan(10, end=1) == [(0.1, 20), (0.2, 40)]
    assert Growth(factor=2, every=1).plan(10, end=math.inf, most=50) == [(1, 20), (2, 40), (3, 80)]
    assert Growth(factor=2, maximum=50).reached(10) == [10, 20, 40, 50]
    assert Growth(sizes=[20, 25]).reached(10) == [10, 20, 25]


def test_thirds_of_tenths_fall_where_they_should():
    plan = Growth(factor=2, every=0.1).plan(1, end=0.5)
    assert by_epochs(1, plan, 1000).changes == ((100, 2), (200, 4), (300, 8), (400, 16))


def test_the_noise_scale_is_that_of_the_paper():
    """Smith et al. 2017: dividing the rate by 5 and multiplying the batch by 5 are the same; so is 1 / (1 - m)."""
    start = noise_scale(0.1, 128, 50_000, 0.9)
    assert noise_scale(0.02, 128, 50_000, 0.9) == pytest.approx(start / 5)
    assert noise_scale(0.1, 640, 50_000, 0.9) == pytest.approx(start / 5)
    assert noise_scale(0.5, 3200, 50_000, 0.98) == pytest.approx(start)
    assert noise_scale(0.1, 128, 50_000, 1.0) == math.inf


def test_an_unknown_coupling():
    with pytest.raises(
        UsageError, match=r"ramp.rate must be one of keep-ratio, linear, square-root, none, got 'cubic'"
    ):
        share_of_rate("cubic", 2.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factor": 2, "sizes": [20]}, "ramp.factor and ramp.sizes exclude each other"),
        ({"factor": 1, "every": 1}, "ramp.factor must be above 1, got 1, which never changes the batch"),
        ({"factor": 0.5, "every": 1}, "ramp.factor must be above 1, got 0.5, which does not let it grow"),
        ({"factor": math.nan, "every": 1}, "ramp.factor must be above 1, got nan"),
        ({"sizes": []}, "ramp.sizes must hold at least one batch size"),
        ({"sizes": [20, 10], "every": 1}, "ramp.sizes must grow from one to the next, got 10 after 20"),
        ({"sizes": [20, 20], "every": 1}, "got 20 after 20"),
        ({"sizes": [20, 40], "milestones": [1]}, "ramp.sizes and ramp.milestones must be equally many, got 2 and 1"),
        ({"factor": 2, "milestones": [2, 1]}, "ramp.milestones must be in order, got 1 after 2"),
        ({"factor": 2, "milestones": [2, 2]}, "ramp.milestones must differ, got 2 twice"),
        ({"factor": 2, "milestones": [-1]}, "ramp.milestones must be above 0, got -1"),
        ({"factor": 2, "milestones": [0]}, "ramp.milestones must be above 0, got 0. The size at the start is that of"),
        ({"factor": 2, "milestones": []}, "ramp.milestones must hold at least one number of epochs"),
        ({"factor": 2, "milestones": [1], "every": 1}, "ramp.milestones and ramp.every exclude each other"),
        ({"factor": 2, "every": 0}, "ramp.every must be a positive number of epochs, got 0"),
        ({"factor": 2, "every": 1.5, "unit": "steps"}, "ramp.every must be whole numbers where ramp.unit is steps"),
        ({"factor": 2, "milestones": [1.5], "unit": "steps"}, "ramp.milestones must be whole numbers"),
        ({"factor": 2, "every": 1, "unit": "hours"}, "ramp.unit must be epochs or steps, got 'hours'"),
        ({"factor": 2, "every": 1, "maximum": 20.5}, "ramp.maximum must be an integer, got 20.5"),
        ({"sizes": [16.5], "every": 1}, "ramp.sizes must be a list of batch sizes, which are integers, got [16.5]"),
        ({"factor": 2, "milestones": 3}, "ramp.milestones must be a list of numbers of epochs, got 3"),
        ({"factor": 2, "milestones": ["a"]}, "ramp.milestones must be a list of numbers of epochs, got ['a']"),
        ({"factor": "2", "every": 1}, "ramp.factor must be a number, got '2'"),
        ({"factor": 2, "every": "1"}, "ramp.every must be a number, got '1'"),
        ({"factor": 2, "every": 1, "maximum": 0}, "ramp.maximum must be at least 1 or absent, got 0"),
    ],
)
def test_what_contradicts_itself(options, message):
    with pytest.raises(UsageError) as error:
        Growth(**options)
    assert message in str(error.value)
