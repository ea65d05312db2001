"""SAM on two processes (DDP, gloo): the perturbation is that of the whole batch, over both."""

from pathlib import Path

import pytest
import torch
from processes import of_two
from ramped import tensors
from sam_over_processes import CASES, RATE, RHO
from torch.nn.functional import mse_loss

SCRIPT = Path(__file__).with_name("sam_over_processes.py")
pytestmark = pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no")


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What each of two processes saw."""
    return of_two(SCRIPT, tmp_path_factory.mktemp("ranks"), 240)


@pytest.mark.parametrize("name", CASES)
def test_it_is_a_loop_over_the_whole_batch_in_one_process(ranks, name):
    one, two = (rank[name] for rank in ranks)
    assert one["weights"] == two["weights"]
    module = CASES[name]()
    layer = getattr(module, "layer", None) or module.network
    inputs, targets = tensors()
    passes = 2 if name == "somebody" else 1  # who notes both
    for mine, others in zip(one["seen"][0][::passes], two["seen"][0][::passes], strict=True):
        size = 2 if name == "groups" else len(mine)  # on each device
        totals = [torch.zeros_like(w) for w in layer.parameters()]
        for start in range(0, len(mine), size):
            chosen = mine[start : start + size] + others[start : start + size]
            kept = [w.detach().clone() for w in layer.parameters()]
            first = torch.autograd.grad(mse_loss(layer(inputs[chosen]), targets[chosen]), list(layer.parameters()))
            sizes = [w.abs() + 0.01 if name == "somebody" and w.ndim > 1 else torch.ones_like(w) for w in kept]
            norm = torch.cat([(t * g).flatten() for t, g in zip(sizes, first, strict=True)]).norm()
            with torch.no_grad():
                for w, t, g in zip(layer.parameters(), sizes, first, strict=True):
                    w += RHO * t * t * g / norm
            found = torch.autograd.grad(mse_loss(layer(inputs[chosen]), targets[chosen]), list(layer.parameters()))
            with torch.no_grad():
                for w, old, total, g in zip(layer.parameters(), kept, totals, found, strict=True):
                    w.copy_(old)
                    total += g * len(chosen) / (2 * len(mine))
        with torch.no_grad():
            for w, total in zip(layer.parameters(), totals, strict=True):
                w -= RATE * total
    for w, values in zip(layer.parameters(), one["weights"], strict=True):
        torch.testing.assert_close(torch.tensor(values), w.detach().flatten(), atol=1e-5, rtol=1e-4)
