"""The ramp on two processes (DDP, gloo): one plan, one global batch, each example once an epoch."""

from pathlib import Path

import pytest
import torch
from processes import of_two
from ramped import BASE, N, OwnData, Somebody, tensors, train
from torch.nn.functional import mse_loss

from bsgap.callbacks import BatchSizeRamp

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no"),
    pytest.mark.filterwarnings("ignore:Total length of `list` across ranks is zero"),
]
SCRIPT = Path(__file__).with_name("ramp_over_processes.py")
RAMPED = [[8] * 12, [16] * 6, [32] * 3, [64, 32]]
PLANS = {
    "own": [[8] * 6 + [16] * 3, [16] * 6, [32] * 3, [32] * 3],
    "stated": RAMPED,
    "given": RAMPED,
    "steps": [[8] * 12, [16] * 6, [32] * 3, [32] * 3],
    "parts": [[8] * 12, [8] * 12, [8] * 12, [8] * 12],  # it is the micro-batches that the loader gives
    "metric": [[8] * 12, [8] * 12, [16] * 6, [32] * 3],
    "validation": [[8] * 12, [8] * 12, [16] * 6, [32] * 3],
}


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What each of two processes saw."""
    return of_two(SCRIPT, tmp_path_factory.mktemp("ranks"), 120)


@pytest.mark.parametrize("name", PLANS)
def test_both_grow_at_the_same_moment(ranks, name):
    one, two = (rank[name] for rank in ranks)
    for mine, others, plan in zip(one["seen"], two["seen"], PLANS[name], strict=True):
        assert [len(batch) for batch in mine] == [len(batch) for batch in others] == [size // 2 for size in plan]
        assert sorted(number for batch in (*mine, *others) for number in batch) == list(range(N))
    assert one["history"] == two["history"]
    assert one["weights"] == two["weights"]


@pytest.mark.parametrize("name", PLANS)
def test_the_stages_state_the_size_over_both(ranks, name):
    stages = [(stage["epoch"], stage["examples"], stage["batch_size"]) for stage in ranks[0][name]["history"]]
    if name == "own":
        assert stages == [(0, 0, 8), (0.5, 48, 16), (1, 96, 16), (2, 192, 32), (3, 288, 32)]
    else:
        sizes = {"steps": [8, 16, 32, 32], "metric": [8, 8, 16, 32], "validation": [8, 8, 16, 32]}.get(
            name, [8, 16, 32, 64]
        )
        assert stages == [(epoch, N * epoch, size) for epoch, size in enumerate(sizes)]
    rates = [stage["rate"] for stage in ranks[0][name]["history"]]
    assert rates == pytest.approx([0.01 * size / BASE for *_, size in stages])


@pytest.mark.parametrize("name", ["stated", "given", "parts", "own"])
def test_a_step_is_one_on_the_mean_gradient_of_the_global_batch(ranks, name):
    """The weights are those of plain SGD in one process on what both processes saw, batch by batch."""
    one, two = (rank[name] for rank in ranks)
    module = Somebody()
    inputs, targets = tensors()
    optimizer, seen = torch.optim.SGD(module.parameters()), 0
    for epoch, (mine, others) in enumerate(zip(one["seen"], two["seen"], strict=True)):
        batches = [left + right for left, right in zip(mine, others, strict=True)]
        parts = 2**epoch if name == "parts" else 1
        for start in range(0, len(batches), parts):
            chosen = [number for batch in batches[start : start + parts] for number in batch]
            optimizer.param_groups[0]["lr"] = [s["rate"] for s in one["history"] if s["examples"] <= seen][-1]
            seen += len(chosen)
            optimizer.zero_grad()
            mse_loss(module.layer(inputs[chosen]), targets[chosen]).backward()
            optimizer.step()
    expected = torch.cat([parameter.flatten() for parameter in module.parameters()])
    found = torch.cat([torch.tensor(values) for values in one["weights"]])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_data_of_this_package_give_what_they_give_on_one_process(ranks):
    module = Somebody()
    train(module, OwnData(BASE), BatchSizeRamp(factor=2, milestones=[0.5, 2]))
    both = zip(ranks[0]["own"]["seen"], ranks[1]["own"]["seen"], strict=True)
    assert [[left + right for left, right in zip(*epoch, strict=True)] for epoch in both] == module.seen
