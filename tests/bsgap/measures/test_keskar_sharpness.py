import itertools
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, vmap
from torch.nn.functional import cross_entropy, dropout

from bsgap.errors import UsageError
from bsgap.measures import evaluate, keskar_sharpness
from bsgap.measures.boxes import FullBox

MAXIMISERS = ("lbfgsb", "sign")


class Coordinates(nn.Module):
    """Outputs x_i·a_i for inputs a, so that a squared error is a separable quadratic in x."""

    def __init__(self, values):
        super().__init__()
        self.x = nn.Parameter(torch.tensor(values, dtype=torch.float64))

    def forward(self, inputs):
        return inputs * self.x


def half_square(outputs, targets):
    return 0.5 * (outputs - targets).square().sum(1).mean()


@pytest.fixture
def quadratic():
    """A model at x, batches, and h, c with f(x) = Σ_i ½·h_i·(x_i - c_i)² + a constant."""
    draws = np.random.default_rng(0)
    inputs, targets = draws.normal(size=(7, 5)), draws.normal(size=(7, 5))
    model = Coordinates([0.3, -1.2, 0.0, 2.0, -0.4])
    h = (inputs**2).mean(0)
    c = (inputs * targets).mean(0) / h
    pairs = [(torch.tensor(inputs[a:b]), torch.tensor(targets[a:b])) for a, b in ((0, 3), (3, 7))]
    return model, pairs, h, c


@pytest.mark.parametrize("maximiser", MAXIMISERS)
@pytest.mark.parametrize("epsilon", [1e-3, 0.05])
def test_quadratic_has_its_known_maximum_over_the_box(quadratic, maximiser, epsilon):
    model, batches, h, c = quadratic
    x = model.x.detach().numpy().copy()
    width = epsilon * (np.abs(x) + 1)
    rise = (0.5 * h * ((np.abs(x - c) + width) ** 2 - (x - c) ** 2)).sum()  # every coordinate away from c_i
    found = keskar_sharpness(model, batches, loss=half_square, epsilon=epsilon, maximiser=maximiser)
    start = evaluate(model, batches, loss=half_square).loss
    assert found.start_loss == pytest.approx(start, rel=1e-12)
    assert found.max_loss == pytest.approx(start + rise, rel=1e-12)
    assert found.value == pytest.approx(100 * rise / (1 + start), rel=1e-9)
    assert found.share_at_bound == 1
    assert found.converged
    assert found.examples == 7


@pytest.mark.parametrize("maximiser", MAXIMISERS)
@pytest.mark.parametrize("scaling", ["normal", "unit"])
def test_linear_function_in_a_subspace(maximiser, scaling):
    """max over |y| <= w of g·Ay is Σ_j w_j·|(Aᵀg)_j|; A is found by placing the unit vectors, A⁺ by numpy."""
    from bsgap.measures.boxes import SubspaceBox

    x = torch.linspace(-2, 3, 9, dtype=torch.float64)
    model = Coordinates(x.tolist())
    g = torch.linspace(1, -2, 9, dtype=torch.float64)
    box = SubspaceBox(x, 1e-2, 4, scaling, seed=5)
    columns = []
    for unit in torch.eye(4, dtype=torch.float64):
        place = torch.empty_like(x)
        box.place(unit, place)
        columns.append(place - x)
    matrix = torch.stack(columns, 1).numpy()
    width = 1e-2 * (np.abs(np.linalg.pinv(matrix) @ x.numpy()) + 1)
    rise = (width * np.abs(matrix.T @ g.numpy())).sum()

    found = keskar_sharpness(
        model, [(g.expand(3, -1), torch.zeros(3, 9))], loss=lambda outputs, _: outputs.sum(1).mean() + 50,
        epsilon=1e-2, subspace=4, scaling=scaling, maximiser=maximiser, seed=5,
    )  # fmt: skip
    assert found.max_loss - found.start_loss == pytest.approx(rise, rel=1e-9)
    assert (found.subspace, found.scaling, found.seed) == (4, scaling, 5)


def vertex_maximum(model, inputs, targets, epsilon):
    """Largest loss over all 2^n vertices, by brute force in float64."""
    parameters = {name: p.detach().double() for name, p in model.named_parameters()}
    flat = torch.cat([p.flatten() for p in parameters.values()])
    signs = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=len(flat))), dtype=torch.float64)
    points = flat + signs * epsilon * (flat.abs() + 1)
    sizes = [p.numel() for p in parameters.values()]

    def loss(point):
        pieces = {
            name: piece.view(p.shape) for (name, p), piece in zip(parameters.items(), point.split(sizes), strict=True)
        }
        return cross_entropy(functional_call(model, pieces, inputs.double()), targets)

    return vmap(loss)(points).max().item()


# Over large boxes the loss of a tiny network has many peaks (the mean of ten vertices is 0.95 of the maximum).
@pytest.mark.parametrize(("epsilon", "iterations", "share"), [(1e-3, 10, 0.98), (0.1, 40, 0.9), (0.5, 40, 0.9)])
@pytest.mark.parametrize("seed", range(4))
def test_sign_ascent_against_brute_force_over_all_vertices(seed, epsilon, iterations, share):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2))  # 12 parameters, 4096 vertices
    inputs = torch.randn(40, 2)
    targets = (inputs[:, 0] * inputs[:, 1] > 0).long()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        cross_entropy(model(inputs), targets).backward()
        optimizer.step()
    brute = vertex_maximum(model, inputs, targets, epsilon)
    found = keskar_sharpness(model, [(inputs, targets)], epsilon=epsilon, maximiser="sign", iterations=iterations)
    assert found.max_loss <= brute * (1 + 1e-5)  # all that it visits are vertices
    assert found.max_loss - found.start_loss >= share * (brute - found.start_loss)


def test_sign_ascent_does_not_measure_the_maximiser_at_a_low_loss(trained, digits):
    model = trained(epochs=150)
    start = evaluate(model, [digits]).loss
    assert start < 1e-3
    weak = keskar_sharpness(model, [digits], epsilon=5e-3)
    strong = keskar_sharpness(model, [digits], epsilon=5e-3, maximiser="sign")
    assert weak.start_loss == strong.start_loss == pytest.approx(start, rel=1e-6)
    assert strong.value > 5 * weak.value
    assert weak.share_at_bound < 0.1
    blank = (digits[0] == 0).all(0).float().mean().item()  # weights of pixels that are never lit have no gradient
    assert strong.share_at_bound > 0.5 * (1 - blank)


@pytest.mark.parametrize("maximiser", MAXIMISERS)
@pytest.mark.parametrize("norm", [False, True], ids=["no-norm", "running"])
def test_split_into_batches_does_not_matter(small, ragged, maximiser, norm):
    network, inputs, targets = small
    values = [
        keskar_sharpness(network(norm), ragged(inputs, targets, sizes), maximiser=maximiser, epsilon=1e-2).value
        for sizes in ([10], [8, 2], [3, 3, 3, 1], [1] * 10)
    ]
    np.testing.assert_allclose(values, values[0], rtol=1e-4)


def test_batch_statistics_depend_on_the_split_and_are_said(small, ragged):
    network, inputs, targets = small
    whole, parts = (
        keskar_sharpness(network(norm=True), ragged(inputs, targets, sizes), statistics="batch")
        for sizes in ([10], [5, 5])
    )
    assert abs(whole.start_loss - parts.start_loss) > 1e-3
    assert whole.statistics == "batch"


def test_recomputed_statistics_are_those_at_the_centre(small):
    """With one batch they give the start loss of `batch`; over the box they stay, so the maximum is another."""
    network, inputs, targets = small
    batches = [(inputs, targets)]
    recomputed, batch = (
        keskar_sharpness(network(norm=True).double(), [(x.double(), y) for x, y in batches], statistics=mode)
        for mode in ("recomputed", "batch")
    )
    # An unbiased variance against a biased one: the batch has 10 examples.
    assert recomputed.start_loss == pytest.approx(batch.start_loss, abs=0.05)
    assert recomputed.max_loss != batch.max_loss


@pytest.mark.parametrize("maximiser", MAXIMISERS)
@pytest.mark.parametrize("subspace", [None, 3])
@pytest.mark.parametrize("statistics", ["batch", "running", "recomputed"])
def test_leaves_everything_as_it_was(unusual, small, snapshot, maximiser, subspace, statistics):
    _, inputs, targets = small
    before = snapshot(unusual)
    keskar_sharpness(
        unusual, [(inputs, targets)], maximiser=maximiser, subspace=subspace, statistics=statistics, iterations=3
    )
    before.check()


@pytest.mark.parametrize("call", [1, 2, 3, 4])
@pytest.mark.parametrize("statistics", ["batch", "running", "recomputed"])
def test_leaves_everything_as_it_was_after_an_error(unusual, small, snapshot, statistics, call):
    _, inputs, targets = small
    calls = itertools.count(1)

    def fail(module, arguments):
        if next(calls) == call:
            raise RuntimeError("no more")

    with unusual[4].register_forward_pre_hook(fail):
        before = snapshot(unusual)
        with pytest.raises(RuntimeError, match="no more"):
            keskar_sharpness(unusual, [(inputs, targets)], statistics=statistics)
    before.check()


def test_frozen_parameters_stay_and_tied_ones_count_once(small):
    _, inputs, targets = small
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Tanh(), nn.Linear(4, 4, bias=False), nn.Linear(4, 3))
    model[2].weight = model[0].weight
    model[3].bias.requires_grad_(False)
    frozen, weight = model[3].bias.detach().clone(), model[0].weight.detach().clone()
    seen = []

    def look(module, arguments):
        assert torch.equal(module[3].bias, frozen)
        assert torch.equal(module[0].weight, module[2].weight)
        seen.append((module[0].weight.detach() - weight).abs().max().item())

    with model.register_forward_pre_hook(look):
        found = keskar_sharpness(model, [(inputs, targets)], maximiser="sign", epsilon=1e-2)
    assert max(seen) == pytest.approx(1e-2 * (weight.abs().max().item() + 1), rel=1e-4)

    class Free(nn.Module):
        """The same function of one matrix."""

        def __init__(self):
            super().__init__()
            self.tied, self.last = nn.Parameter(weight.clone()), nn.Parameter(model[3].weight.detach().clone())

        def forward(self, x):
            return torch.tanh(x @ self.tied.T) @ self.tied.T @ self.last.T + frozen

    free = keskar_sharpness(Free(), [(inputs, targets)], maximiser="sign", epsilon=1e-2)
    assert found.value == pytest.approx(free.value, rel=1e-4)


def test_parameters_that_the_loss_does_not_use(small):
    network, inputs, targets = small
    used = network()
    model = nn.ModuleDict({"used": used, "unused": nn.Linear(3, 3)})
    model.forward = lambda x: used(x)
    expected = keskar_sharpness(used, [(inputs, targets)])
    assert keskar_sharpness(model, [(inputs, targets)]).value == pytest.approx(expected.value, rel=1e-5)


@pytest.mark.parametrize("maximiser", MAXIMISERS)
def test_evaluations_are_the_passes_over_the_data(small, ragged, maximiser):
    network, inputs, targets = small
    model, sizes = network(), []
    with model.register_forward_hook(lambda _, arguments, __: sizes.append(len(arguments[0]))):
        found = keskar_sharpness(model, ragged(inputs, targets, [6, 4]), maximiser=maximiser)
    guard = [10, 10]
    # Classes of the outputs, loss at the first vertex, then for each of three classes a gradient and a loss.
    scouting = [10] * 8 if maximiser == "sign" else []
    assert sizes == [*guard, *[6, 4], *scouting, *[6, 4] * (found.evaluations - 1)]
    assert found.evaluations >= found.iterations + 1


def test_iterations_bound_the_passes_of_sign_ascent(trained, digits):
    found = keskar_sharpness(trained(), [digits], maximiser="sign", iterations=4)
    assert found.iterations == 4
    assert found.evaluations == 5


@pytest.mark.parametrize("maximiser", MAXIMISERS)
def test_seed_decides_the_subspace(trained, digits, maximiser):
    values = [
        keskar_sharpness(trained(), [digits], subspace=5, seed=seed, maximiser=maximiser).value for seed in (1, 1, 2)
    ]
    assert values[0] == values[1] != values[2]


@pytest.mark.parametrize("maximiser", MAXIMISERS)
def test_autocast_half_weights_and_inference_mode_do_not_matter(small, maximiser):
    network, inputs, targets = small
    model = network().bfloat16()
    expected = keskar_sharpness(network().bfloat16().float(), [(inputs, targets)], maximiser=maximiser)
    kinds = set()
    with model.register_forward_hook(lambda _, arguments, output: kinds.update((arguments[0].dtype, output.dtype))):
        with torch.autocast("cpu", torch.bfloat16):
            mixed = keskar_sharpness(model, [(inputs, targets)], maximiser=maximiser)
        with torch.inference_mode():
            inferred = keskar_sharpness(model, [(inputs.clone(), targets.clone())], maximiser=maximiser)
    assert kinds == {torch.float32}
    assert mixed.value == inferred.value == expected.value
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


def test_loader_is_read_once_and_its_generator_restored(small, ragged):
    network, inputs, targets = small
    generator = torch.Generator().manual_seed(7)
    data = torch.utils.data.TensorDataset(inputs, targets)
    loader = torch.utils.data.DataLoader(data, batch_size=4, shuffle=True, generator=generator)
    before = generator.get_state()
    found = keskar_sharpness(network(), loader)
    assert torch.equal(generator.get_state(), before)
    expected = keskar_sharpness(network(), ragged(inputs, targets, [4, 4, 2]))
    assert found.value == pytest.approx(expected.value, rel=1e-4)
    assert found.examples == 10


def test_recurrent_network_with_dropout_between_layers():
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.recurrent = nn.LSTM(3, 5, num_layers=2, dropout=0.5, batch_first=True)
            self.head = nn.Linear(5, 2)

        def forward(self, x):
            return self.head(self.recurrent(x)[0][:, -1])

    torch.manual_seed(0)
    model = Last().eval()
    batches = [(torch.randn(6, 4, 3), torch.randint(0, 2, (6,)))]
    found = keskar_sharpness(model, batches)
    assert found.start_loss == pytest.approx(evaluate(model, batches).loss)
    assert found.max_loss > found.start_loss
    assert model.recurrent.dropout == 0.5
    assert not model.recurrent.training


def test_loss_that_changes_from_call_to_call_is_refused(small):
    network, inputs, targets = small
    model = network()
    with (
        model[1].register_forward_hook(lambda _, __, output: dropout(output, 0.5, training=True)),
        pytest.raises(UsageError, match="not deterministic: twice the same examples gave"),
    ):
        keskar_sharpness(model, [(inputs, targets)])


def test_flat_start_of_exactly_zero_gradient():
    """Dead units: at 0 nothing has a gradient, and a random vertex finds the way out."""
    model = Coordinates([0.0, 0.0, 0.0])
    batches = [(torch.ones(4, 3, dtype=torch.float64), torch.zeros(4, 3, dtype=torch.float64))]
    found = keskar_sharpness(model, batches, loss=half_square, epsilon=0.1, maximiser="sign")
    assert found.start_loss == 0
    assert found.max_loss == pytest.approx(3 * 0.5 * 0.1**2)
    assert keskar_sharpness(model, batches, loss=half_square, epsilon=0.1).value == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilon": 0}, "epsilon must be positive"),
        ({"epsilon": math.nan}, "epsilon must be positive"),
        ({"subspace": 0}, "subspace must be at least 1"),
        ({"subspace": 10_000}, "subspace must be at most the 51 trainable"),
        ({"subspace": 2, "scaling": "big"}, "scaling must be one of normal, unit"),
        ({"iterations": 0}, "iterations must be at least 1"),
        ({"maximiser": "sgd"}, "maximiser must be one of lbfgsb, sign"),
        ({"statistics": "none"}, "statistics must be one of batch, running, recomputed"),
        ({"loss": lambda outputs, targets: cross_entropy(outputs, targets, reduction="none")}, "must be one number"),
        ({"loss": lambda outputs, targets: outputs.mean() * math.nan}, "loss is nan at the start"),
    ],
)
def test_usage_errors(small, options, message):
    network, inputs, targets = small
    with pytest.raises(UsageError, match=message):
        keskar_sharpness(network(), [(inputs, targets)], **options)


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "batches is empty"),
        ([torch.zeros(3, 4)], "must be a pair"),
        ([(torch.zeros(0, 4), torch.zeros(0).long())], "has no examples"),
    ],
)
def test_unusable_batches(small, batches, message):
    with pytest.raises(UsageError, match=message):
        keskar_sharpness(small[0](), batches)


def test_nothing_to_move(small):
    network, inputs, targets = small
    with pytest.raises(UsageError, match="no trainable parameters"):
        keskar_sharpness(network().requires_grad_(False), [(inputs, targets)])


MEMORY = """
import re, torch
from pathlib import Path
from bsgap.measures import keskar_sharpness
torch.set_num_threads(1)

class Well(torch.nn.Module):
    def __init__(self, n):
        super().__init__()
        self.x = torch.nn.Parameter(torch.zeros(n))
    def forward(self, inputs):
        return inputs * self.x

def read(key):
    return 1024 * int(re.search(key + r":\\s*(\\d+)", Path("/proc/self/status").read_text())[1])

def measure(n, maximiser):
    # A peak inside the box: every iteration of L-BFGS-B stores a correction pair.
    model, batch = Well(n), (torch.linspace(0.1, 1, n)[None], torch.rand(1, n) * 1e-3)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = read("VmRSS")
    loss = lambda outputs, targets: -100 * (outputs - targets).square().sum(1).mean()
    found = keskar_sharpness(model, [batch], loss=loss, maximiser=maximiser)
    assert found.iterations == 10, found
    return (read("VmHWM") - before) / (4 * n)

for maximiser in ("sign", "lbfgsb"):
    measure(1000, maximiser)
    print(measure(1_000_000, maximiser))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads resident memory as Linux counts it")
def test_memory_in_vectors_of_the_size_of_the_model():
    # Freed vectors go back to the system at once, as those of a large model do.
    settings = os.environ | {"OPENBLAS_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "100000"}
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=False, env=settings)
    assert done.returncode == 0, done.stderr
    sign, lbfgsb = map(float, done.stdout.split())
    assert 5 < sign < 16  # the intermediate results of this model and loss are in it
    assert 55 < lbfgsb < 80  # at least the workspace: 20 vectors of pairs and 5 more in float64


def test_full_box_bounds():
    box = FullBox(torch.tensor([0.0, -3.0]), 1e-3)
    torch.testing.assert_close(box.width, torch.tensor([1e-3, 4e-3]))
