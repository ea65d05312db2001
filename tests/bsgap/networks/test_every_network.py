"""What every image network must do: its shape at several sizes, gradients everywhere, a finite start, one graph."""

from math import log

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from bsgap.networks import DRN, VGG, VGG9, AlexNet, CifarResNet, MobileNetV2, ResNet, WideResNet

NETWORKS = {
    "CifarResNet": lambda **options: CifarResNet(8, width=0.5, **options),
    "CifarResNet with projections": lambda **options: CifarResNet(8, width=0.5, shortcut="project", **options),
    "WideResNet": lambda **options: WideResNet(10, 2, width=0.25, **options),
    "ResNet": lambda **options: ResNet(18, width=0.125, **options),
    "ResNet with bottlenecks": lambda **options: ResNet(50, width=0.125, **options),
    "VGG": lambda **options: VGG(11, width=0.125, **options),
    "VGG without BatchNorm": lambda **options: VGG(16, batch_norm=False, width=0.125, **options),
    "VGG with the paper's head": lambda **options: VGG(11, width=0.0625, head="imagenet", **options),
    "VGG9": lambda **options: VGG9(width=0.125, **options),
    "AlexNet": lambda **options: AlexNet(width=0.125, **options),
    "AlexNet with BatchNorm": lambda **options: AlexNet(width=0.125, batch_norm=True, **options),
    "MobileNetV2": lambda **options: MobileNetV2(width=0.25, **options),
    "DRN for classification": lambda **options: DRN(22, width=0.125, segmentation=False, **options),
}
SIZES = [(3, 32, 32), (1, 28, 28), (1, 8, 8), (3, 48, 64), (3, 96, 80), (3, 65, 63)]


@pytest.fixture(params=NETWORKS)
def build(request):
    return NETWORKS[request.param]


@pytest.mark.parametrize("in_shape", SIZES, ids=str)
def test_logits_at_several_sizes(build, in_shape):
    network = build(in_shape=in_shape, classes=7).eval()
    assert network(torch.rand(2, *in_shape)).shape == (2, 7)


def test_the_loss_starts_near_that_of_equal_classes_and_every_parameter_gets_a_gradient(build):
    torch.manual_seed(0)
    network = build(in_shape=(3, 32, 32), classes=10)
    loss = nn.functional.cross_entropy(network(torch.randn(16, 3, 32, 32)), torch.arange(16) % 10)
    assert loss.item() == pytest.approx(log(10), abs=0.3)
    loss.backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.count_nonzero() > 0, name


def test_the_seed_decides_the_weights(build):
    def weights(seed):
        torch.manual_seed(seed)
        return nn.utils.parameters_to_vector(build(in_shape=(3, 32, 32)).parameters())

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


class Layouts(TorchDispatchMode):
    """Counts the elementwise operations on images of two layouts, which a CPU takes 20 times as long for."""

    def __init__(self):
        super().__init__()
        self.mixed = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        images = [a for a in args[:2] if isinstance(a, torch.Tensor) and a.ndim == 4 and a.shape[2] * a.shape[3] > 1]
        if torch.Tag.pointwise in function.tags and len({image.stride() for image in images}) > 1:
            self.mixed.append(function.name())
        return function(*args, **(kwargs or {}))


def test_gradients_lie_in_memory_as_the_images_do(build):
    network = build(in_shape=(3, 32, 32)).to(memory_format=torch.channels_last)
    images = torch.randn(4, 3, 32, 32).to(memory_format=torch.channels_last)
    with Layouts() as layouts:
        network(images).sum().backward()
    assert not layouts.mixed


def test_compiles_to_one_graph(build):
    torch.manual_seed(0)
    network = build(in_shape=(3, 32, 32)).eval()
    images = torch.randn(2, 3, 32, 32)
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    assert torch.equal(compiled(images), network(images))


@pytest.mark.parametrize("name", ["VGG without BatchNorm", "AlexNet"])
def test_without_batch_norm_parts_of_a_batch_give_the_gradient_of_the_whole(name):
    torch.manual_seed(0)
    network = NETWORKS[name]().double()
    images, classes = torch.randn(7, 3, 32, 32, dtype=torch.float64), torch.arange(7)

    def gradient(part):
        loss = nn.functional.cross_entropy(network(images[part]), classes[part], reduction="sum")
        return nn.utils.parameters_to_vector(torch.autograd.grad(loss, list(network.parameters())))

    whole = gradient(slice(None))
    assert (gradient(slice(0, 4)) + gradient(slice(4, 7)) - whole).norm() <= 1e-12 * whole.norm()
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())
