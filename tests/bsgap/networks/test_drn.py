"""Parameter counts by the table and as published; stride, dilation and receptive field; the enlarged logits."""

import pytest
import torch
from torch import nn

from bsgap.errors import UsageError
from bsgap.networks import DRN

PUBLISHED = {22: "16.4", 38: "26.5", 54: "35.8", 105: "54.8"}  # millions, the authors' repository


def conv(inputs, outputs, kernel=3):
    return kernel**2 * inputs * outputs + 2 * outputs


def basic_level(blocks, inputs, outputs):
    return conv(inputs, outputs) + (2 * blocks - 1) * conv(outputs, outputs) + conv(inputs, outputs, 1)


def closed_form(blocks, classes):
    ends = conv(3, 16, 7) + conv(16, 16) + conv(16, 32) + 2 * conv(512, 512)
    levels = zip(blocks, (32, 64, 128, 256), (64, 128, 256, 512), strict=True)
    return ends + sum(basic_level(*level) for level in levels) + 512 * classes + classes


@pytest.mark.parametrize("depth", PUBLISHED)
def test_counts_are_the_published_ones(count, depth):
    assert f"{count(DRN, depth, classes=1000) / 1e6:.1f}" == PUBLISHED[depth]


@pytest.mark.parametrize(("depth", "blocks"), [(22, (2, 2, 2, 2)), (38, (3, 4, 6, 3))])
def test_counts_by_the_table(count, depth, blocks):
    assert count(DRN, depth) == closed_form(blocks, 19)
    assert count(DRN, depth, segmentation=False) == closed_form(blocks, 19)


@pytest.mark.parametrize("depth", PUBLISHED)
def test_depth_counts_the_layers_on_the_longest_path(depth):
    with torch.device("meta"):
        network = DRN(depth)
    path = [name for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d) and "shortcut" not in name]
    assert len(path) == depth


def test_strides_and_dilations_of_drn_22():
    with torch.device("meta"):
        network = DRN(22)
    path = [layer for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d) and "shortcut" not in name]
    assert [layer.stride[0] for layer in path] == [1, 1, 2] + [2, 1, 1, 1] * 2 + [1] * 11
    assert [layer.dilation[0] for layer in path] == [1] * 11 + [2] * 4 + [4] * 4 + [2, 1, 1]
    assert not any(isinstance(layer, nn.MaxPool2d) for layer in network.modules())


def test_receptive_field_is_527_pixels():
    """1 + sum of (kernel - 1) x dilation x product of the strides before, along the path of DRN-D-22."""
    strides = [1, 1, 2] + [2, 1, 1, 1] * 2 + [1] * 10
    reach, jump = 1, 1
    dilations = [1] * 11 + [2] * 4 + [4] * 4 + [2, 1]
    for kernel, stride, dilation in zip([7] + [3] * 20, strides, dilations, strict=True):
        reach += (kernel - 1) * dilation * jump
        jump *= stride
    assert (reach, jump) == (527, 8)
    network = DRN(22, in_shape=(1, 8, 640), width=1 / 16).double().eval()
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.ones_(layer.weight)
    image = torch.ones(1, 1, 8, 640, dtype=torch.float64, requires_grad=True)
    features = network.features(image)
    assert features.shape == (1, 32, 1, 80)
    features[0, 0, 0, 40].backward()
    columns = image.grad[0, 0].sum(0).nonzero().flatten()
    middle = 40 * 8
    assert (columns[0].item(), columns[-1].item()) == (middle - 263, middle + 263)


@pytest.mark.parametrize("size", [(64, 96), (50, 70), (41, 33), (8, 8), (7, 1)])
@pytest.mark.parametrize("depth", [22, 54])
def test_logits_have_the_size_of_the_image(size, depth):
    network = DRN(depth, classes=5, width=1 / 16).eval()
    images = torch.rand(2, 3, *size)
    assert network(images).shape == (2, 5, *size)
    assert network.features(images).shape[2:] == (-(-size[0] // 8), -(-size[1] // 8))


def test_enlarging_is_the_authors_transposed_convolution_inside_the_border():
    """Their kernel: 16 x 16, stride 8, padding 4, weights (1 - |i / 8 - 15 / 16|) in each direction, one group a class."""
    torch.manual_seed(0)
    network = DRN(22, classes=3, width=1 / 16).double().eval()
    images = torch.randn(2, 3, 64, 96, dtype=torch.float64)
    line = 1 - (torch.arange(16, dtype=torch.float64) / 8 - 15 / 16).abs()
    kernel = torch.outer(line, line).expand(3, 1, 16, 16)
    small = network.output(network.features(images))
    expected = nn.functional.conv_transpose2d(small, kernel, stride=8, padding=4, groups=3)
    torch.testing.assert_close(network(images)[..., 4:-4, 4:-4], expected[..., 4:-4, 4:-4])


def test_a_size_that_is_no_multiple_of_8_is_cut_not_squeezed():
    torch.manual_seed(0)
    network = DRN(22, classes=3, width=1 / 16).eval()
    images = torch.rand(1, 3, 50, 70)
    small = network.output(network.features(images))
    enlarged = nn.functional.interpolate(small, size=(56, 72), mode="bilinear")
    assert torch.equal(network(images), enlarged[..., :50, :70])


def test_segmentation_starts_near_equal_classes_and_every_parameter_gets_a_gradient():
    torch.manual_seed(0)
    network = DRN(22, width=1 / 8)
    labels = torch.randint(19, (2, 48, 64))
    labels[:, :3] = 255
    loss = nn.functional.cross_entropy(network(torch.randn(2, 3, 48, 64)), labels, ignore_index=255)
    assert loss.item() == pytest.approx(torch.tensor(19.0).log().item(), abs=0.1)
    loss.backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.count_nonzero() > 0, name


def test_segmentation_compiles_to_one_graph():
    network = DRN(22, classes=3, width=1 / 16).eval()
    images = torch.rand(2, 3, 50, 70)
    assert torch.equal(torch.compile(network, backend="eager", fullgraph=True)(images), network(images))


def test_an_unknown_depth_is_refused():
    with pytest.raises(UsageError, match="depth of a DRN must be one of 22, 38, 54, 105, got 26"):
        DRN(26)
