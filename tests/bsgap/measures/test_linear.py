import copy
import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from bsgap.errors import NotFinite, UsageError
from bsgap.measures import evaluate, linear_approximation, mini_batch


class Coordinates(nn.Module):
    """Outputs x_i·a_i for inputs a, so that half a squared error is a separable quadratic in x."""

    def __init__(self, values):
        super().__init__()
        self.x = nn.Parameter(torch.tensor(values, dtype=torch.float64))

    def forward(self, inputs):
        return inputs * self.x


def half_square(outputs, targets):
    return 0.5 * (outputs - targets).square().sum(1).mean()


class Quadratic:
    """f(x) = ½·Σ_i h_i·(x_i - c_i)² + k, of the examples [start, stop), in numpy."""

    def __init__(self, inputs, targets, start, stop):
        a, t = inputs[start:stop], targets[start:stop]
        self.h = (a**2).mean(0)
        self.c = (a * t).mean(0) / self.h
        self.k = 0.5 * (t**2).mean(0).sum() - 0.5 * (self.h * self.c**2).sum()

    def value(self, x):
        return 0.5 * (self.h * (x - self.c) ** 2).sum() + self.k

    def slope(self, x):
        return self.h * (x - self.c)


@pytest.fixture
def quadratic():
    """A model at x, all batches, the mini-batch (examples 2 to 5), and f of all and of the mini-batch."""
    draws = np.random.default_rng(0)
    inputs, targets = draws.normal(size=(9, 5)), draws.normal(size=(9, 5))
    pairs = [(torch.tensor(inputs[a:b]), torch.tensor(targets[a:b])) for a, b in ((0, 3), (3, 9))]
    batch = torch.tensor(inputs[2:5]), torch.tensor(targets[2:5])
    model = Coordinates([0.3, -1.2, 0.0, 2.0, -0.4])
    return model, pairs, batch, Quadratic(inputs, targets, 0, 9), Quadratic(inputs, targets, 2, 5)


@pytest.mark.parametrize("rate", [1e-3, 0.1, 3.0])
def test_quadratic_in_closed_form(quadratic, rate):
    model, batches, batch, whole, part = quadratic
    x = model.x.detach().numpy().copy()
    g = part.slope(x)
    found = linear_approximation(model, batches, batch, rate=rate, loss=half_square)
    assert found.loss == pytest.approx(whole.value(x), rel=1e-13)
    assert found.loss_after == pytest.approx(whole.value(x - rate * g), rel=1e-13)
    assert found.predicted == pytest.approx(whole.value(x) - rate * (g @ g), rel=1e-13)
    # Slope of L against that of the mini-batch, and the curvature; of the same batch only the curvature.
    error = rate * g @ (g - whole.slope(x)) + 0.5 * rate**2 * (whole.h * g**2).sum()
    assert found.error == pytest.approx(abs(error), rel=1e-10)
    assert found.same_batch_error == pytest.approx(0.5 * rate**2 * (part.h * g**2).sum(), rel=1e-9)
    assert found.batch_loss == pytest.approx(part.value(x), rel=1e-13)
    assert found.batch_loss_after == pytest.approx(part.value(x - rate * g), rel=1e-13)
    assert found.gradient_norm == pytest.approx(math.sqrt(g @ g), rel=1e-13)
    assert found.step_norm == pytest.approx(rate * math.sqrt(g @ g), rel=1e-13)
    assert (found.rate, found.batch_size, found.examples, found.statistics) == (rate, 3, 9, "running")


def test_direction_of_momentum_in_closed_form(quadratic):
    """The slope is that of the mini-batch along the step, wherever the step goes."""
    model, batches, batch, whole, part = quadratic
    x = model.x.detach().numpy().copy()
    velocity = np.array([0.5, -0.2, 1.0, 0.1, -0.7])
    step = -0.2 * velocity
    for direction in ({"x": torch.tensor(step)}, [torch.tensor(step)]):
        found = linear_approximation(model, batches, batch, rate=0.2, direction=direction, loss=half_square)
        assert found.predicted == pytest.approx(whole.value(x) + part.slope(x) @ step, rel=1e-12)
        assert found.loss_after == pytest.approx(whole.value(x + step), rel=1e-12)
        assert found.same_batch_error == pytest.approx(0.5 * (part.h * step**2).sum(), rel=1e-9)
        assert found.step_norm == pytest.approx(np.linalg.norm(step), rel=1e-12)
        assert found.rate == 0.2


@pytest.mark.parametrize("statistics", ["running", "batch", "recomputed"])
def test_taylor_order(small, statistics):
    """Halving the step quarters the same-batch error and halves the other, in the limit."""
    network, inputs, targets = small
    model, inputs = network(norm=True).double(), inputs.double()
    found = [
        linear_approximation(
            model, [(inputs, targets)], (inputs[:6], targets[:6]), rate=1e-3 / 2**k, statistics=statistics
        )
        for k in range(4)
    ]
    for large, little in itertools.pairwise(found):
        assert large.same_batch_error / little.same_batch_error == pytest.approx(4, rel=0.05)
        assert large.error / little.error == pytest.approx(2, rel=0.05)
    assert found[-1].same_batch_error > 1e-11  # far above the rounding of float64


@pytest.mark.parametrize("norm", [False, True], ids=["no-norm", "running"])
def test_chunks_are_one_mini_batch_and_batches_one_data_set(small, ragged, norm):
    network, inputs, targets = small
    model, inputs = network(norm).double(), inputs.double()
    expected = linear_approximation(model, [(inputs, targets)], (inputs[:7], targets[:7]), rate=0.3)
    for sizes, parts in itertools.product(([8, 2], [1] * 10), ([3, 4], [5, 1, 1], [6, 1])):
        chunks = ragged(inputs[:7], targets[:7], parts)
        found = linear_approximation(model, ragged(inputs, targets, sizes), chunks, rate=0.3)
        assert (found.batch_size, found.examples) == (7, 10)
        for name in ("error", "same_batch_error", "predicted", "gradient_norm"):
            assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-11), name


def test_two_chunks_are_not_taken_for_a_pair(small):
    network, inputs, targets = small
    chunks = [(inputs[:2], targets[:2]), (inputs[2:5], targets[2:5])]
    for batch in (chunks, tuple(chunks)):
        assert linear_approximation(network(), [(inputs, targets)], batch, rate=0.1).batch_size == 5
    assert linear_approximation(network(), [(inputs, targets)], list(chunks[1]), rate=0.1).batch_size == 3


def test_batch_statistics_are_those_of_batchnorm_in_training(small):
    network, inputs, targets = small
    model, inputs = network(norm=True).double(), inputs.double()
    found = linear_approximation(model, [(inputs, targets)], (inputs[:6], targets[:6]), rate=0.5, statistics="batch")
    model.train()
    start = cross_entropy(model(inputs), targets).item()
    value = cross_entropy(model(inputs[:6]), targets[:6])
    gradients = torch.autograd.grad(value, list(model.parameters()))
    with torch.no_grad():
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter -= 0.5 * gradient
    predicted = start - 0.5 * sum(gradient.square().sum().item() for gradient in gradients)
    after, same = (cross_entropy(model(inputs[:k]), targets[:k]).item() for k in (10, 6))
    assert found.error == pytest.approx(abs(after - predicted), rel=1e-10)
    assert found.same_batch_error == pytest.approx(abs(same - value.item() - (predicted - start)), rel=1e-10)
    assert found.statistics == "batch"


def test_recomputed_statistics_stay_those_before_the_step(small):
    network, inputs, targets = small
    model, inputs = network(norm=True).double(), inputs.double()
    batches, batch = [(inputs, targets)], (inputs[:6], targets[:6])
    found = linear_approximation(model, batches, batch, rate=0.5, statistics="recomputed")
    norm = model[1]
    norm.reset_running_stats()
    norm.momentum = None  # a plain average: of one batch
    model.train()(inputs)
    expected = linear_approximation(model, batches, batch, rate=0.5, statistics="running")
    assert found.error == pytest.approx(expected.error, rel=1e-10)
    assert found.same_batch_error == pytest.approx(expected.same_batch_error, rel=1e-10)


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.2, momentum=0.9, weight_decay=0.1, nesterov=True),
    "fused": lambda p: torch.optim.SGD(p, lr=0.2, momentum=0.9, fused=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.05, amsgrad=True),
    "lbfgs": lambda p: torch.optim.LBFGS(p, lr=0.5, max_iter=4),
}


class Around(torch.optim.Optimizer):
    """Somebody's optimizer around another one, which holds the state."""

    def __init__(self, parameters):
        self.inner = torch.optim.SGD(parameters, lr=0.1, momentum=0.9)
        super().__init__(self.inner.param_groups, {})
        self.param_groups = self.inner.param_groups
        self.calls = 0

    def step(self, closure):
        self.calls += 1
        with torch.enable_grad():
            closure()
        return self.inner.step()


def frozen(value):
    """A copy that can be compared, and the identities of the tensors in it."""
    if isinstance(value, torch.Tensor):
        return value.clone(), id(value)
    if isinstance(value, dict):
        return {id(k) if isinstance(k, torch.Tensor) else k: frozen(v) for k, v in value.items()}
    if isinstance(value, list):
        return [frozen(item) for item in value]
    return vars_of(value) if isinstance(value, torch.optim.Optimizer) else value


def vars_of(optimizer):
    return {name: frozen(value) for name, value in vars(optimizer).items() if not name.startswith("_optimizer")}


def alike(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(alike(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(alike(x, y) for x, y in zip(a, b, strict=True))
    return a == b


@pytest.mark.parametrize("make", [*OPTIMIZERS.values(), Around], ids=[*OPTIMIZERS, "around"])
@pytest.mark.parametrize("scheduled", [False, True])
def test_step_of_the_optimizer_itself(small, snapshot, make, scheduled):
    """It is the step that follows when the optimizer is really given this mini-batch, and nothing has changed by it."""
    network, inputs, targets = small
    model, inputs = network().double(), inputs.double()
    optimizer = make(list(model.parameters()))
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.8) if scheduled else None

    def closure():
        optimizer.zero_grad()
        value = cross_entropy(model(inputs[:5]), targets[:5])
        value.backward()
        return value

    for _ in range(3):
        optimizer.step(closure)
        if schedule:
            schedule.step()
    before, kept = snapshot(model), vars_of(optimizer)
    batches = [(inputs, targets)]
    start = evaluate(model, batches).loss
    found = linear_approximation(model, batches, (inputs[:5], targets[:5]), optimizer=optimizer)
    before.check()
    assert alike(vars_of(optimizer), kept)
    assert found.rate == optimizer.param_groups[0]["lr"]

    weights = [p.detach().clone() for p in model.parameters()]
    closure()
    gradients = [p.grad.clone() for p in model.parameters()]
    optimizer.step(closure)
    steps = [p.detach() - w for p, w in zip(model.parameters(), weights, strict=True)]
    slope = sum((g * step).sum().item() for g, step in zip(gradients, steps, strict=True))
    after = evaluate(model, batches).loss
    assert found.loss_after == pytest.approx(after, rel=1e-11)
    assert found.error == pytest.approx(abs(after - start - slope), rel=1e-8)
    assert found.step_norm == pytest.approx(math.sqrt(sum(s.square().sum().item() for s in steps)), rel=1e-11)


def test_clipped_gradient_of_plain_sgd_has_a_step_of_known_length(small):
    network, inputs, targets = small
    model = network().double()
    optimizer = torch.optim.SGD(model.parameters(), lr=2.0)
    batch = inputs.double(), targets
    found = linear_approximation(model, [batch], batch, optimizer=optimizer, clip=1e-2)
    assert found.gradient_norm > 1e-2
    assert found.step_norm == pytest.approx(2e-2, rel=1e-4)  # torch adds 1e-6 to the norm
    plain = linear_approximation(model, [batch], batch, optimizer=optimizer)
    along = linear_approximation(model, [batch], batch, rate=2.0)
    assert plain.error == pytest.approx(along.error, rel=1e-9)


@pytest.mark.parametrize("own", [False, True], ids=["gradient", "optimizer"])
@pytest.mark.parametrize("statistics", ["batch", "running", "recomputed"])
def test_leaves_everything_as_it_was(unusual, small, snapshot, statistics, own):
    _, inputs, targets = small
    optimizer = torch.optim.SGD(unusual.parameters(), lr=0.1, momentum=0.9)
    before = snapshot(unusual)
    step = {"optimizer": optimizer} if own else {"rate": 0.1}
    linear_approximation(unusual, [(inputs, targets)], (inputs[:4], targets[:4]), statistics=statistics, **step)
    before.check()
    assert not optimizer.state


@pytest.mark.parametrize("call", range(1, 8))
def test_leaves_everything_as_it_was_after_an_error(unusual, small, snapshot, call):
    _, inputs, targets = small
    calls = itertools.count(1)
    optimizer = torch.optim.SGD(unusual.parameters(), lr=0.1, momentum=0.9)

    def fail(module, arguments):
        if next(calls) == call:
            raise RuntimeError("no more")

    with unusual[4].register_forward_pre_hook(fail):
        before = snapshot(unusual)
        with pytest.raises(RuntimeError, match="no more"):
            linear_approximation(unusual, [(inputs, targets)], (inputs[:4], targets[:4]), optimizer=optimizer)
    before.check()
    assert not optimizer.state


def test_dropout_is_off_and_frozen_parameters_stay(small):
    network, inputs, targets = small
    model = network(dropout=0.9).train()
    model[0].requires_grad_(False)
    batch = inputs[:4], targets[:4]
    found = linear_approximation(model, [(inputs, targets)], batch, rate=0.1)
    last = copy.deepcopy(model).eval()
    features = last[:3](inputs).detach()
    expected = linear_approximation(last[3], [(features, targets)], (features[:4], targets[:4]), rate=0.1)
    assert found.error == pytest.approx(expected.error, rel=1e-4)
    assert found.gradient_norm == pytest.approx(expected.gradient_norm, rel=1e-5)


def test_half_precision_is_measured_in_float32(small):
    network, inputs, targets = small
    half = network().bfloat16()
    found = linear_approximation(half, [(inputs, targets)], (inputs[:5], targets[:5]), rate=0.1)
    full = copy.deepcopy(half).float()
    assert found.error == linear_approximation(full, [(inputs, targets)], (inputs[:5], targets[:5]), rate=0.1).error
    assert half[0].weight.dtype == torch.bfloat16


def test_divergence_is_a_result(small):
    network, inputs, targets = small
    found = linear_approximation(network(), [(inputs, targets)], (inputs, targets), rate=1e300)
    assert not math.isfinite(found.loss_after)
    assert found.error == found.same_batch_error == math.inf


def test_no_tangent_where_the_loss_is_not_finite(small):
    network, inputs, targets = small
    model = network()
    model[0].weight.data[0, 0] = math.nan
    with pytest.raises(NotFinite, match="the loss is nan before the step"):
        linear_approximation(model, [(inputs, targets)], (inputs, targets), rate=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "the step is open"),
        ({"rate": 0.0}, "rate must be positive and finite, got 0.0"),
        ({"rate": math.inf}, "rate must be positive and finite, got inf"),
        ({"rate": 0.1, "batch": []}, "batches is empty"),
        ({"rate": 0.1, "batches": []}, "batches is empty"),
        ({"rate": 0.1, "batch": (torch.ones(0, 4), torch.ones(0))}, "batch 0 has no examples"),
        ({"rate": 0.1, "statistics": "mean"}, "statistics must be one of"),
        ({"direction": [torch.ones(6, 4)]}, "direction must have 4 tensors, one a trainable parameter, got 1"),
        ({"direction": {"0.weight": torch.ones(6, 4)}}, "direction lacks the parameter '0.bias'"),
        ({"direction": [torch.ones(2)] * 4}, r"expected \(6, 4\) for '0.weight', got \(2,\)"),
    ],
)
def test_usage_errors(small, options, message):
    network, inputs, targets = small
    arguments = {"batches": [(inputs, targets)], "batch": (inputs[:2], targets[:2])} | options
    with pytest.raises(UsageError, match=message):
        linear_approximation(network(), **arguments)


def test_usage_errors_of_the_optimizer(small):
    network, inputs, targets = small
    batch, optimizer = (inputs, targets), torch.optim.SGD(network().parameters(), lr=0.1)
    with pytest.raises(UsageError, match="has none of the model's trainable parameters"):
        linear_approximation(network(), [batch], batch, optimizer=optimizer)
    with pytest.raises(UsageError, match="give no rate and no direction beside it"):
        linear_approximation(network(), [batch], batch, optimizer=optimizer, rate=0.1)


def test_mini_batch_is_a_part_of_the_data_drawn_by_its_seed():
    batches = [(torch.arange(a, b)[:, None], torch.arange(a, b)) for a, b in ((0, 7), (7, 14), (14, 20))]

    def draw(size, **options):
        chunks = mini_batch(batches, size, **options)
        assert all(torch.equal(inputs[:, 0], targets) for inputs, targets in chunks)
        return [len(targets) for _, targets in chunks], torch.cat([targets for _, targets in chunks]).tolist()

    sizes, examples = draw(15)
    assert sizes == [5, 5, 5]  # no larger than the largest of the data, and no small one left over
    assert len(set(examples)) == 15
    assert draw(15) == (sizes, examples)
    others = [draw(15, seed=1)[1], draw(15, draw=1)[1]]
    assert examples not in others
    assert others[0] != others[1]
    assert draw(20)[1] == list(range(20))
    counts = np.bincount(np.concatenate([draw(5, draw=k)[1] for k in range(400)]), minlength=20)
    assert abs(counts - 100).max() < 45  # each is drawn in a quarter of the draws: 5 standard deviations


def test_mini_batch_of_examples_of_two_shapes():
    batches = [(torch.zeros(4, 5), torch.zeros(4, 5)), (torch.ones(4, 3), torch.ones(4, 3))]
    chunks = mini_batch(batches, 8)
    assert [inputs.shape for inputs, _ in chunks] == [(4, 5), (4, 3)]
    assert mse_loss(*chunks[1]).item() == 0


def test_mini_batch_usage_errors():
    batches = [(torch.zeros(4, 5), torch.zeros(4))]
    for size in (0, 5):
        with pytest.raises(UsageError, match=f"between 1 and the 4 examples of the data, got {size}"):
            mini_batch(batches, size)
    with pytest.raises(UsageError, match="inputs that are one tensor, got dict"):
        mini_batch([({}, torch.zeros(4))], 2)
