import pytest
import torch
from torch import nn

from bsgap.networks.blocks import GlobalAverage, PaddedShortcut, Residual, basic_block, normalised, projection


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"), [(1, 1, 1), (3, 1, 1), (3, 1, 4), (7, 1, 1), (3, 2, 1), (7, 2, 1), (1, 2, 1)]
)
@pytest.mark.parametrize("side", [9, 10])
def test_padding_keeps_the_size_over_the_stride(kernel, stride, dilation, side):
    convolution, norm = normalised(2, 4, kernel, stride, dilation=dilation)
    assert convolution.bias is None
    assert norm(convolution(torch.rand(2, 2, side, side))).shape == (2, 4, -(-side // stride), -(-side // stride))


@pytest.mark.parametrize("side", [5, 6])
def test_option_a_takes_every_second_pixel_and_adds_zeros(side):
    images = torch.rand(2, 3, side, side)
    out = PaddedShortcut(extra=3, stride=2)(images)
    assert torch.equal(out[:, :3], images[:, :, ::2, ::2])
    assert out.shape == (2, 6, 3, 3)
    assert torch.count_nonzero(out[:, 3:]) == 0


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("layer", [GlobalAverage(), PaddedShortcut(extra=1, stride=2)], ids=["average", "option A"])
def test_gradients_of_both_orders_are_right_and_keep_the_layout(layer, layout):
    images = torch.randn(2, 3, 5, 4, dtype=torch.float64).to(memory_format=layout).requires_grad_()
    assert torch.autograd.gradcheck(layer, images)
    assert torch.autograd.gradgradcheck(layer, images)
    (gradient,) = torch.autograd.grad(layer(images).square().sum(), images)
    assert gradient.is_contiguous(memory_format=layout)


def test_the_global_average_is_the_mean_over_positions():
    images = torch.randn(3, 5, 7, 4, dtype=torch.float64)
    assert torch.allclose(GlobalAverage()(images), images.mean((2, 3)), rtol=1e-14)


def test_option_b_projects_only_where_the_shape_changes():
    assert isinstance(projection(8, 8, 1), nn.Identity)
    for inputs, outputs, stride in ((8, 16, 1), (8, 8, 2)):
        convolution, norm = projection(inputs, outputs, stride)
        assert convolution.kernel_size == (1, 1)
        assert convolution.stride == (stride, stride)
        assert norm.num_features == outputs


def test_residual_is_the_activated_sum():
    main, shortcut = nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1)
    images = torch.randn(3, 2, 4, 4)
    assert torch.equal(Residual(main, shortcut)(images), (main(images) + shortcut(images)).clamp(min=0))


def test_a_block_whose_second_norm_is_zero_passes_its_activated_input():
    block = basic_block(4, 4, 1, nn.Identity())
    nn.init.zeros_(block.main[-1].weight)
    images = torch.randn(2, 4, 8, 8)
    assert torch.equal(block(images), images.relu())
