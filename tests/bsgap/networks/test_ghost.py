"""Ghost BatchNorm against BatchNorm layers that see one chunk after the other."""

import copy

import pytest
import torch
from ghosts import chunk_by_chunk, compare, layer_for, passes, values
from torch import nn
from torch.nn.functional import batch_norm

from bsgap.networks import (
    CifarResNet,
    GhostBatchNorm,
    GhostBatchNorm1d,
    GhostBatchNorm2d,
    ghost_batch_norm,
    ghost_kernels,
)

EXACT = {torch.float64: 1e-12, torch.float32: 1e-6}
CASES = [  # shape of an example, examples in chunks of 8, and whether in channels-last layout
    *[((5,), examples, False) for examples in (24, 21, 8, 11)],  # 17 would leave a single value
    *[((3, 7), examples, False) for examples in (24, 21, 8, 17)],
    *[(shape, examples, last) for shape in ((4, 6, 5), (16, 4, 4)) for examples in (24, 21, 17) for last in (0, 1)],
]


@pytest.mark.parametrize("dtype", EXACT, ids=str)
@pytest.mark.parametrize(("shape", "examples", "last"), CASES, ids=str)
@pytest.mark.parametrize("updates", ["step", "chunk"])
def test_outputs_and_gradients_are_those_of_one_chunk_after_the_other(updates, shape, examples, last, dtype):
    plain = layer_for(shape, dtype)
    ghost = ghost_batch_norm(copy.deepcopy(plain), 8, updates)
    inputs = values(shape, examples, dtype)
    if last:
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    assert ghost(inputs).stride() == inputs.stride()
    exact = compare(ghost, plain, inputs, 8, EXACT[dtype])
    if updates == "chunk":  # the comparison was the second pass of the ghost
        exact = copy.deepcopy(plain).double()
        for _ in range(2):
            chunk_by_chunk(exact, inputs.double(), 8)
        for name, buffer in exact.named_buffers():
            assert torch.allclose(getattr(ghost, name).to(buffer), buffer, rtol=EXACT[dtype], atol=EXACT[dtype])


@pytest.mark.parametrize("inputs", ["transposed", "every second channel", "empty strides"])
def test_inputs_may_lie_in_memory_in_any_way(inputs):
    whole = values((8, 6, 5), 12)
    given = {
        "transposed": whole.transpose(2, 3),
        "every second channel": whole[:, ::2],
        "empty strides": whole[:, :1].expand(-1, 4, -1, -1),
    }[inputs]
    plain = layer_for((given.shape[1], 6, 5))
    compare(ghost_batch_norm(copy.deepcopy(plain), 4), plain, given, 4, 1e-12)


@pytest.mark.parametrize("last", [False, True], ids=["contiguous", "channels-last"])
@pytest.mark.parametrize("examples", [256, 250])
def test_many_positions_are_as_exact_as_batch_norm(examples, last):
    """Sums over tens of thousands of values far from 0, against the error of BatchNorm itself in float32."""
    inputs = 5 + values((8, 16, 16), examples, torch.float32)
    inputs = inputs.contiguous(memory_format=torch.channels_last) if last else inputs
    plain = layer_for((8, 16, 16), torch.float32)
    ghost, exact = ghost_batch_norm(copy.deepcopy(plain), 64), copy.deepcopy(plain).double()
    gradient = values((8, 16, 16), examples, torch.float32, seed=1)
    expected = passes(lambda x: chunk_by_chunk(exact, x, 64), exact, inputs.double(), gradient.double())
    found = passes(ghost, ghost, inputs, gradient)
    theirs = passes(lambda x: chunk_by_chunk(plain, x, 64), plain, inputs, gradient)
    for mine, other, right in zip(found, theirs, expected, strict=True):
        rounding = torch.finfo(torch.float32).eps * right.abs().max()
        assert (mine - right).abs().max() <= 6 * (other - right).abs().max() + 4 * rounding


@pytest.mark.parametrize("last", [False, True], ids=["contiguous", "channels-last"])
@pytest.mark.parametrize(
    ("shape", "examples", "size"), [((8, 8, 8), 57, 16), ((8, 16, 16), 256, 64), ((16, 16, 16), 230, 64)]
)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_rounded_once_and_in_no_direction(dtype, shape, examples, size, last):
    inputs = values(shape, examples, dtype)
    inputs = inputs.contiguous(memory_format=torch.channels_last) if last else inputs
    plain = layer_for(shape, torch.float32)
    ghost, exact = ghost_batch_norm(copy.deepcopy(plain), size), copy.deepcopy(plain).double()
    gradient = values(shape, examples, dtype, seed=1)
    expected = passes(lambda x: chunk_by_chunk(exact, x, size), exact, inputs.double(), gradient.double())
    found = passes(ghost, ghost, inputs, gradient)
    assert [each.dtype for each in found] == [dtype, dtype, torch.float32, torch.float32]
    rounding = torch.finfo(dtype).eps
    for mine, right in zip(found[:2], expected[:2], strict=True):
        assert (mine - right).abs().max() <= 2 * rounding * right.abs().max()
        assert (mine - right).square().mean().sqrt() <= rounding * right.square().mean().sqrt()
        assert (mine - right).mean((0, 2, 3)).abs().max() <= 0.05 * rounding  # it would add up over positions
    for mine, right in zip(found[2:], expected[2:], strict=True):
        assert (mine - right).abs().max() <= rounding * right.abs().max()
    assert torch.allclose(ghost.running_mean.double(), _averages(plain, inputs, size)[0], atol=1e-5)


def _averages(layer, inputs, size):
    """The running averages after one update a step, by hand."""
    chunks = inputs.double().split(size)
    shares = torch.tensor([len(chunk) / len(inputs) for chunk in chunks], dtype=torch.float64)
    found = []
    for running, of in ((layer.running_mean, torch.mean), (layer.running_var, torch.var)):
        each = torch.stack([of(chunk.movedim(1, 0).flatten(1), 1) for chunk in chunks])
        found.append(running.double() + layer.momentum * (shares @ each - running.double()))
    return found


@pytest.mark.parametrize("examples", [24, 21])
def test_averages_move_once_a_step_by_the_mean_over_ghost_batches(examples):
    plain = layer_for((4, 3, 3))
    ghost = ghost_batch_norm(copy.deepcopy(plain), 8)
    inputs = values((4, 3, 3), examples)
    ghost(inputs)
    mean, variance = _averages(plain, inputs, 8)
    assert torch.allclose(ghost.running_mean, mean, rtol=1e-12)
    assert torch.allclose(ghost.running_var, variance, rtol=1e-12)
    assert ghost.num_batches_tracked == 1


@pytest.mark.parametrize("updates", ["step", "chunk"])
def test_without_momentum_the_averages_are_plain_ones(updates):
    plain = layer_for((4, 3, 3), momentum=None)
    ghost = ghost_batch_norm(copy.deepcopy(plain), 8, updates)
    batches = [values((4, 3, 3), 24, seed=seed) for seed in range(3)]
    for inputs in batches:
        ghost(inputs)
        chunk_by_chunk(plain, inputs, 8)
    assert ghost.num_batches_tracked == {"step": 3, "chunk": 9}[updates]
    # Of chunks of one size the mean of the steps' means is the mean of the chunks.
    assert torch.allclose(ghost.running_mean, plain.running_mean, rtol=1e-12)
    assert torch.allclose(ghost.running_var, plain.running_var, rtol=1e-12)


def test_a_step_of_one_ghost_batch_is_one_of_batch_norm():
    plain = layer_for((4, 3, 3))
    ghost = ghost_batch_norm(copy.deepcopy(plain), 24)
    inputs = values((4, 3, 3), 24)
    assert torch.equal(ghost(inputs), plain(inputs))
    for name, buffer in plain.named_buffers():
        assert torch.equal(getattr(ghost, name), buffer)


@pytest.mark.parametrize("options", [{}, {"affine": False}, {"track_running_stats": False}], ids=str)
def test_evaluation_is_that_of_batch_norm(options):
    plain = layer_for((4, 3, 3), **options)
    ghost = ghost_batch_norm(copy.deepcopy(plain), 8)
    ghost.eval()
    plain.eval()
    inputs = values((4, 3, 3), 5)
    assert torch.equal(ghost(inputs), plain(inputs))


def test_a_layer_without_gains_has_gradients_too():
    plain = nn.BatchNorm2d(4, affine=False).double()
    compare(ghost_batch_norm(copy.deepcopy(plain), 8), plain, values((4, 3, 3), 20), 8, 1e-12)


def test_a_last_chunk_of_one_value_is_joined_with_the_one_before():
    layer = GhostBatchNorm1d(5, 8, dtype=torch.float64)
    inputs = values((5,), 17)
    plain = nn.BatchNorm1d(5, dtype=torch.float64)
    expected = torch.cat([plain(inputs[:8]), plain(inputs[8:])])
    assert torch.allclose(layer(inputs), expected, rtol=1e-12)
    images = GhostBatchNorm2d(5, 8)  # with several positions one example has a variance
    assert images(torch.randn(17, 5, 2, 2))[16:].mean((0, 2, 3)).abs().max() < 1e-6


def test_what_follows_may_work_in_place():
    network = ghost_batch_norm(nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(inplace=True)), 8)
    for inputs in (torch.randn(24, 4, 3, 3), torch.randn(21, 4, 3, 3).contiguous(memory_format=torch.channels_last)):
        inputs.requires_grad_()
        outputs = network(inputs)
        (gradient,) = torch.autograd.grad(outputs.square().sum(), inputs)
        assert gradient.abs().sum() > 0


def test_autocast_leaves_type_and_layout():
    network = ghost_batch_norm(CifarResNet(8), 4).to(memory_format=torch.channels_last)
    seen = []
    for layer in network.modules():
        if isinstance(layer, GhostBatchNorm):
            layer.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output)))
    with torch.autocast("cpu", torch.bfloat16):
        network(torch.randn(8, 3, 32, 32).contiguous(memory_format=torch.channels_last)).sum().backward()
    assert seen
    for given, found in seen:
        assert found.dtype == given.dtype == torch.bfloat16
        assert found.is_contiguous(memory_format=torch.channels_last)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("examples", [32, 27])
def test_a_compiler_sees_the_same_function(examples):
    network = ghost_batch_norm(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True)), 8)
    other = copy.deepcopy(network)
    compiled = torch.compile(other, backend="aot_eager", dynamic=False, fullgraph=True)
    inputs = torch.randn(examples, 3, 8, 8)
    first, second = network(inputs), compiled(inputs)
    assert torch.allclose(first, second, atol=1e-6)
    for outputs in (first, second):
        outputs.square().sum().backward()
    for one, two in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.allclose(one.grad, two.grad, rtol=1e-5, atol=1e-3)
    for one, two in zip(network.buffers(), other.buffers(), strict=True):
        assert torch.allclose(one, two)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_in_bfloat16_it_is_as_exact_as_batchnorm_also_far_from_zero(layout, images):
    """A residual stream moves away from 0; moments taken in bfloat16 would lose its variance, and training runs away."""
    generator = torch.Generator().manual_seed(0)
    shift = 30 * torch.randn(1, 16, 1, 1, generator=generator)
    stream = (torch.randn(64, 16, 32, 32, generator=generator) + shift).bfloat16().contiguous(memory_format=layout)
    gradient = torch.randn(64, 16, 32, 32, generator=generator).bfloat16().contiguous(memory_format=layout)

    exact = stream.double().requires_grad_()
    torch.cat([batch_norm(part, None, None, training=True) for part in exact.split(16)]).backward(gradient.double())
    inputs = stream.clone().requires_grad_()
    GhostBatchNorm2d(16, 16)(inputs).backward(gradient)
    assert images == ([False] if layout == torch.channels_last else [])  # what one call gives is left aside
    error = (inputs.grad.double() - exact.grad).norm() / exact.grad.norm()
    assert error < 2.0**-9  # half a unit in the last place of 8 bits


@pytest.mark.parametrize("offset", [0.0, 1.0, 3.0, 7.5])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_statistics_of_many_positions_are_as_exact_as_batchnorms(dtype, offset, images):
    """128 x 32 x 32 positions: mean(x²) - μ² would be off by per cents where the mean is several deviations from 0."""
    generator = torch.Generator().manual_seed(0)
    stream = (torch.randn(256, 4, 32, 32, generator=generator) + offset).to(dtype)
    stream = stream.contiguous(memory_format=torch.channels_last)
    ghost, plain = GhostBatchNorm2d(4, 128, momentum=1.0), nn.BatchNorm2d(4, momentum=1.0)
    outputs = ghost(stream)
    plain(stream[:128])
    plain(stream[128:])
    parts = stream.double().view(2, 128, 4, 32, 32)
    variance = parts.var((1, 3, 4))
    theirs = (plain.running_var.double() / variance[1] - 1).abs().max()
    assert (ghost.running_var.double() / variance.mean(0) - 1).abs().max() <= 3 * theirs + 3e-4
    exact = (parts - parts.mean((1, 3, 4), keepdim=True)) * (variance + 1e-5)[:, None, :, None, None].rsqrt()
    exact = exact.view(256, 4, 32, 32)
    rounding = (exact.to(dtype).double() - exact).square().mean().sqrt()
    assert (outputs.double() - exact).square().mean().sqrt() <= 1.1 * rounding
    assert images == [offset < 2]


def rows_of(shape, examples, dtype, seed=0):
    """Inputs in rows of channels: vectors, or images in channels-last layout."""
    inputs = values(shape, examples, dtype, seed)
    return inputs.contiguous(memory_format=torch.channels_last) if len(shape) == 3 else inputs


@pytest.fixture
def images(monkeypatch):
    """Whether GroupNorm's outputs were taken, for each run of equal ghost batches that was put to it."""
    seen = []
    whole = ghost_kernels._forward_images

    def noted(*given):
        found = whole(*given)
        seen.append(found is not None)
        return found

    monkeypatch.setattr(ghost_kernels, "_forward_images", noted)
    return seen


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("examples", [24, 21])
@pytest.mark.parametrize("shape", [(5,), (16,), (4, 6, 5), (16, 4, 4)], ids=str)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_as_an_image_a_ghost_batch_is_a_batch_of_batchnorm(dtype, shape, examples, affine, images, monkeypatch):
    monkeypatch.setattr(ghost_kernels, "LARGE", 0)
    plain = layer_for(shape, torch.float32, affine=affine)
    ghost = ghost_batch_norm(copy.deepcopy(plain), 8, "chunk")
    inputs, gradient = (rows_of(shape, examples, dtype, seed) for seed in (0, 1))
    found = passes(ghost, ghost, inputs, gradient)
    assert images == [True] * (1 if examples == 24 else 2)
    expected = passes(lambda x: chunk_by_chunk(plain, x, 8), plain, inputs, gradient)
    assert found[0].stride() == found[1].stride() == inputs.stride()
    for mine, theirs in zip(found[:2], expected[:2], strict=True):
        assert mine.dtype == theirs.dtype == dtype
        # Equal but for the last bit of 1/√(σ² + ε), which now and then turns a rounding.
        assert torch.allclose(mine, theirs, rtol=torch.finfo(dtype).eps, atol=1e-6)
    for mine, theirs in zip(found[2:], expected[2:], strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-5, atol=1e-5)
    for name, buffer in plain.named_buffers():
        assert torch.allclose(getattr(ghost, name), buffer, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("shape", "size"), [((64,), 512), ((16, 16, 16), 8)], ids=str)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_only_large_ghost_batches_in_rows_are_taken_as_images(dtype, shape, size, images):
    """`size` examples are as many values as the limit, and one less is less; both sides against float64."""
    half = dtype == torch.bfloat16
    for each, large in ((size, half), (size - 1, False)):
        images.clear()
        plain = layer_for(shape, torch.promote_types(dtype, torch.float32))
        ghost, exact = ghost_batch_norm(copy.deepcopy(plain), each), copy.deepcopy(plain).double()
        inputs, gradient = (rows_of(shape, 3 * each, dtype, seed) for seed in (0, 1))
        found = passes(ghost, ghost, inputs, gradient)
        expected = passes(
            lambda x, each=each, exact=exact: chunk_by_chunk(exact, x, each), exact, inputs.double(), gradient.double()
        )
        assert images == [True] * large
        for number, (mine, right) in enumerate(zip(found, expected, strict=True)):
            tolerance = EXACT.get(dtype, torch.finfo(dtype).eps if number < 2 else 1e-5)
            assert (mine - right).abs().max() <= tolerance * right.abs().max().clamp(min=1)
        mean, variance = _averages(plain, inputs, each)
        assert torch.allclose(ghost.running_mean.double(), mean, rtol=1e-6, atol=1e-6)
        assert torch.allclose(ghost.running_var.double(), variance, rtol=1e-6, atol=1e-6)
    planes = values((16, 16, 16), 24, dtype)
    images.clear()
    GhostBatchNorm2d(16, 8, dtype=torch.promote_types(dtype, torch.float32))(planes)
    assert not images


@pytest.mark.parametrize("limit", [0, ghost_kernels.LARGE])
def test_variances_far_below_epsilon_and_constant_channels_are_exact(limit, monkeypatch):
    """Taken back from 1/√(σ² + ε) a variance of 1e-10 would be all rounding."""
    monkeypatch.setattr(ghost_kernels, "LARGE", limit)
    inputs = (1e-5 * values((4, 6, 5), 24)).bfloat16().contiguous(memory_format=torch.channels_last)
    inputs[:, 3] = 5.25
    layer = GhostBatchNorm2d(4, 8, momentum=1.0)
    outputs = layer(inputs)
    parts = inputs.double().view(3, 8, 4, 6, 5)
    assert torch.allclose(layer.running_var.double(), parts.var((1, 3, 4)).mean(0), rtol=1e-6, atol=0)
    assert outputs[:, 3].abs().max() < 1e-3


@pytest.mark.parametrize("limit", [0, ghost_kernels.LARGE])
def test_gradients_where_they_are_wanted_and_no_second_ones(limit, monkeypatch):
    monkeypatch.setattr(ghost_kernels, "LARGE", limit)
    layer = GhostBatchNorm2d(4, 8)
    inputs = rows_of((4, 6, 5), 21, torch.bfloat16)
    with torch.inference_mode():
        first = layer(inputs)
    outputs = layer(inputs)
    assert torch.equal(first, outputs)
    outputs.sum().backward()
    assert layer.weight.grad is not None
    assert not layer.requires_grad_(False)(inputs).requires_grad

    inputs.requires_grad_()
    (gradient,) = torch.autograd.grad(layer(inputs).float().square().sum(), inputs, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
