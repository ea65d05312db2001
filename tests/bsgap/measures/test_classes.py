import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from bsgap.measures.boxes import FullBox
from bsgap.measures.classes import class_starts
from bsgap.measures.vectors import MeanLoss


@pytest.fixture
def prepared():
    def prepare(model, batches, loss=cross_entropy, epsilon=0.5):
        mean = MeanLoss(model, batches, loss)
        return mean, FullBox(mean.flat.vector, epsilon), torch.ones_like(mean.flat.vector, dtype=torch.int8)

    return prepare


def test_vertices_push_toward_one_class_each(prepared):
    """Of logits that are the parameters z themselves, for 5 examples of class 0 and 3 of class 1."""

    class Logits(nn.Module):
        def __init__(self):
            super().__init__()
            self.z = nn.Parameter(torch.tensor([3.0, 2.0, 0.0]))

        def forward(self, x):
            return self.z + 0 * x

    inputs, targets = torch.zeros(8, 1), torch.tensor([0, 0, 0, 0, 0, 1, 1, 1])
    mean, box, _ = prepared(Logits(), [(inputs, targets)])
    starts = class_starts(mean, box, torch.zeros(3, dtype=torch.int8))
    # Gradients of z_c - (5·z_0 + 3·z_1)/8; the vertices are (5, 0.5, 0), (1, 3.5, 0) and (1, 0.5, 0.5).
    assert sorted(start.tolist() for start in starts) == [[-1, -1, 1], [-1, 1, 0], [1, -1, 0]]
    losses = [cross_entropy((torch.tensor([3.0, 2, 0]) + start * box.width).expand(8, 3), targets) for start in starts]
    assert losses == sorted(losses, reverse=True)


def test_starts_below_the_first_vertex_are_left_out(prepared, small):
    network, inputs, targets = small
    mean, box, first = prepared(network(), [(inputs, targets)])
    found = class_starts(mean, box, first)
    box.place(first * box.width, mean.flat.vector)
    least = mean()
    for start in found:
        box.place(start * box.width, mean.flat.vector)
        assert mean() > least


def test_none_for_other_outputs_and_for_inputs_that_cannot_be_sampled(prepared, small):
    network, inputs, targets = small
    assert class_starts(*prepared(network(), [(inputs, torch.randn(10, 3))], mse_loss)) == []
    model = network()

    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, x):
            return self.inner(x["x"])

    assert class_starts(*prepared(Wrapped(), [({"x": inputs}, targets)])) == []
