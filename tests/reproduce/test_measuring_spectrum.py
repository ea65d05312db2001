"""Density and trace as the worker takes them, against the measures called directly."""

import json
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from bsgap.measures import hessian_trace, spectral_density
from reproduce.measuring import KINDS

torch.manual_seed(0)
NETWORK = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
BATCHES = [(torch.randn(6, 4), torch.randint(0, 3, (6,))), (torch.randn(3, 4), torch.randint(0, 3, (3,)))]
SUBJECT = SimpleNamespace(
    network=NETWORK, statistics="running", train=lambda examples: BATCHES[:1] if examples else BATCHES
)


@pytest.mark.parametrize(("examples", "used"), [(None, 9), (6, 6)])
def test_the_trace_is_that_of_the_given_examples(examples, used):
    found = KINDS["trace"](SUBJECT, probes=3, examples=examples)
    direct = hessian_trace(NETWORK, BATCHES[:1] if examples else BATCHES, probes=3)
    assert (found["value"], found["standard_error"]) == (direct.value, direct.standard_error)
    assert (found["examples"], len(found["estimates"])) == (used, 3)
    assert json.loads(json.dumps(found)) == found


def test_the_density_is_written_with_its_grid():
    found = KINDS["density"](SUBJECT, probes=2, steps=10, points=200, broadening=0.02)
    direct = spectral_density(NETWORK, BATCHES, probes=2, steps=10, points=200, broadening=0.02)
    assert found["grid"] == list(direct.grid)
    assert found["density"] == list(direct.density)
    read = json.loads(json.dumps(found))
    assert read["nodes"] == [list(each) for each in direct.nodes]
