import pytest
import torch
from torch import nn

from bsgap.measures.folding import fold, folded, pairs
from bsgap.networks import CifarResNet, ghost_batch_norm


def settled(model):
    """In evaluation, with running averages and gains that are not those of the start."""
    torch.manual_seed(2)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.3, 3)
            if module.affine:
                nn.init.normal_(module.weight)
                nn.init.normal_(module.bias)
    return model.double().eval()


@pytest.mark.parametrize(
    ("model", "shape", "count"),
    [
        (nn.Sequential(nn.Linear(4, 6, bias=False), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)), (5, 4), 1),
        (nn.Sequential(nn.Conv1d(2, 6, 3), nn.BatchNorm1d(6, affine=False)), (5, 2, 7), 1),
        (nn.Sequential(nn.Conv3d(2, 4, 2, groups=2), nn.BatchNorm3d(4)), (3, 2, 3, 3, 3), 1),
        (CifarResNet(8, (3, 8, 8), shortcut="project", width=0.25), (3, 3, 8, 8), 9),
        (ghost_batch_norm(CifarResNet(8, (3, 8, 8), width=0.25), 2), (3, 3, 8, 8), 7),
    ],
    ids=["linear", "conv1d without gains", "conv3d in groups", "resnet", "ghost"],
)
def test_outputs_are_the_same_to_rounding(model, shape, count):
    model = settled(model)
    inputs = torch.randn(shape, dtype=torch.float64)
    with torch.no_grad():
        expected = model(inputs)
        found = pairs(model, inputs)
        assert len(found) == count
        before = [(parameter, parameter.data) for parameter in model.parameters()]
        with folded(found):
            for parameter, value in fold(found):
                parameter.data = value
            torch.testing.assert_close(model(inputs), expected, rtol=1e-10, atol=1e-12)
        for parameter, value in before:
            parameter.data = value
        assert torch.equal(model(inputs), expected)


class Changed(nn.Module):
    """What comes out of the layer is changed in place before BatchNorm sees it."""

    def __init__(self):
        super().__init__()
        self.layer, self.norm = nn.Linear(4, 4), nn.BatchNorm1d(4)

    def forward(self, inputs):
        return self.norm(self.layer(inputs).relu_())


def test_what_cannot_be_folded_is_left():
    shared = nn.Linear(4, 4)
    twice = nn.Sequential(shared, nn.BatchNorm1d(4), shared, nn.BatchNorm1d(4))
    without = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, track_running_stats=False))
    tied = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4))
    tied[2].weight = tied[0].weight
    watched = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    watched[0].register_forward_hook(lambda *_: None)
    for model in (twice, without, tied, watched, Changed()):
        assert pairs(model.eval(), torch.randn(3, 4)) == []
