"""Products against dense matrices in float64, and what refuses to be differentiated twice."""

import copy

import pytest
import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.func import functional_call
from torch.nn.functional import cross_entropy, mse_loss

from bsgap.errors import UsageError
from bsgap.measures import curvature
from bsgap.networks import CifarResNet, LSTMLanguageModel, ghost_batch_norm

MATRICES = ["hessian", "gauss-newton"]


def dense(model, inputs, targets, loss=cross_entropy, matrix="hessian"):
    """The matrix of all examples as one batch, by torch.func."""
    state = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    sizes = [p.numel() for p in state.values()]

    def outputs(vector):
        pieces = [piece.view(p.shape) for piece, p in zip(vector.split(sizes), state.values(), strict=True)]
        return functional_call(model, dict(zip(state, pieces, strict=True)), (inputs,))

    at = torch.cat([p.reshape(-1) for p in state.values()])
    if matrix == "hessian":
        return torch.autograd.functional.hessian(lambda vector: loss(outputs(vector), targets), at)
    z = outputs(at)
    jacobian = torch.autograd.functional.jacobian(outputs, at).reshape(z.numel(), -1)
    bend = torch.autograd.functional.hessian(lambda z: loss(z, targets), z).reshape(z.numel(), z.numel())
    return jacobian.T @ bend @ jacobian


def probes(n):
    return torch.randn(3, n, dtype=torch.float64, generator=torch.Generator().manual_seed(8))


def formed(model, batches, loss=cross_entropy, **options):
    """Products with three random vectors, as rows: those of the dense matrix are `probes(n) @ matrix`."""
    with curvature(model, batches, loss=loss, **options) as product:
        found = torch.stack([product(row) for row in probes(product.size).to(product.dtype)])
        assert product.products == 3
    return found


def expected(*arguments, **options):
    exact = dense(*arguments, **options)
    return probes(len(exact)) @ exact


@pytest.fixture
def double(small):
    """A network in float64, and its data."""
    network, inputs, targets = small
    return network().double(), inputs.double(), targets


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("sizes", [[10], [8, 2], [3, 4, 3], [1, 9]])
def test_products_are_those_of_the_dense_matrix_however_the_batches_are_cut(double, ragged, snapshot, matrix, sizes):
    model, inputs, targets = double
    before = snapshot(model)
    found = formed(model, ragged(inputs, targets, sizes), matrix=matrix)
    before.check()
    torch.testing.assert_close(found, expected(model, inputs, targets, matrix=matrix), rtol=1e-10, atol=1e-13)


def test_unweighted_batches_would_be_wrong(double, ragged):
    model, inputs, targets = double
    exact = expected(model, inputs, targets)
    plain = (expected(model, inputs[:8], targets[:8]) + expected(model, inputs[8:], targets[8:])) / 2
    assert (plain - exact).norm() > 0.05 * exact.norm()
    assert (formed(model, ragged(inputs, targets, [8, 2])) - exact).norm() < 1e-12 * exact.norm()


@pytest.mark.parametrize("matrix", MATRICES)
def test_other_losses(double, ragged, matrix):
    model, inputs, _ = double
    aims = torch.randn(10, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def quartic(outputs, targets):
        return ((outputs - targets) ** 4).mean()

    for loss in (mse_loss, quartic):
        found = formed(model, ragged(inputs, aims, [8, 2]), loss=loss, matrix=matrix)
        torch.testing.assert_close(found, expected(model, inputs, aims, loss, matrix), rtol=1e-10, atol=1e-13)


def test_gauss_newton_is_the_hessian_of_a_linear_network_and_has_no_negative_eigenvalue(double):
    model, inputs, targets = double
    line = nn.Linear(4, 3).double()
    one, other = (formed(line, [(inputs, targets)], matrix=matrix) for matrix in MATRICES)
    torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-14)
    with curvature(model, [(inputs, targets)], loss=cross_entropy, matrix="gauss-newton") as product:
        matrix = torch.stack([product(row) for row in torch.eye(product.size).double()])
    assert torch.linalg.eigvalsh(matrix)[0] > -1e-12
    assert torch.linalg.eigvalsh(dense(model, inputs, targets))[0] < -1e-2


@pytest.mark.parametrize("matrix", MATRICES)
def test_a_loss_that_is_linear_in_the_outputs(double, matrix):
    model, inputs, targets = double
    found = formed(model, [(inputs, targets)], loss=lambda outputs, _: outputs.mean(), matrix=matrix)
    assert bool(found.any()) == (matrix == "hessian")
    assert not formed(nn.Linear(4, 3), [(inputs.float(), targets)], loss=lambda z, _: z.mean(), matrix=matrix).any()


@pytest.mark.parametrize("matrix", MATRICES)
def test_shared_parameters_count_once_frozen_and_unused_ones_do_not_move(matrix):
    torch.manual_seed(0)

    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second, self.idle = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(1, 1)
            self.second.weight = self.first.weight
            self.first.bias.requires_grad_(False)

        def forward(self, x):
            return self.second(torch.tanh(self.first(x)))

    model = Shared().double()
    inputs, targets = torch.randn(7, 3).double(), torch.randint(0, 3, (7,))
    found = formed(model, [(inputs[:5], targets[:5]), (inputs[5:], targets[5:])], matrix=matrix)
    assert found.shape == (3, 9 + 3 + 2)
    assert not found[:, -2:].any()
    twin = copy.deepcopy(model)
    twin.idle.requires_grad_(False)
    exact = dense(twin, inputs, targets, matrix=matrix)
    torch.testing.assert_close(found[:, :-2], probes(14)[:, :-2] @ exact, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("statistics", ["running", "batch", "recomputed"])
@pytest.mark.parametrize("ghosts", [None, 4])
def test_batch_norm_in_every_mode(small, snapshot, matrix, statistics, ghosts):
    network, inputs, targets = small
    model = network(norm=True).double()
    inputs = inputs.double()
    if ghosts:
        ghost_batch_norm(model, ghosts)
    before = snapshot(model)
    found = formed(model, [(inputs, targets)], matrix=matrix, statistics=statistics)
    before.check()
    twin = network(norm=True).double()
    norm = twin[1]
    if statistics == "batch":
        norm.train()
        norm.track_running_stats, norm.running_mean, norm.running_var = False, None, None
    else:
        twin.eval()
        if statistics == "recomputed":  # over ghost batches of 4, 4 and 2, weighted by example
            z = twin[0](inputs).detach()
            parts = z.split(ghosts or 10)
            means, variances = ([f(part) for part in parts] for f in (lambda p: p.mean(0), lambda p: p.var(0)))
            weights = torch.tensor([len(part) / 10 for part in parts], dtype=torch.float64)
            norm.running_mean, norm.running_var = weights @ torch.stack(means), weights @ torch.stack(variances)
    torch.testing.assert_close(found, expected(twin, inputs, targets, matrix=matrix), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("matrix", MATRICES)
def test_lstm_with_outputs_that_are_a_tuple(matrix):
    torch.manual_seed(0)
    model = LSTMLanguageModel(5, embedding=3, hidden=3, layers=2, dropout=0.3, tied=True).double()
    tokens, targets = torch.randint(0, 5, (2, 4, 6))

    def loss(outputs, targets):
        return cross_entropy(outputs[0].flatten(0, 1), targets.flatten())

    found = formed(model, [(tokens[:3], targets[:3]), (tokens[3:], targets[3:])], loss=loss, matrix=matrix)

    class Logits(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = copy.deepcopy(model).eval()

        def forward(self, tokens):
            return self.network(tokens)[0]

    exact = expected(Logits(), tokens, targets, lambda z, t: loss((z,), t), matrix)
    torch.testing.assert_close(found, exact, rtol=1e-9, atol=1e-12)


def test_attention_is_computed_by_operations_with_a_second_derivative():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True).double()
    model = nn.Sequential(layer, nn.Flatten(), nn.Linear(24, 3).double())
    inputs, targets = torch.randn(5, 3, 8).double(), torch.randint(0, 3, (5,))
    with curvature(model, [(inputs, targets)], loss=cross_entropy) as product:
        one, other = torch.randn(2, product.size).double()
        torch.testing.assert_close(product(one) @ other, product(other) @ one)


def test_float64_on_request_for_a_network_in_float32(small, ragged):
    network, inputs, targets = small
    model = network()
    exact = expected(copy.deepcopy(model).double(), inputs.double(), targets)
    batches = ragged(inputs, targets, [1] * 10)
    plain, double = (formed(model, batches, double=double) for double in (False, True))
    assert (plain.dtype, double.dtype) == (torch.float32, torch.float64)
    assert (double - exact).norm() <= (plain - exact).norm() < 1e-6 * exact.norm()


def test_state_of_its_own_is_left_alone_also_after_an_error(unusual, small, snapshot):
    _, inputs, targets = small
    before = snapshot(unusual)
    with curvature(unusual, [(inputs, targets)], loss=cross_entropy, statistics="batch") as product:
        product(torch.ones(product.size))
    before.check()
    with pytest.raises(UsageError, match="matrix must be one of hessian, gauss-newton, got 'fisher'"):
        formed(unusual, [(inputs, targets)], matrix="fisher")
    with pytest.raises(UsageError, match="the loss is nan at the start"):
        formed(unusual, [(inputs * torch.nan, targets)])
    before.check()


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        return 2 * ctx.saved_tensors[0] * gradient


class Squares(nn.Module):
    def forward(self, x):
        return Doubled.apply(x)


@pytest.mark.parametrize("matrix", MATRICES)
def test_what_cannot_be_differentiated_twice_is_said_in_one_line(small, snapshot, matrix):
    _, inputs, targets = small
    model = nn.Sequential(nn.Linear(4, 3), Squares(), nn.Linear(3, 3))
    before = snapshot(model)
    with pytest.raises(
        UsageError, match=r"cannot be differentiated twice: Doubled is marked with @once_diff"
    ) as caught:
        formed(model, [(inputs, targets)], matrix=matrix)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="cannot be differentiated twice: Doubled"):
        formed(model[:2], [(inputs, targets)], loss=lambda outputs, _: outputs.mean(), matrix=matrix)
    before.check()


def test_operations_without_a_second_derivative_are_named(small):
    _, inputs, targets = small

    class Spaced(nn.Module):
        def forward(self, x):
            return torch.cdist(x, torch.eye(3), p=1.5)

    model = nn.Sequential(nn.Linear(4, 3), Spaced())
    with pytest.raises(UsageError, match=r"cannot be differentiated twice: .*not implemented.* Replace it"):
        formed(model, [(inputs, targets)])


def test_an_infinite_second_derivative_is_named(small):
    _, inputs, targets = small

    class Root(nn.Module):
        def forward(self, x):
            return x.abs() ** 1.5

    model = nn.Sequential(nn.Linear(4, 3), Root())
    nn.init.zeros_(model[0].weight)
    nn.init.zeros_(model[0].bias)
    with pytest.raises(UsageError, match=r"the curvature is not finite although the loss, 1\.09861, is"):
        formed(model, [(inputs, targets)])


def test_dropout_by_hand_is_caught_first(small):
    _, inputs, targets = small

    class Noisy(nn.Linear):
        def forward(self, x):
            return super().forward(x) * torch.rand(3)

    with pytest.raises(UsageError, match=r"the loss is not deterministic.*use nn.Dropout or dropout.*augment the data"):
        formed(Noisy(4, 3), [(inputs, targets)])


def test_ghost_batch_norm_of_a_whole_network_takes_its_composed_form(small):
    torch.manual_seed(0)
    model = ghost_batch_norm(CifarResNet(8, in_shape=(1, 8, 8)), 4).train()
    batches = [(torch.randn(8, 1, 8, 8), torch.arange(8))]
    for statistics in ("running", "batch", "recomputed"):
        with curvature(model, batches, loss=cross_entropy, statistics=statistics) as product:
            one, other = torch.randn(2, product.size)
            torch.testing.assert_close(product(one) @ other, product(other) @ one, rtol=2e-3, atol=1e-3)
