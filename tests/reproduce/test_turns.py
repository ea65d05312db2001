"""Steps of several kinds in turns: which are taken, and that nothing is left of them."""

import functools
import json

import pytest
import torch
from torch import nn

from bsgap.errors import UsageError
from bsgap.networks import MLP
from bsgap.optim import SAM
from bsgap.tasks import ImageClassification
from reproduce.measuring import measure
from reproduce.turns import WARM_UP, step_seconds

WAYS = [{"rho": 0.0}, {"rho": 0.1, "adaptive": False}, {"rho": 1.0, "adaptive": True}]


class Counted(nn.Module):
    """A network that notes the rho of each of its passes."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.BatchNorm1d(4))
        self.passes = []

    def forward(self, x):
        self.passes.append((self.sam.rho, self.sam.adaptive))
        return self.layers(x)


@pytest.fixture
def task():
    def make(weights):
        made = SAM(weights, functools.partial(torch.optim.SGD, lr=0.5, momentum=0.9, weight_decay=0.1), rho=0.0)
        network.sam = made
        return made

    torch.manual_seed(0)
    network = Counted()
    return ImageClassification(lambda: network, make, seed=0)


def test_the_ways_take_turns_and_the_weights_stay(task):
    batch = torch.randn(8, 1, 4, 4), torch.randint(0, 4, (8,))
    before = {name: value.clone() for name, value in task.network.named_parameters()}
    found = step_seconds(task, batch, WAYS, rounds=3, steps=2)
    assert [len(each) for each in found] == [3, 3, 3]
    assert all(value > 0 for each in found for value in each)
    assert all(torch.equal(value, before[name]) for name, value in task.network.named_parameters())
    plain, sam, asam = [(0.0, False)], [(0.1, False)] * 2, [(1.0, True)] * 2  # two gradients a step
    warm = plain * WARM_UP + sam * WARM_UP + asam * WARM_UP
    seen = [(rho, adaptive and rho > 0) for rho, adaptive in task.network.passes]
    assert seen == warm + 3 * (plain * 2 + sam * 2 + asam * 2)


def test_a_schedule_moves_no_weight_either():
    make = functools.partial(SAM, base=functools.partial(torch.optim.SGD, lr=0.5), rho=0.0)
    schedule = functools.partial(torch.optim.lr_scheduler.LambdaLR, lr_lambda=lambda step: 1 + step)
    task = ImageClassification(lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 4)), make, schedule=schedule, seed=0)
    before, batch = (
        [value.clone() for value in task.network.parameters()],
        (torch.randn(8, 1, 4, 4), torch.arange(8) % 4),
    )
    state = torch.get_rng_state()
    step_seconds(task, batch, WAYS, rounds=1, steps=2)
    assert all(torch.equal(value, old) for value, old in zip(task.network.parameters(), before, strict=True))
    assert torch.equal(torch.get_rng_state(), state)


def test_an_optimizer_that_is_not_sam_is_refused():
    task = ImageClassification(lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 4)), seed=0)
    with pytest.raises(UsageError, match="Adam, has no adaptive or rho"):
        step_seconds(task, (torch.randn(8, 1, 4, 4), torch.randint(0, 4, (8,))), WAYS, rounds=1, steps=1)


def test_a_worker_times_the_steps_of_a_run(tmp_path):
    network = {"class_path": "bsgap.networks.MLP", "init_args": {"in_shape": [1, 8, 8], "classes": 10, "width": 3}}
    base = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}}
    optimizer = {"class_path": "bsgap.optim.SAM", "init_args": {"rho": 0.0, "base": base}}
    task = {"network": network, "optimizer": optimizer, "micro_batch": 8, "seed": 0}
    data = {"source": "digits", "batch_size": 10, "train_examples": 20, "test_examples": 10}
    torch.save(MLP(**network["init_args"]).state_dict(), tmp_path / "final.pt")
    config = {
        "model": {"class_path": "bsgap.tasks.ImageClassification", "init_args": task},
        "data": {"class_path": "bsgap.data.ImageData", "init_args": data},
        "trainer": {"precision": "32-true"},
    }
    options = {"batch": 32, "rounds": 2, "steps": 1, "rho": 0.1, "adaptive_rho": 1.0}
    found = measure("steps", {"config": config, "weights": [str(tmp_path / "final.pt")], "options": options})
    assert list(found["seconds"]) == list(found["ratios"]) == ["plain", "sam", "asam"]
    assert found["ratios"]["plain"] == [1.0, 1.0]
    assert len(found["ratios"]["asam"]) == 2
    assert (found["precision"], found["micro_batch"]) == ("32-true", 8)
    json.dumps(found)
